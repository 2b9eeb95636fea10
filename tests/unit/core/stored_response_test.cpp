#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <vector>

#include "core/stored_response_codec.hpp"
#include "response_flags.hpp"

using namespace pillion;

namespace {

constexpr Now now{1'700'000'100'000, 500'000};

ResponseMeta sample_meta() {
  ResponseMeta meta;
  meta.status = 203;
  meta.directives.present = true;
  meta.directives.public_ = true;
  meta.directives.immutable = true;
  meta.directives.max_age = 60;
  meta.directives.s_maxage = 0;
  meta.directives.stale_if_error = std::numeric_limits<std::int32_t>::max();
  meta.date_s = 1'700'000'000;
  meta.expires_s = 30;
  meta.last_modified_s = -5;
  meta.learned = 700;
  meta.draw = 77;
  meta.initial_age_ms = 1234;
  meta.received_wall_ms = 1'700'000'000'000;
  meta.received_mono_ms = 400'000;
  meta.request_had_cookie = true;
  meta.has_strong_etag = true;
  meta.has_validator = true;
  return meta;
}

const std::vector<std::uint32_t> sample_selectors{1, 0xffffffff, 77};

StoredParts sample_parts() {
  StoredParts parts;
  parts.meta = sample_meta();
  parts.primary_key = std::string_view(
      "u\x03"
      "app\0key",
      9);
  parts.readable_key = "character:1:00";
  parts.head = "HTTP/1.1 203 Fine\r\nETag: \"x\"\r\n";
  parts.etag = "\"x\"";
  parts.body = std::string_view("bo\0dy", 5);
  parts.selectors = sample_selectors;
  parts.position = 5;
  parts.shared_position = 0x1122334455667788;
  parts.epoch = 0xfedcba9876543210;
  parts.store_id = 0x0102030405060708;
  parts.history = {123'456'789, 100'000};
  return parts;
}

bool equal(const ResponseDirectives& a, const ResponseDirectives& b) {
  return a.max_age == b.max_age && a.s_maxage == b.s_maxage && a.stale_while_revalidate == b.stale_while_revalidate &&
         a.stale_if_error == b.stale_if_error;
}

void check_same(const StoredResponse& a, const StoredResponse& b) {
  CHECK(a.primary_key() == b.primary_key());
  CHECK(a.readable_key() == b.readable_key());
  CHECK(a.head() == b.head());
  CHECK(a.etag() == b.etag());
  CHECK(a.body() == b.body());
  CHECK(std::vector(a.selectors().begin(), a.selectors().end()) ==
        std::vector(b.selectors().begin(), b.selectors().end()));
  CHECK(a.is_vary_marker() == b.is_vary_marker());
  CHECK(a.shared_position() == b.shared_position());
  CHECK(a.epoch() == b.epoch());
  CHECK(a.store_id() == b.store_id());
  const ResponseMeta &m = a.meta(), &n = b.meta();
  CHECK(unsigned{m.status} == unsigned{n.status});
  CHECK(equal(m.directives, n.directives));
  CHECK(test::flags_of(m) == test::flags_of(n));
  CHECK(m.date_s == n.date_s);
  CHECK(m.expires_s == n.expires_s);
  CHECK(m.last_modified_s == n.last_modified_s);
  CHECK(m.initial_age_ms == n.initial_age_ms);
  CHECK(m.received_wall_ms == n.received_wall_ms);
  CHECK(unsigned{m.learned} == unsigned{n.learned});
  CHECK(unsigned{m.draw} == unsigned{n.draw});
  CHECK(a.history() == b.history());
}

/// The sum over all but the last 8 bytes put there anew: what a writer of another version would do.
std::string resealed(std::string bytes) {
  const std::uint64_t sum = hash64(std::string_view(bytes).substr(0, bytes.size() - 8));
  for (std::size_t i = 0; i < 8; ++i) bytes[bytes.size() - 8 + i] = static_cast<char>(sum >> (8 * i));
  return bytes;
}

}  // namespace

TEST_CASE("a stored response gives back the parts it was made of") {
  const StoredParts parts = sample_parts();
  const StoredResponsePtr stored = StoredResponse::make(parts);
  REQUIRE(stored != nullptr);
  CHECK(stored->primary_key() == parts.primary_key);
  CHECK(stored->readable_key() == parts.readable_key);
  CHECK(stored->head() == parts.head);
  CHECK(stored->etag() == parts.etag);
  CHECK(stored->body() == parts.body);
  CHECK(std::vector(stored->selectors().begin(), stored->selectors().end()) == sample_selectors);
  CHECK(stored->position() == 5);
  CHECK(stored->checked_position() == 5);
  stored->mark_checked(9);
  CHECK(stored->checked_position() == 9);
  CHECK(stored->meta().received_mono_ms == 400'000);
  CHECK_FALSE(stored->is_vary_marker());
  CHECK(stored->history() == parts.history);
}

TEST_CASE("a stored response without a history of changes has no room for one") {
  StoredParts parts = sample_parts();
  const std::size_t with = StoredResponse::make(parts)->footprint();
  parts.history = {};
  const StoredResponsePtr stored = StoredResponse::make(parts);
  CHECK(stored->footprint() + sizeof(ChangeHistory) <= with);
  CHECK_FALSE(stored->history().is_known());
  CHECK(stored->body() == parts.body);
  CHECK(std::vector(stored->selectors().begin(), stored->selectors().end()) == sample_selectors);
}

TEST_CASE("a readable key that ends in the hash of the primary key is given back whole, though its end isn't kept") {
  StoredParts parts = sample_parts();
  const std::string hash = to_hex(hash128(parts.primary_key));
  const std::size_t least = StoredResponse::make(parts)->footprint();
  for (const std::string& key : {"character:1:" + hash, hash, "character:1:" + hash + "." + hash,
                                 "character:1:" + to_hex(hash128("another")), hash.substr(1), std::string()}) {
    CAPTURE(key);
    parts.readable_key = key;
    const StoredResponsePtr stored = StoredResponse::make(parts);
    CHECK(stored->readable_key() == key);
    CHECK(stored->etag() == parts.etag);
    const StoredResponsePtr back = decode(encode(*stored), parts.primary_key, now, 0);
    REQUIRE(back != nullptr);
    check_same(*stored, *back);
  }
  const std::string usual = "character:1:" + hash;
  parts.readable_key = usual;
  CHECK(StoredResponse::make(parts)->footprint() <= least);
}

TEST_CASE("a stored response may be empty") {
  const StoredResponsePtr stored = StoredResponse::make({});
  REQUIRE(stored != nullptr);
  CHECK(stored->body().empty());
  CHECK(stored->selectors().empty());
  const StoredResponsePtr back = decode(encode(*stored), "", now, 0);
  REQUIRE(back != nullptr);
  check_same(*stored, *back);
}

TEST_CASE("the footprint covers the parts and little more") {
  StoredParts parts = sample_parts();
  const std::string body(1024, 'b');
  parts.body = body;
  const std::size_t payload = parts.head.size() + parts.body.size();
  const std::size_t footprint = StoredResponse::make(parts)->footprint();
  CHECK(footprint > payload + sizeof(StoredResponse));
  CHECK(footprint < payload + 220);
}

TEST_CASE("what is encoded is decoded to the same") {
  StoredParts parts = sample_parts();
  const StoredResponsePtr first = StoredResponse::make(parts);
  const StoredResponsePtr back = decode(encode(*first), parts.primary_key, now, 42);
  REQUIRE(back != nullptr);
  check_same(*first, *back);
  CHECK(back->position() == 42);
  CHECK(back->checked_position() == 42);

  parts.vary_marker = true;
  parts.meta = {};
  parts.head = "accept,accept-language";
  const StoredResponsePtr marker = StoredResponse::make(parts);
  const StoredResponsePtr marker_back = decode(encode(*marker), parts.primary_key, now, 0);
  REQUIRE(marker_back != nullptr);
  check_same(*marker, *marker_back);
}

TEST_CASE("every directive and every fact survives by itself") {
  const auto round_trip = [](const ResponseMeta& meta) {
    StoredParts parts = sample_parts();
    parts.meta = meta;
    const StoredResponsePtr a = StoredResponse::make(parts);
    const StoredResponsePtr b = decode(encode(*a), parts.primary_key, now, 0);
    REQUIRE(b != nullptr);
    check_same(*a, *b);
  };
  std::size_t flags = 0;
  ResponseMeta counted;
  test::visit_flags(counted, [&](const char*, bool) { return ++flags == 0; });
  for (std::size_t n = 0; n < flags; ++n) {
    ResponseMeta meta;
    std::size_t at = 0;
    test::visit_flags(meta, [&](const char*, bool) { return at++ == n; });
    round_trip(meta);
  }
  using D = ResponseDirectives;
  for (std::int32_t D::* number : {&D::max_age, &D::s_maxage, &D::stale_while_revalidate, &D::stale_if_error}) {
    ResponseMeta meta;
    meta.directives.*number = 0x01020304;
    round_trip(meta);
  }
}

TEST_CASE("the layout of version four does not move") {
  // Replicas of two versions share one Redis: these bytes may only change together with the version byte.
  const std::string bytes = encode(*StoredResponse::make(sample_parts()), 1'600'000);
  std::string hex;
  for (const char c : std::string_view(bytes).substr(0, bytes.size() - 8)) {
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    hex += "0123456789abcdef"[c & 0xf];
  }
  CHECK(hex ==
        "504c4e0408070605040302011032547698badcfe88776655443322110000320003000000090000000e00000003000000"
        "1e00000005000000cb0011023c00000000000000ffffffffffffff7f1e000000d204000000f1536500000000fbffffff"
        "ffffffff0068e5cf8b01000080841e0000000000bc024d00a086010015cd5b070000000001000000ffffffff4d0000007503617070006b"
        "65796368617261637465723a313a303022"
        "7822485454502f312e31203230332046696e650d0a455461673a202278220d0a626f006479");
  CHECK(bytes.substr(bytes.size() - 8) == std::string_view("\x2c\x60\x84\xc0\x72\x1b\xb1\x3e", 8));
}

TEST_CASE("an entry with any one bit flipped is a miss") {
  const std::string bytes = encode(*StoredResponse::make(sample_parts()));
  const std::string_view key = sample_parts().primary_key;
  REQUIRE(decode(bytes, key, now, 0) != nullptr);
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string flipped = bytes;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << (i % 8)));
    CAPTURE(i);
    REQUIRE(decode(flipped, key, now, 0) == nullptr);
  }
}

