#include "flow/replica_table.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

namespace pillion {

namespace {

constexpr std::size_t max_name = 300;

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= max_name &&
         std::ranges::all_of(name, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

std::optional<Replica> parse_replica(std::string_view name, std::string_view value) {
  const std::size_t first = value.find(' '), second = value.rfind(' ');
  if (first == std::string_view::npos || first == second || !is_name(name)) return std::nullopt;
  const auto said = number<std::int64_t>(value.substr(first + 1, second - first - 1));
  const auto mark = number<std::uint64_t>(value.substr(second + 1));
  if (!said || *said < 0 || !mark) return std::nullopt;
  Replica replica{std::string(name), {std::string(value.substr(0, first)), 0, *mark}, *said};
  replica.applied.position = packed_id(replica.applied.id);
  if (replica.applied.position == 0) replica.applied = {};
  return replica;
}

// Redis's clock may have been set back since somebody died: what was said in the future was said long ago.
std::int64_t apart(std::int64_t a, std::int64_t b) { return a > b ? a - b : b - a; }

}  // namespace

std::string replica_value(const KnownRecord& applied, std::int64_t redis_ms) {
  return (applied.id.empty() ? "0-0" : applied.id) + ' ' + std::to_string(redis_ms) + ' ' +
         std::to_string(applied.mark);
}

std::vector<Replica> parse_replicas(const RedisReply& reply) {
  std::vector<Replica> replicas;
  for (std::size_t i = 0; i + 1 < reply.elements.size() && replicas.size() < max_replicas; i += 2) {
    if (auto replica = parse_replica(reply.elements[i].text, reply.elements[i + 1].text))
      replicas.push_back(std::move(*replica));
  }
  return replicas;
}

std::vector<std::string> senseless_fields(const RedisReply& reply) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i + 1 < reply.elements.size() && names.size() < max_replicas; i += 2) {
    const std::string& name = reply.elements[i].text;
    if (!parse_replica(name, reply.elements[i + 1].text)) names.push_back(name);
  }
  return names;
}

std::vector<Replica> living_replicas(const std::vector<Replica>& replicas, std::int64_t redis_ms,
                                     std::string_view self) {
  std::vector<Replica> living;
  std::ranges::copy_if(replicas, std::back_inserter(living), [&](const Replica& replica) {
    return replica.name != self && apart(redis_ms, replica.said_ms) < replica_silence_ms;
  });
  return living;
}

std::vector<std::string> forgotten_replicas(const std::vector<Replica>& replicas, std::int64_t redis_ms) {
  std::vector<std::string> names;
  for (const Replica& replica : replicas) {
    if (apart(redis_ms, replica.said_ms) > replica_forgotten_ms) names.push_back(replica.name);
  }
  return names;
}

}  // namespace pillion
