// What each part of a hit costs by itself: reading a request's head, finding its route, making its key, looking it up,
// deciding whether it may answer, writing the head. Times and, with --benchmark_perf_counters=INSTRUCTIONS,
// instructions.
//
//   ninja -C build/release pillion_microbench && build/release/tests/bench/pillion_microbench
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "core/cache_key.hpp"
#include "core/cache_status.hpp"
#include "core/freshness.hpp"
#include "core/reuse.hpp"
#include "core/route_table.hpp"
#include "net/effective_request.hpp"
#include "net/message_parser.hpp"
#include "net/output_queue.hpp"
#include "store/memory_store.hpp"

using namespace pillion;

namespace {

constexpr std::string_view small_request =
    "GET /api/characters/char_123?page=2 HTTP/1.1\r\nHost: app.example.com\r\n\r\n";
constexpr std::string_view browser_request =
    "GET /api/characters/char_123?page=2 HTTP/1.1\r\nHost: app.example.com\r\nConnection: keep-alive\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nReferer: http://app.example.com/\r\nUpgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\n"
    "Priority: u=0, i\r\n\r\n";

std::string_view request_of(const benchmark::State& state) {
  return state.range(0) == 0 ? small_request : browser_request;
}

// A request as it is after parsing; owns nothing but its fields.
struct Parsed {
  explicit Parsed(std::string_view text) : parser(fields, {}) {
    std::size_t from = 0;
    if (parser.parse_head(text.substr(0, find_head_end(text, from))) != ParseError::none) std::abort();
    if (make_effective({parser.method(), parser.target(), parser.minor(), fields}, false, head)) std::abort();
  }
  std::vector<Field> fields;
  RequestParser parser;
  RequestHead head;
};

config::Config config_of(std::size_t routes) {
  config::Config config;
  config.upstreams.push_back({});
  config.upstreams.back().name = "app";
  for (std::size_t i = 0; i + 1 < routes; ++i) {
    config::Route route;
    route.name = "part" + std::to_string(i);
    route.path = "/api/v" + std::to_string(i % 7) + "/part" + std::to_string(i) + "/{id}";
    route.upstream = "app";
    config.routes.push_back(route);
  }
  config::Route route;
  route.name = "character";
  route.path = "/api/characters/{character_id}";
  route.key = "character:{character_id}";
  route.upstream = "app";
  route.cache = config::CacheMode::on;
  config.routes.push_back(route);
  return config;
}

ResponseMeta stored_meta(Now now) {
  static const std::vector<Field> fields{{"Date", "Thu, 01 Jan 2026 00:00:00 GMT", name_of("Date")},
                                         {"Cache-Control", "max-age=3600", name_of("Cache-Control")}};
  ResponseHead head;
  head.status = 200;
  head.fields = fields;
  return make_meta(head, now.mono_ms, now);
}

constexpr Now arrival{1'767'225'600'000, 50'000};
constexpr std::string_view stored_head =
    "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n"
    "Cache-Control: max-age=3600\r\nContent-Length: 1024\r\n";

std::string key_number(std::uint64_t number) {
  return "app http app.example.com /api/characters/" + std::to_string(number);
}

StoredResponsePtr response_of(const std::string& key, std::string_view body) {
  StoredParts parts;
  parts.meta = stored_meta(arrival);
  parts.primary_key = key;
  parts.readable_key = key;
  parts.head = stored_head;
  parts.body = body;
  return StoredResponse::make(parts);
}

void parse_request_head(benchmark::State& state) {
  const std::string_view text = request_of(state);
  std::vector<Field> fields;
  for (auto _ : state) {
    std::size_t from = 0;
    RequestParser parser(fields, {});
    benchmark::DoNotOptimize(parser.parse_head(text.substr(0, find_head_end(text, from))));
  }
}
BENCHMARK(parse_request_head)->ArgName("browser")->Arg(0)->Arg(1);

void make_request_effective(benchmark::State& state) {
  const Parsed parsed(request_of(state));
  RequestHead head;
  for (auto _ : state) {
    benchmark::DoNotOptimize(make_effective(
        {parsed.parser.method(), parsed.parser.target(), parsed.parser.minor(), parsed.fields}, true, head));
  }
}
BENCHMARK(make_request_effective)->ArgName("browser")->Arg(0)->Arg(1);

void find_route(benchmark::State& state) {
  const RouteTable routes(config_of(static_cast<std::size_t>(state.range(0))));
  const Parsed parsed(small_request);
  RouteMatch match;
  for (auto _ : state) {
    routes.match({}, parsed.head.host, parsed.head.path, match);
    benchmark::DoNotOptimize(match.route);
  }
}
BENCHMARK(find_route)->ArgName("routes")->Arg(5)->Arg(10'000);

void make_key(benchmark::State& state) {
  const RouteTable routes(config_of(5));
  const Parsed parsed(small_request);
  RouteMatch match;
  routes.match({}, parsed.head.host, parsed.head.path, match);
  std::string key;
  for (auto _ : state) {
    key.clear();
    append_primary_key(parsed.head, match, "app", key);
    benchmark::DoNotOptimize(hash128(key));
  }
}
BENCHMARK(make_key);

// Keys in an order that looks random, so that a store larger than the CPU's caches is seen as one.
void look_up_in_memory(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  MemoryStore store(std::size_t{4} << 30, 1u << 20);
  std::vector<std::string> keys;
  std::vector<Hash128> hashes;
  for (std::uint64_t i = 0; i < count; ++i) {
    keys.push_back(key_number(i));
    hashes.push_back(hash128(keys.back()));
    store.store(hashes.back(), response_of(keys.back(), "a short body"));
  }
  std::mt19937_64 random(1);
  std::vector<std::uint32_t> order(1u << 16);
  for (std::uint32_t& place : order) place = static_cast<std::uint32_t>(random() % count);
  std::size_t next = 0;
  for (auto _ : state) {
    const std::uint32_t place = order[next++ % order.size()];
    benchmark::DoNotOptimize(store.find(hashes[place], keys[place]));
  }
}
BENCHMARK(look_up_in_memory)->ArgName("stored")->Arg(1)->Arg(1000)->Arg(1'000'000);

void decide_reuse(benchmark::State& state) {
  const Parsed parsed(request_of(state));
  const config::Route route = config_of(1).routes.front();
  const ResponseMeta meta = stored_meta(arrival);
  const Now later{arrival.wall_ms + 5000, arrival.mono_ms + 5000};
  for (auto _ : state) {
    const RequestFacts facts = facts_of(parsed.head);
    benchmark::DoNotOptimize(may_reuse(facts, meta, route, later));
  }
}
BENCHMARK(decide_reuse)->ArgName("browser")->Arg(0)->Arg(1);

// As flow/respond.cpp puts a hit together: stored bytes by reference, what is this answer's own after them.
void write_head(benchmark::State& state) {
  const StoredResponsePtr stored = response_of(key_number(1), std::string(1024, 'b'));
  CacheStatus status;
  status.hit = status.has_ttl = true;
  status.ttl_s = 3595;
  status.detail = Detail::memory;
  OutputQueue out;
  for (auto _ : state) {
    out.pin(stored);
    out.refer(stored->head());
    out.scratch() += "Age: 5\r\nCache-Status: ";
    append_cache_status(status, out.scratch());
    out.scratch() += "\r\n\r\n";
    out.end_scratch();
    out.refer(stored->body());
    benchmark::DoNotOptimize(out.total());
    out.clear();
  }
}
BENCHMARK(write_head);

}  // namespace

BENCHMARK_MAIN();