TEST_CASE("an entry that is cut or has more bytes is a miss") {
  const std::string bytes = encode(*StoredResponse::make(sample_parts()));
  const std::string_view key = sample_parts().primary_key;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    REQUIRE(decode(std::string_view(bytes).substr(0, size), key, now, 0) == nullptr);
    if (size >= 8) REQUIRE(decode(resealed(bytes.substr(0, size)), key, now, 0) == nullptr);
  }
  CHECK(decode(bytes + '\0', key, now, 0) == nullptr);
  CHECK(decode(resealed(bytes + "12345678"), key, now, 0) == nullptr);
  CHECK(decode("a value of another's making", key, now, 0) == nullptr);
}

TEST_CASE("an entry of another key or another version is a miss") {
  std::string bytes = encode(*StoredResponse::make(sample_parts()));
  const std::string key(sample_parts().primary_key);
  CHECK(decode(bytes, key + "x", now, 0) == nullptr);
  CHECK(decode(bytes, key.substr(1), now, 0) == nullptr);
  CHECK(decode(bytes, "", now, 0) == nullptr);
  for (const char version : {'\3', '\5'}) {
    bytes[3] = version;
    CHECK(decode(resealed(bytes), key, now, 0) == nullptr);
    CHECK(store_id_of(bytes) == std::nullopt);
  }
}

