// GET /recent: what was decided for the last requests, step by step. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/route_table.hpp"
#include "flow/remembered.hpp"

namespace pillion {

inline constexpr std::size_t max_recent = 1000;

/// One step of a decision. `what` is a word for machines: `route`, `memory`, `redis`, `look-up`, `upstream`, `store`,
/// `compare`, `invalidate`, `refresh` or `answer`; `reason` likewise, where there is one; `text` is for people.
struct DecisionStep {
  std::string_view what;
  std::string reason, text;
};
std::vector<DecisionStep> steps_of(const PastDecision& decision);

/// As one object: id, time, method, path, route, key, result, status, tier, detail, bytes, duration, steps. `routes`:
/// to work out the readable key of a hit; where the route is another by now the hash alone is told.
boost::json::object to_json(const PastDecision& decision, const RouteTable& routes);

/// The query of /recent: `path`, `result`, `id`, `limit` (1 to 1000, default 100); or what is wrong with it.
std::variant<InsightsAsked, std::string> parse_recent_query(const std::map<std::string, std::string>& query);

/// What a word of `detail=` means, as the end of a sentence; empty for none.
std::string_view meaning_of(Detail detail) noexcept;

}  // namespace pillion
