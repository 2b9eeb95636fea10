// Values in Redis, compressed: when they are, that they come back whole, and that what isn't right is a miss.
#include "store/compression.hpp"

#include <doctest/doctest.h>
#include <zstd.h>

#include <random>
#include <string>

#include "core/hash.hpp"
#include "core/stored_response_codec.hpp"

using namespace pillion;

namespace {

constexpr Now now{1'700'000'100'000, 500'000};
constexpr std::size_t largest = 1u << 20;
constexpr std::size_t form_at = 28, body_size_at = 52, front_size = 132;
const config::CompressSettings defaults;

std::string json(std::size_t size) {
  std::string text = "[";
  for (int i = 0; text.size() < size; ++i) {
    text += "{\"id\": \"char_" + std::to_string(i) + "\", \"name\": \"Character " + std::to_string(i * 7919) + "\"},";
  }
  text.resize(size);
  return text;
}

std::string noise(std::size_t size) {
  std::mt19937 random(1);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

StoredResponsePtr response(std::string_view body, std::string_view fields = "Content-Type: application/json\r\n") {
  const std::string head = "HTTP/1.1 200 OK\r\n" + std::string(fields);
  StoredParts parts;
  parts.meta.status = 200;
  parts.primary_key = "key";
  parts.readable_key = "character:1:00";
  parts.head = head;
  parts.body = body;
  parts.store_id = 0x0102030405060708;
  return StoredResponse::make(parts);
}

bool is_packed(std::string_view value) { return value[form_at] == 1; }

StoredResponsePtr read(std::string_view value, std::size_t bound = largest) {
  return read_value(value, bound, "key", now, 7);
}

/// Front and strings of somebody's making, with a checksum that is right.
std::string sealed(std::string front, std::string_view strings) {
  front += strings;
  seal(front);
  return front;
}

std::string front_of(std::string_view value) { return std::string(value.substr(0, front_size)); }
std::string_view strings_of(std::string_view value) { return value.substr(front_size, value.size() - front_size - 8); }

std::string frame(std::string_view plain) {
  std::string packed(ZSTD_compressBound(plain.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 3));
  return packed;
}

}  // namespace

TEST_CASE("compression: a large answer is smaller in Redis and comes back as it was") {
  const StoredResponsePtr first = response(json(20'000));
  const std::string value = write_value(*first, defaults);
  CHECK(is_packed(value));
  CHECK(value.size() < 5'000);
  const StoredResponsePtr back = read(value);
  REQUIRE(back);
  CHECK(back->head() == first->head());
  CHECK(back->body() == first->body());
  CHECK(back->readable_key() == first->readable_key());
  CHECK(back->meta().status == 200);
  CHECK(back->position() == 7);
  CHECK(back->store_id() == first->store_id());
}

TEST_CASE("compression: the store id stands at the same place in either form") {
  const StoredResponsePtr stored = response(json(20'000));
  for (const bool on : {true, false}) {
    const std::string value = write_value(*stored, {on, 1, 3});
    CHECK(is_packed(value) == on);
    CHECK(store_id_of(std::string_view(value).substr(0, store_id_prefix)) == stored->store_id());
  }
}

TEST_CASE("compression: off, or below the least size, an answer stands plain") {
  const std::string body = json(1'000);
  const StoredResponsePtr stored = response(body);
  const std::size_t size = stored->head().size() + body.size();
  CHECK(is_packed(write_value(*stored, {true, size, 3})));
  CHECK_FALSE(is_packed(write_value(*stored, {true, size + 1, 3})));
  CHECK_FALSE(is_packed(write_value(*stored, {false, 1, 3})));
  CHECK(read(write_value(*stored, {false, 1, 3}))->body() == body);
}

TEST_CASE("compression: it is kept where it saves an eighth") {
  const std::string dense = noise(16'000);
  CHECK_FALSE(is_packed(write_value(*response(dense), defaults)));
  CHECK_FALSE(is_packed(write_value(*response(dense + std::string(2'000, 'a')), defaults)));
  const StoredResponsePtr better = response(dense + std::string(2'500, 'a'));
  const std::string value = write_value(*better, defaults);
  CHECK(is_packed(value));
  CHECK(read(value)->body() == better->body());
}

TEST_CASE("compression: an answer too large to be compressed at once stands plain") {
  CHECK_FALSE(is_packed(write_value(*response(std::string(max_compressed + 1, 'a')), defaults)));
}

TEST_CASE("compression: what is compressed already is left alone") {
  const struct {
    const char* fields;
    bool may;
  } cases[] = {
      {"", true},
      {"Content-Type: application/json; charset=utf-8\r\n", true},
      {"Content-Type: text/html\r\n", true},
      {"Content-Type: image/svg+xml\r\n", true},
      {"Content-Type: IMAGE/SVG+XML; charset=utf-8\r\n", true},
      {"Content-Type: image/png\r\n", false},
      {"Content-Type: Image/JPEG\r\n", false},
      {"Content-Type: image/bmp\r\n", true},
      {"Content-Type: video/mp4\r\n", false},
      {"Content-Type: audio/mpeg ; x=y\r\n", false},
      {"Content-Type: font/woff2\r\n", false},
      {"Content-Type: font/ttf\r\n", true},
      {"Content-Type: application/zip\r\n", false},
      {"Content-Type: application/epub+zip\r\n", false},
      {"Content-Type: application/vnd.openxmlformats-officedocument.wordprocessingml.document\r\n", false},
      {"Content-Type: application/pdf\r\n", true},
      {"Content-Type: zip\r\n", true},
      {"Content-Encoding: gzip\r\n", false},
      {"Content-Type: application/json\r\nContent-Encoding: br\r\n", false},
      {"Content-Encoding: something-new\r\n", false},
      {"Content-Encoding: Identity\r\n", true},
      {"X-Content-Encoding: gzip\r\n", true},
  };
  for (const auto& c : cases) {
    CAPTURE(c.fields);
    CHECK(may_compress("HTTP/1.1 200 OK\r\n" + std::string(c.fields)) == c.may);
    CHECK(is_packed(write_value(*response(json(5'000), c.fields), defaults)) == c.may);
  }
}

TEST_CASE("compression: any flipped bit and any cut is a miss") {
  const std::string value = write_value(*response(json(600)), {true, 1, 3});
  REQUIRE(is_packed(value));
  for (std::size_t bit = 0; bit < value.size() * 8; ++bit) {
    std::string flipped = value;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    CAPTURE(bit);
    REQUIRE(read(flipped) == nullptr);
  }
  for (std::size_t size = 0; size < value.size(); ++size) {
    CAPTURE(size);
    REQUIRE(read(std::string_view(value).substr(0, size)) == nullptr);
  }
}

TEST_CASE("compression: a frame that lies is a miss though the checksum holds") {
  const std::string body = json(20'000);
  const std::string value = write_value(*response(body), defaults);
  const std::string front = front_of(value);
  const std::string_view packed = strings_of(value);
  REQUIRE(read(sealed(front, packed)));
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, packed.size() / 2, packed.size() - 1}) {
    CAPTURE(size);
    CHECK(read(sealed(front, packed.substr(0, size))) == nullptr);
  }
  CHECK(read(sealed(front, std::string(packed) + "x")) == nullptr);
  CHECK(read(sealed(front, std::string(packed) + frame("more"))) == nullptr);
  CHECK(read(sealed(front, frame(""))) == nullptr);
  CHECK(read(sealed(front, noise(200))) == nullptr);
  CHECK(read(sealed(front, body)) == nullptr);
  // Plain strings of another size than the front declares.
  std::string larger = front;
  larger[body_size_at] = static_cast<char>(larger[body_size_at] + 1);
  CHECK(read(sealed(larger, packed)) == nullptr);
  // Strings that were compressed, said to be plain.
  std::string plain = front;
  set_form(plain, ValueForm::plain);
  CHECK(read(sealed(plain, packed)) == nullptr);
  CHECK(decode(value, "key", now, 7) == nullptr);
}

TEST_CASE("compression: a frame that doesn't say how much it holds is a miss") {
  const std::string value = write_value(*response(json(20'000)), defaults);
  const auto opened = open_value(value);
  REQUIRE(opened);
  std::string plain(opened->strings_size, '\0');
  REQUIRE(ZSTD_decompress(plain.data(), plain.size(), opened->strings.data(), opened->strings.size()) == plain.size());
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  std::string packed(ZSTD_compressBound(plain.size()), '\0');
  packed.resize(ZSTD_compress2(context, packed.data(), packed.size(), plain.data(), plain.size()));
  ZSTD_freeCCtx(context);
  CHECK(read(sealed(front_of(value), frame(plain))));
  CHECK(read(sealed(front_of(value), packed)) == nullptr);
}

TEST_CASE("compression: what would unpack to more than may be stored is a miss") {
  const StoredResponsePtr stored = response(std::string(500'000, 'a'));
  const std::string value = write_value(*stored, defaults);
  CHECK(value.size() < 1'000);
  const std::size_t strings = open_value(value)->strings_size;
  CHECK(read(value, strings));
  CHECK(read(value, strings - 1) == nullptr);
  // A front that declares little, before a frame that holds much.
  const std::string small = write_value(*response(json(3'000)), defaults);
  CHECK(read(sealed(front_of(small), frame(std::string(100'000'000, 'a')))) == nullptr);
}

TEST_CASE("compression: another key's value is a miss") {
  const std::string value = write_value(*response(json(5'000)), defaults);
  CHECK(read_value(value, largest, "other", now, 7) == nullptr);
  CHECK(read_value(value, largest, "ke", now, 7) == nullptr);
  CHECK(read_value(value, largest, "ke", now, 7, KeyMatch::prefix));
}