TEST_CASE("sizes and numbers that lie are a miss though the checksum holds") {
  const std::string good = encode(*StoredResponse::make(sample_parts()));
  const std::string key(sample_parts().primary_key);
  REQUIRE(decode(resealed(good), key, now, 0) != nullptr);
  const auto with_bytes = [&](std::size_t at, std::string_view bytes) {
    std::string out = good;
    out.replace(at, bytes.size(), bytes);
    return decode(resealed(out), key, now, 0);
  };
  const std::string_view ones("\xff\xff\xff\xff", 4), least("\0\0\0\x80", 4);
  for (std::size_t size = 32; size < 56; size += 4) {
    CAPTURE(size);
    CHECK(with_bytes(size, ones) == nullptr);
    CHECK(with_bytes(size, std::string_view("\0\0\0\0", 4)) == nullptr);
  }
  CHECK(with_bytes(28, std::string_view("\1", 1)) == nullptr);        // strings in a form that decode() doesn't know
  CHECK(with_bytes(28, std::string_view("\2", 1)) == nullptr);        // a form of a later version
  CHECK(with_bytes(30, ones.substr(0, 2)) == nullptr);                // flags of a later version
  CHECK(with_bytes(56, std::string_view("\xe8\x03", 2)) == nullptr);  // status 1000
  CHECK(with_bytes(58, std::string_view("\0\x08", 2)) == nullptr);    // a directive of a later version
  for (std::size_t number = 60; number < 84; number += 4) {
    CAPTURE(number);
    CHECK(with_bytes(number, least) == nullptr);
  }
  for (std::size_t date = 84; date < 116; date += 8) {
    CAPTURE(date);
    CHECK(with_bytes(date + 4, least) == nullptr);
  }
  CHECK(with_bytes(84 + 4, std::string_view("\0\0\0\x7f", 4)) == nullptr);
  CHECK(with_bytes(92 + 4, std::string_view("\0\0\0\x7f", 4)) == nullptr);
  CHECK(with_bytes(116, std::string_view("\xff\x03", 2)) != nullptr);
  CHECK(with_bytes(116, std::string_view("\0\x04", 2)) == nullptr);  // a lifetime of more than ten bits
  CHECK(with_bytes(118, std::string_view("\x7f\0", 2)) != nullptr);
  CHECK(with_bytes(118, std::string_view("\x80\0", 2)) == nullptr);              // a lot of more than seven
  CHECK(with_bytes(120, std::string_view("\1\0\4\0", 4)) == nullptr);            // more changes than there can be
  CHECK(with_bytes(120, std::string_view("\0\0\0\0", 4)) == nullptr);            // none, and yet a time
  CHECK(with_bytes(124, std::string_view("\1\0\0\0\0\x40\0\0", 8)) == nullptr);  // watched for too long
}

