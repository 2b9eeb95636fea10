// GET /advice: what the figures say about the configuration, in sentences and for machines. Pure: figures in, advice
// out; the same figures always give the same advice.
#pragma once

#include <boost/json/array.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.hpp"
#include "telemetry/answer_watch.hpp"
#include "telemetry/counters.hpp"

namespace pillion {

/// What is known of one route, all workers together.
struct RouteFigures {
  std::string name;
  config::CacheMode cache = config::CacheMode::off;
  std::optional<config::Milliseconds> ttl;  ///< of the route's own
  bool adaptive = false;                    ///< it is where lifetimes begin, and no more
  std::uint64_t requests = 0;
  std::uint64_t looked_up = 0;  ///< of these: hits, stale answers, misses, revalidated ones
  std::uint64_t answered = 0;   ///< of these: from a store
  std::uint64_t stored = 0;
  RouteInsight insight;
};

enum class AdviceKind : std::uint8_t {
  cache_it,        ///< an uncached route whose answers repeat
  use_shadow,      ///< a shadow route whose stored answers would have been right
  does_not_pay,    ///< a cached route that hits too seldom
  ttl_too_long,    ///< what is stored is out of date before its lifetime is over
  ttl_too_short,   ///< refreshes bring what was there already
  header_matters,  ///< a request header changes the answer and isn't in the key
};
std::string_view to_string(AdviceKind) noexcept;  ///< words with `-`

struct Advice {
  AdviceKind kind = AdviceKind::cache_it;
  std::string route, text;
  std::string header;  ///< of header_matters
  std::optional<std::int64_t> suggested_ttl_ms;
  std::vector<std::pair<std::string_view, std::uint64_t>> figures;  ///< that the sentence speaks of
};

/// Fewer observations than these say nothing.
inline constexpr std::uint64_t enough_answers = 50, enough_refreshes = 20, enough_pairs = 10, enough_look_ups = 200;
/// Share of stored answers that may be other than the application's.
inline constexpr double tolerated = 0.01;

std::vector<Advice> advise(const RouteFigures& route);

/// By route, from counters, insights and configuration; those that no longer have a route are left out.
std::vector<RouteFigures> route_figures(const Counters& counters, const config::Config& config,
                                        std::map<std::string, RouteInsight> insights);
boost::json::array to_json(const std::vector<Advice>& advice);

}  // namespace pillion
