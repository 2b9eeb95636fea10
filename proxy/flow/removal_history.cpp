#include "flow/removal_history.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace pillion {
namespace {

constexpr std::size_t longest_info = 1u << 20;
constexpr std::size_t longest_run_id = 64;

// Commands of Redis 7.0 that read, that administrate, or that write no more than they are given. Those on elements of
// lists, hashes, sets and streams take such a key away with its last element, and none of ours is one.
constexpr std::array harmless = std::to_array<std::string_view>({
    "acl",
    "append",
    "asking",
    "auth",
    "bgrewriteaof",
    "bgsave",
    "bitcount",
    "bitfield",
    "bitfield_ro",
    "bitpos",
    "blmove",
    "blmpop",
    "blpop",
    "brpop",
    "brpoplpush",
    "bzmpop",
    "bzpopmax",
    "bzpopmin",
    "client",
    "cluster",
    "command",
    "config",
    "dbsize",
    "decr",
    "decrby",
    "discard",
    "dump",
    "echo",
    "eval",
    "eval_ro",
    "evalsha",
    "evalsha_ro",
    "exec",
    "exists",
    "expiretime",
    "fcall",
    "fcall_ro",
    "function",
    "geoadd",
    "geodist",
    "geohash",
    "geopos",
    "georadius_ro",
    "georadiusbymember_ro",
    "geosearch",
    "get",
    "getbit",
    "getrange",
    "getset",
    "hdel",
    "hello",
    "hexists",
    "hget",
    "hgetall",
    "hincrby",
    "hincrbyfloat",
    "hkeys",
    "hlen",
    "hmget",
    "hmset",
    "hrandfield",
    "hscan",
    "hset",
    "hsetnx",
    "hstrlen",
    "hvals",
    "incr",
    "incrby",
    "incrbyfloat",
    "info",
    "keys",
    "lastsave",
    "latency",
    "lcs",
    "lindex",
    "linsert",
    "llen",
    "lmove",
    "lmpop",
    "lolwut",
    "lpop",
    "lpos",
    "lpush",
    "lpushx",
    "lrange",
    "lrem",
    "lset",
    "ltrim",
    "memory",
    "mget",
    "monitor",
    "mset",
    "msetnx",
    "multi",
    "object",
    "persist",
    "pexpireat",
    "pexpiretime",
    "pfadd",
    "pfcount",
    "pfselftest",
    "ping",
    "psetex",
    "psubscribe",
    "psync",
    "pttl",
    "publish",
    "pubsub",
    "punsubscribe",
    "quit",
    "randomkey",
    "readonly",
    "readwrite",
    "replconf",
    "reset",
    "role",
    "rpop",
    "rpoplpush",
    "rpush",
    "rpushx",
    "sadd",
    "save",
    "scan",
    "scard",
    "script",
    "sdiff",
    "select",
    "set",
    "setbit",
    "setex",
    "setnx",
    "setrange",
    "sinter",
    "sintercard",
    "sismember",
    "slowlog",
    "smembers",
    "smismember",
    "smove",
    "sort_ro",
    "spop",
    "spublish",
    "srandmember",
    "srem",
    "sscan",
    "ssubscribe",
    "strlen",
    "subscribe",
    "substr",
    "sunion",
    "sunsubscribe",
    "sync",
    "time",
    "touch",
    "ttl",
    "type",
    "unsubscribe",
    "unwatch",
    "wait",
    "watch",
    "xack",
    "xadd",
    "xautoclaim",
    "xclaim",
    "xdel",
    "xgroup",
    "xinfo",
    "xlen",
    "xpending",
    "xrange",
    "xread",
    "xreadgroup",
    "xrevrange",
    "xsetid",
    "xtrim",
    "zadd",
    "zcard",
    "zcount",
    "zdiff",
    "zincrby",
    "zinter",
    "zintercard",
    "zlexcount",
    "zmpop",
    "zmscore",
    "zpopmax",
    "zpopmin",
    "zrandmember",
    "zrange",
    "zrangebylex",
    "zrangebyscore",
    "zrank",
    "zrem",
    "zremrangebylex",
    "zremrangebyrank",
    "zremrangebyscore",
    "zrevrange",
    "zrevrangebylex",
    "zrevrangebyscore",
    "zrevrank",
    "zscan",
    "zscore",
    "zunion",
});
static_assert(std::ranges::is_sorted(harmless));

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

/// What follows `name` in that line, if it begins so.
std::optional<std::string_view> after(std::string_view line, std::string_view name) {
  if (!line.starts_with(name)) return std::nullopt;
  return line.substr(name.size());
}

/// `del:calls=5,usec=...`: the calls, 0 for a command that never removes.
std::optional<std::uint64_t> removing_calls(std::string_view stat) {
  const std::size_t colon = stat.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view name = stat.substr(0, stat.find('|'));  // `client|id` is one of client's
  const auto calls = after(stat.substr(colon + 1), "calls=");
  if (!calls) return std::nullopt;
  return never_removes(name.substr(0, colon)) ? 0 : number(*calls);
}

}  // namespace

bool never_removes(std::string_view command) noexcept { return std::ranges::binary_search(harmless, command); }

std::optional<RemovalCounts> parse_removal_counts(std::string_view info) {
  if (info.size() > longest_info) return std::nullopt;
  RemovalCounts counts;
  bool has_evicted = false, has_commands = false;
  while (!info.empty()) {
    const std::size_t end = std::min(info.find("\r\n"), info.size());
    const std::string_view line = info.substr(0, end);
    info.remove_prefix(std::min(end + 2, info.size()));
    if (const auto id = after(line, "run_id:")) {
      counts.run_id = id->substr(0, longest_run_id);
    } else if (const auto evicted = after(line, "evicted_keys:")) {
      const auto n = number(*evicted);
      if (!n) return std::nullopt;
      counts.evicted = *n;
      has_evicted = true;
    } else if (const auto stat = after(line, "cmdstat_")) {
      const auto n = removing_calls(*stat);
      if (!n) return std::nullopt;
      counts.removing += *n;
      has_commands = true;
    }
  }
  if (!has_evicted || !has_commands || counts.run_id.empty()) return std::nullopt;
  return counts;
}

void RemovalHistory::note(std::uint64_t position, RemovalCounts counts) {
  if (!entries_.empty() && entries_.back().counts == counts) return;
  if (entries_.size() >= max_entries) entries_.pop_front();
  entries_.push_back({position, std::move(counts)});
}

const RemovalCounts* RemovalHistory::before(std::uint64_t position) const noexcept {
  const auto later = std::ranges::partition_point(entries_, [&](const Entry& e) { return e.position < position; });
  return later == entries_.begin() ? nullptr : &std::prev(later)->counts;
}

Removal removal_between(const RemovalCounts& before, const RemovalCounts& after) noexcept {
  if (before.run_id != after.run_id || after.evicted < before.evicted || after.removing < before.removing)
    return Removal::unclear;
  if (after.evicted == before.evicted) return Removal::removed;
  return after.removing == before.removing ? Removal::evicted : Removal::unclear;
}

}  // namespace pillion
