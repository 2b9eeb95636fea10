#include "flow/replica_table.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "flow/log_record.hpp"

namespace pillion {

namespace {

constexpr std::size_t max_name = 300;

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= max_name &&
         std::ranges::all_of(name, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n < 0) return std::nullopt;
  return n;
}

bool counts(const Replica& replica, std::int64_t redis_ms) { return redis_ms - replica.said_ms < replica_silence_ms; }

}  // namespace

std::string replica_value(std::string_view applied_id, std::int64_t redis_ms) {
  return std::string(applied_id) + ' ' + std::to_string(redis_ms);
}

std::vector<Replica> parse_replicas(const RedisReply& reply) {
  std::vector<Replica> replicas;
  for (std::size_t i = 0; i + 1 < reply.elements.size() && replicas.size() < max_replicas; i += 2) {
    const std::string_view name = reply.elements[i].text, value = reply.elements[i + 1].text;
    const std::size_t space = value.find(' ');
    if (space == std::string_view::npos || !is_name(name)) continue;
    const auto said = number(value.substr(space + 1));
    if (said) replicas.push_back({std::string(name), packed_id(value.substr(0, space)), *said});
  }
  return replicas;
}

ReplicasAt replicas_at(const std::vector<Replica>& replicas, std::uint64_t position, std::int64_t redis_ms,
                       std::string_view self) {
  ReplicasAt at;
  for (const Replica& replica : replicas) {
    if (replica.name == self || !counts(replica, redis_ms)) continue;
    (position != 0 && replica.applied >= position ? at.acknowledged : at.waiting).push_back(replica.name);
  }
  return at;
}

std::vector<std::string> forgotten_replicas(const std::vector<Replica>& replicas, std::int64_t redis_ms) {
  std::vector<std::string> names;
  for (const Replica& replica : replicas) {
    if (redis_ms - replica.said_ms > replica_forgotten_ms) names.push_back(replica.name);
  }
  return names;
}

}  // namespace pillion
