// Which variants of a URL there are, and which make room (core/vary_marker.hpp).
#include "core/vary_marker.hpp"

#include <doctest/doctest.h>

using namespace pillion;

namespace {

Hash128 hash(std::uint64_t n) { return {n, n * 31}; }

StoredResponsePtr stored(const VaryMarker& marker) {
  const MarkerBytes bytes = write_marker(marker);
  StoredParts parts;
  parts.head = bytes.head;
  parts.body = bytes.body;
  parts.vary_marker = true;
  return StoredResponse::make(parts);
}

}  // namespace

TEST_CASE("vary marker: what is written is read back") {
  VaryMarker marker;
  note_variant(marker, "accept-encoding", hash(1), 8);
  note_variant(marker, "accept-encoding,origin", hash(2), 8);
  note_variant(marker, "accept-encoding", {~0ull, 0}, 8);
  CHECK(read_marker(stored(marker).get()) == marker);
  CHECK(read_marker(nullptr) == VaryMarker{});
  const StoredResponsePtr bytes = stored(marker);
  std::string_view head = bytes->head();
  CHECK(next_list(head) == "accept-encoding");
}

TEST_CASE("vary marker: it names its variants, and hands its family on") {
  VaryMarker marker;
  CHECK(family_of(*stored(marker)) == 0);
  marker.family = 0x0123456789abcdef;
  note_variant(marker, "a", hash(1), 8);
  note_variant(marker, "a", hash(2), 8);
  const StoredResponsePtr bytes = stored(marker);
  CHECK(family_of(*bytes) == marker.family);
  CHECK(read_marker(bytes.get()) == marker);
  CHECK(names_variant(*bytes, hash(1)));
  CHECK(names_variant(*bytes, hash(2)));
  CHECK_FALSE(names_variant(*bytes, hash(3)));
  StoredParts parts;
  parts.head = bytes->head();
  parts.body = bytes->body();
  const StoredResponsePtr response = StoredResponse::make(parts);
  CHECK(family_of(*response) == 0);
  CHECK_FALSE(names_variant(*response, hash(1)));
}

TEST_CASE("vary marker: the list and the variant stored last come first") {
  VaryMarker marker;
  note_variant(marker, "a", hash(1), 8);
  note_variant(marker, "b", hash(2), 8);
  CHECK(marker.lists == std::vector<std::string>{"b", "a"});
  CHECK(marker.variants == std::vector<VaryMarker::Variant>{{0, hash(2)}, {1, hash(1)}});
  note_variant(marker, "a", hash(3), 8);
  CHECK(marker.lists == std::vector<std::string>{"a", "b"});
  CHECK(marker.variants == std::vector<VaryMarker::Variant>{{0, hash(3)}, {1, hash(2)}, {0, hash(1)}});
}

TEST_CASE("vary marker: a variant stored again is there once, under its list of today") {
  VaryMarker marker;
  note_variant(marker, "a", hash(1), 8);
  CHECK(note_variant(marker, "b", hash(1), 8).empty());
  CHECK(marker.lists == std::vector<std::string>{"b"});
  CHECK(marker.variants == std::vector<VaryMarker::Variant>{{0, hash(1)}});
}

TEST_CASE("vary marker: over the limit the variant stored longest ago goes, and a list nobody needs with it") {
  VaryMarker marker;
  note_variant(marker, "a", hash(1), 2);
  note_variant(marker, "b", hash(2), 2);
  CHECK(note_variant(marker, "b", hash(3), 2) == std::vector<Hash128>{hash(1)});
  CHECK(marker.lists == std::vector<std::string>{"b"});
  CHECK(note_variant(marker, "b", hash(4), 0) == std::vector<Hash128>{hash(2), hash(3)});
}

TEST_CASE("vary marker: at most four lists") {
  VaryMarker marker;
  for (std::uint64_t i = 1; i <= 4; ++i) CHECK(note_variant(marker, std::string(i, 'x'), hash(i), 64).empty());
  CHECK(note_variant(marker, "y", hash(5), 64) == std::vector<Hash128>{hash(1)});
  CHECK(marker.lists == std::vector<std::string>{"y", "xxxx", "xxx", "xx"});
  CHECK(marker.variants.size() == 4);
}

TEST_CASE("vary marker: what is malformed names no variants") {
  StoredParts parts;
  parts.head = "accept";
  const std::string body = std::string("\x05", 1) + std::string(16, 'x') + "cut";
  parts.body = body;
  parts.vary_marker = true;
  const VaryMarker marker = read_marker(StoredResponse::make(parts).get());
  CHECK(marker.lists == std::vector<std::string>{"accept"});
  CHECK(marker.variants.empty());
}