TEST_CASE("the first bytes of a value give its store id") {
  const std::string bytes = encode(*StoredResponse::make(sample_parts()));
  CHECK(store_id_of(bytes) == 0x0102030405060708);
  CHECK(store_id_of(std::string_view(bytes).substr(0, store_id_prefix)) == 0x0102030405060708);
  CHECK(store_id_of(std::string_view(bytes).substr(0, store_id_prefix - 1)) == std::nullopt);
  CHECK(store_id_of("") == std::nullopt);
  CHECK(store_id_of("a value of another's making") == std::nullopt);
}

TEST_CASE("a value's front alone tells when it was fetched and what selects it") {
  const std::string bytes = encode(*StoredResponse::make(sample_parts()));
  const std::string_view all(bytes);
  const auto size = front_size_of(all.substr(0, front_prefix));
  REQUIRE(size == 144);
  const auto front = read_front(all.substr(0, *size));
  REQUIRE(front);
  CHECK(front->epoch == 0xfedcba9876543210);
  CHECK(front->shared_position == 0x1122334455667788);
  CHECK(front->selectors == sample_selectors);
  CHECK_FALSE(front_size_of(all.substr(0, front_prefix - 1)));
  CHECK_FALSE(read_front(all.substr(0, *size - 1)));
  CHECK_FALSE(read_front(""));
  CHECK_FALSE(read_front("a value of another's making, which is longer than a front"));
  // A count that lies needs more bytes than there are: nothing is allocated for it.
  std::string lying(bytes);
  lying.replace(32, 4, "\xff\xff\xff\xff");
  CHECK(front_size_of(lying) == 132 + std::size_t{0xffffffff} * 4);
  CHECK_FALSE(read_front(lying));
}

TEST_CASE("the time of receipt is carried over to this process's clock") {
  const std::string bytes = encode(*StoredResponse::make(sample_parts()));  // received at 1,700,000,000,000
  const std::string_view key = sample_parts().primary_key;
  struct {
    Now now;
    std::int64_t mono;
  } const cases[] = {
      {{1'700'000'100'000, 500'000}, 400'000},
      {{1'700'000'000'000, 7}, 7},
      {{1'699'999'999'999, 7}, 7},  // from the future: it came just now
      {{0, 7}, 7},
      {{-1, 7}, 7},
      {{1'700'000'100'000, 1}, -99'999},
      {{std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()},
       std::numeric_limits<std::int64_t>::min()},
  };
  for (const auto& c : cases) {
    CAPTURE(c.now.wall_ms);
    const StoredResponsePtr stored = decode(bytes, key, c.now, 0);
    REQUIRE(stored != nullptr);
    CHECK(stored->meta().received_mono_ms == c.mono);
    CHECK(stored->meta().received_wall_ms == 1'700'000'000'000);
  }
}

TEST_CASE("where replicas share a clock, their own don't count") {
  // Received when the writer's steady clock was at 400,000 and the shared one at 2,000,000.
  const std::string bytes = encode(*StoredResponse::make(sample_parts()), 1'600'000);
  const std::string_view key = sample_parts().primary_key;
  for (const std::int64_t wall : {0LL, 1'600'000'000'000LL, 1'700'000'000'000LL, 1'900'000'000'000LL}) {
    CAPTURE(wall);
    // 30 s later by the shared clock, and then 1 ms before.
    const StoredResponsePtr later = decode(bytes, key, {{wall, 90'000}, 1'940'000}, 0);
    REQUIRE(later != nullptr);
    CHECK(later->meta().received_mono_ms == 60'000);
    CHECK(later->meta().received_wall_ms == 1'700'000'000'000);
    CHECK(encode(*later, 1'940'000) == bytes);
    const StoredResponsePtr before = decode(bytes, key, {{wall, 59'999}, 1'940'000}, 0);
    REQUIRE(before != nullptr);
    CHECK(before->meta().received_mono_ms == 59'999);
  }
  // A clock that makes no sense overflows nothing.
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                         most = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t offset : {least + 1, most}) {
    const StoredResponsePtr stored = decode(encode(*StoredResponse::make(sample_parts()), offset), key, now, 0);
    REQUIRE(stored != nullptr);
    CHECK(stored->meta().received_mono_ms <= now.mono_ms);
    CHECK(decode(bytes, key, {now, offset}, 0)->meta().received_mono_ms <= now.mono_ms);
  }
}
