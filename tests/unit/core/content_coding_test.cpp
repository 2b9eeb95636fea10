// Which coding a client wants (RFC 9110 12.5.3).
#include "core/content_coding.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace pillion;

namespace {

/// The codings in their order, and `no-plain` where the body as it is isn't wanted.
std::string wishes(const std::vector<std::string>& lines) {
  std::vector<Field> fields;
  for (const std::string& line : lines) fields.push_back({"Accept-Encoding", line, Name::accept_encoding});
  const CodingWishes found = coding_wishes(Fields(fields));
  std::string out;
  for (std::size_t i = 0; i < found.count; ++i) out += std::string(to_string(found.order[i])) + " ";
  if (found.refuses_plain) out += "no-plain ";
  if (!out.empty()) out.pop_back();
  return out;
}

}  // namespace

TEST_CASE("content coding: what clients send, and what they get") {
  struct Row {
    std::string accept_encoding, wanted;
  };
  const Row rows[] = {
      {"gzip", "gzip"},
      {"gzip, deflate", "gzip"},
      {"gzip, deflate, br", "br gzip"},
      {"gzip, deflate, br, zstd", "zstd br gzip"},
      {"identity", ""},
      {"", ""},
      {"deflate", ""},
      {"br", "br"},
      {"x-gzip", "gzip"},
      {"GZIP, BR", "br gzip"},
      {" gzip ,, br ", "br gzip"},
      {"gzip;q=1.0, br;q=0.5", "gzip br"},
      {"gzip;q=0.5,br;q=0.8,zstd;q=0.1", "br gzip zstd"},
      {"gzip;q=0", ""},
      {"gzip;q=0.000, br", "br"},
      {"br;q=0.001", "br"},
      {"gzip; q=0.5", "gzip"},
      {"gzip;Q=0.5", "gzip"},
      // `*` is whatever isn't named.
      {"*", "zstd br gzip"},
      {"*;q=0.5, gzip", "gzip zstd br"},
      {"gzip, *;q=0", "gzip no-plain"},
      {"*;q=0", "no-plain"},
      {"br;q=0, *", "zstd gzip"},
      {"*, identity;q=0", "zstd br gzip no-plain"},
      // Plain is one of them where it is named.
      {"identity, gzip;q=0.5", ""},
      {"identity;q=0.5, gzip", "gzip"},
      {"identity;q=0.5, gzip;q=0.5, br;q=0.4", "gzip"},
      {"identity, gzip", "gzip"},
      {"identity;q=0", "no-plain"},
      {"gzip, identity;q=0", "gzip no-plain"},
      {"gzip;q=0.1, *;q=0.5", "zstd br"},
      // What can't be read, or contradicts itself, asks for nothing.
      {"gzip;q=1.5", ""},
      {"gzip;q=0.1234", ""},
      {"gzip;q=-1", ""},
      {"gzip;level=9", ""},
      {"gzip;q=", ""},
      {"gz ip", ""},
      {"gzip;q=0, gzip", ""},
      {"gzip, x-gzip;q=0.5", ""},
      {"gzip, gzip", "gzip"},
      {"unknown;q=0.3, unknown, gzip", "gzip"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.accept_encoding);
    CHECK(wishes({row.accept_encoding}) == row.wanted);
  }
}

TEST_CASE("content coding: lines are one list, and no line asks for nothing") {
  CHECK(wishes({}) == "");
  CHECK(wishes({"gzip", "br"}) == "br gzip");
  CHECK(wishes({"gzip", "gzip;q=0"}) == "");
  CHECK(wishes({"gzip", "nonsense;;"}) == "");
}

TEST_CASE("content coding: what is known by its text means what it says") {
  // With one blank more the same lists are read member by member.
  for (const std::string list : {"gzip", "identity", "gzip, deflate", "gzip, deflate, br", "gzip, deflate, br, zstd"}) {
    CAPTURE(list);
    CHECK(wishes({list}) == wishes({list + " "}));
    CHECK(wishes({list}) == wishes({list, ""}));
  }
}
