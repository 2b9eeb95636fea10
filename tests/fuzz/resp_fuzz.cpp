// RESP replies: no crash; the same replies and the same error however the bytes are split; allocation bounded by the
// bytes received; a reply never larger than the bound.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "input.hpp"
#include "net/redis_codec.hpp"

using pillion::fuzz::require;

namespace {

constexpr std::size_t max_reply = 2000;

struct Weight {
  std::size_t values = 0, bytes = 0;
};

void write(const pillion::RedisReply& reply, std::string& out, Weight& weight) {
  ++weight.values;
  weight.bytes += reply.text.capacity() + reply.elements.capacity() * sizeof reply;
  out += static_cast<char>('a' + static_cast<int>(reply.type));
  out += std::to_string(reply.integer) + ',' + std::to_string(reply.text.size()) + ':' + reply.text + '[';
  for (const auto& element : reply.elements) write(element, out, weight);
  out += ']';
}

/// Everything that comes out of `bytes`, fed in pieces of `step`.
std::string outcome(std::string_view bytes, std::size_t step) {
  pillion::RedisReplyReader reader(max_reply);
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    reader.feed(bytes.substr(at, step));
    while (const auto reply = reader.next()) {
      require(reader.error().empty(), "no reply after an error");
      Weight weight;
      write(*reply, out, weight);
      // A value takes four bytes on the wire at least (`+\r\n` three); vectors may have grown to twice their size.
      require(weight.values <= max_reply / 3 + 1, "no more values than bytes for them");
      require(weight.bytes <= bytes.size() * sizeof(pillion::RedisReply) + 64, "memory bounded by bytes");
      out += '\n';
    }
  }
  require(!(bytes.size() > max_reply && out.empty() && reader.error().empty()), "nothing over the bound is awaited");
  return out + (reader.error().empty() ? (reader.in_reply() ? "..." : ".") : "!");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = outcome(bytes, size + 1);
  for (const std::size_t step : {std::size_t{1}, std::size_t{3}, 1 + size / 2}) {
    require(outcome(bytes, step) == whole, "the same however the bytes are split");
  }
  return 0;
}
