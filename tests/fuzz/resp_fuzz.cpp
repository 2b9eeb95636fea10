// RESP replies: no crash; the same replies and the same error however the bytes are split; allocation bounded by the
// bytes received; a reply never larger than the bound.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/redis_codec.hpp"

namespace {

constexpr std::size_t max_reply = 2000;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "resp_fuzz: %s\n", what);
  std::abort();
}

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
      if (!reader.error().empty()) fail("a reply after an error");
      Weight weight;
      write(*reply, out, weight);
      // A value takes four bytes on the wire at least (`+\r\n` three); vectors may have grown to twice their size.
      if (weight.values > max_reply / 3 + 1) fail("more values than bytes for them");
      if (weight.bytes > bytes.size() * sizeof(pillion::RedisReply) + 64) fail("more memory than bytes for it");
      out += '\n';
    }
  }
  if (bytes.size() > max_reply && reader.error().empty() && reader.in_reply() && out.empty())
    fail("a reply over the bound is still awaited");
  return out + (reader.error().empty() ? (reader.in_reply() ? "..." : ".") : "!");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = outcome(bytes, size + 1);
  for (const std::size_t step : {std::size_t{1}, std::size_t{3}, 1 + size / 2}) {
    if (outcome(bytes, step) != whole) fail("the outcome depends on how the bytes are split");
  }
  return 0;
}
