// RESP replies: no crash; the same replies and the same error however the bytes are split; allocation bounded by the
// bytes received; a reply never larger than the bound. What is read from replies about masters, slots and redirections
// names only places that can be.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "input.hpp"
#include "net/redis_codec.hpp"
#include "net/redis_discovery.hpp"
#include "net/redis_slots.hpp"
#include "net/redis_topology.hpp"

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

void check_address(const pillion::config::Address& address) {
  require(address.port != 0 && pillion::is_redis_host(address.host), "a place that can be");
}

/// All pairs of neighbours, as if they had answered the questions about masters.
void read_as_answers(std::string_view bytes) {
  pillion::RedisReplyReader reader(max_reply);
  reader.feed(bytes);
  pillion::RedisReply last;
  while (auto reply = reader.next()) {
    if (const auto to = pillion::redis_redirection(reply->text)) {
      if (to->kind != pillion::RedisRedirection::Kind::try_again) check_address(to->to);
    }
    if (const auto named = pillion::read_named_master(last, *reply)) check_address(named->address);
    if (const auto map = pillion::read_cluster_map(last, *reply, {"h", 1, {}})) {
      for (const auto& master : map->masters) check_address(master);
      require(map->slots.size() == pillion::redis_slots, "every slot");
      for (const auto slot : map->slots) {
        require(slot < map->masters.size() || slot == pillion::RedisView::unserved, "slots of masters");
      }
    }
    last = std::move(*reply);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = outcome(bytes, size + 1);
  for (const std::size_t step : {std::size_t{1}, std::size_t{3}, 1 + size / 2}) {
    require(outcome(bytes, step) == whole, "the same however the bytes are split");
  }
  read_as_answers(bytes);
  return 0;
}
