// Compressed values. A random frame behind a good front, under a checksum that holds, is a miss or an entry of the size
// that the front declares; an entry made of random parts comes back whole, and with one bit flipped is a miss.
#include <string>
#include <vector>

#include "core/stored_response_codec.hpp"
#include "input.hpp"
#include "store/compression.hpp"

using namespace pillion;
using fuzz::require;

namespace {

constexpr Now now{1'700'000'000'000, 1'000'000};
constexpr std::size_t largest = 1u << 16;

StoredResponsePtr entry_of(std::string_view body, std::uint64_t store_id) {
  StoredParts parts;
  parts.meta.status = 200;
  parts.store_id = store_id;
  parts.primary_key = "key";
  parts.readable_key = "key:00";
  parts.head = "HTTP/1.1 200 OK\r\n";
  const std::vector<std::uint32_t> selectors(store_id % 4, 7);
  parts.selectors = selectors;
  parts.body = body;
  return StoredResponse::make(parts);
}

void check_frame(fuzz::Input input) {
  const std::string body(input.number<std::uint16_t>(), 'b');
  PlainValue value = encode_plain(*entry_of(body, input.byte()));
  value.bytes.resize(value.front_size);
  set_form(value.bytes, ValueForm::zstd);
  value.bytes += input.rest();
  seal(value.bytes);
  const StoredResponsePtr entry = read_value(value.bytes, largest, "key", now, 1);
  require(!entry || entry->body().size() == body.size(), "an entry of another size than it declares");
}

void check_own(fuzz::Input input) {
  const std::size_t flip = input.number<std::uint32_t>();
  const int level = 1 + input.byte() % 9;
  const auto store_id = input.number<std::uint64_t>();
  // Repeated, so that most of them are worth compressing.
  const std::size_t times = 1 + input.byte() % 32;
  std::string body;
  for (std::size_t i = 0; i < times; ++i) body += input.rest();
  const StoredResponsePtr made = entry_of(body, store_id);
  std::string value = write_value(*made, {true, 1, level});
  require(store_id_of(std::string_view(value).substr(0, store_id_prefix)) == made->store_id(), "another store id");
  const std::size_t bound = encode(*made).size();
  const StoredResponsePtr back = read_value(value, bound, "key", now, 1);
  require(back && back->body() == body && encode(*back) == encode(*made), "an entry comes back as another");
  const std::size_t bit = flip % (value.size() * 8);
  value[bit / 8] = static_cast<char>(value[bit / 8] ^ (1 << (bit % 8)));
  require(!read_value(value, bound, "key", now, 1), "a flipped bit went unseen");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  if (input.byte() & 1) {
    check_frame(input);
  } else {
    check_own(input);
  }
  return 0;
}
