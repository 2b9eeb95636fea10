#include "net/redis_discovery.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/hash.hpp"
#include "net/redis_slots.hpp"
#include "net/redis_topology.hpp"

namespace pillion {
namespace {

using Type = RedisReply::Type;

std::uint64_t number(std::string_view digits) noexcept {
  std::uint64_t value = 0;
  const auto [rest, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return failure == std::errc() && rest == digits.data() + digits.size() ? value : 0;
}

/// The value of a line `name:value` of INFO's format; empty where there is none.
std::string_view info_value(std::string_view text, std::string_view name) noexcept {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find("\r\n"));
    text.remove_prefix(std::min(text.size(), line.size() + 2));
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':') {
      return line.substr(name.size() + 1);
    }
  }
  return {};
}

/// The value behind a name in a list of names and values; nullptr where there is none.
const RedisReply* field(const RedisReply& list, std::string_view name) noexcept {
  for (std::size_t i = 0; i + 1 < list.elements.size(); i += 2) {
    if (list.elements[i].text == name) return &list.elements[i + 1];
  }
  return nullptr;
}

/// A node of CLUSTER SLOTS: its host by the preference that the cluster has, port, id, more about it.
std::optional<config::Address> read_node(const RedisReply& node, const config::Address& asked) {
  if (node.elements.size() < 2 || node.elements[1].type != Type::integer) return std::nullopt;
  const std::int64_t port = node.elements[1].integer;
  std::string host = node.elements[0].text;  // empty for nil
  // It prefers names and this one has none.
  if (host == "?" && node.elements.size() > 3) {
    const RedisReply* ip = field(node.elements[3], "ip");
    host = ip != nullptr ? ip->text : std::string();
  }
  if (host.empty()) host = asked.host;
  if (port < 1 || port > 65535 || host.empty() || !is_redis_host(host)) return std::nullopt;
  return config::Address{std::move(host), static_cast<std::uint16_t>(port), {}};
}

}  // namespace

std::optional<RedisClusterMap> read_cluster_map(const RedisReply& info, const RedisReply& slots,
                                                const config::Address& asked) {
  if (info.type != Type::string || slots.type != Type::array || slots.elements.empty()) return std::nullopt;
  RedisClusterMap map;
  map.is_ok = info_value(info.text, "cluster_state") == "ok";
  map.epoch = number(info_value(info.text, "cluster_current_epoch"));
  map.slots.assign(redis_slots, RedisView::unserved);
  std::map<std::pair<std::string, std::uint16_t>, std::uint16_t> known;
  for (const RedisReply& range : slots.elements) {
    if (range.elements.size() < 3) return std::nullopt;
    const RedisReply &first = range.elements[0], &last = range.elements[1];
    if (first.type != Type::integer || last.type != Type::integer) return std::nullopt;
    if (first.integer < 0 || last.integer < first.integer || last.integer >= redis_slots) return std::nullopt;
    const auto master = read_node(range.elements[2], asked);
    if (!master) return std::nullopt;
    const auto [entry, is_new] = known.try_emplace({master->host, master->port}, map.masters.size());
    if (is_new) map.masters.push_back(*master);
    if (map.masters.size() > RedisTopology::max_masters) return std::nullopt;
    std::fill(map.slots.begin() + first.integer, map.slots.begin() + last.integer + 1, entry->second);
  }
  return map;
}

std::optional<RedisNamedMaster> read_named_master(const RedisReply& address, const RedisReply& fields) {
  if (address.type != Type::array || address.elements.size() != 2 || fields.type != Type::array) return std::nullopt;
  const std::string& host = address.elements[0].text;
  const auto port = redis_port(address.elements[1].text);
  const RedisReply* epoch = field(fields, "config-epoch");
  if (host.empty() || !is_redis_host(host) || !port || epoch == nullptr) return std::nullopt;
  return RedisNamedMaster{{host, *port, {}}, number(epoch->text)};
}

std::uint64_t copy_of(const RedisReply& info) noexcept {
  if (info.type != Type::string) return 0;
  const std::string_view name = info_value(info.text, "master_replid");
  return name.empty() ? 0 : std::max<std::uint64_t>(1, hash64(name));
}

}  // namespace pillion
