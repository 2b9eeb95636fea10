// One request on its way: what was worked out about it, and what came of it. Values, no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/cache_key.hpp"
#include "core/content_coding.hpp"
#include "core/reasons.hpp"
#include "core/reuse.hpp"
#include "core/storability.hpp"
#include "flow/context.hpp"
#include "telemetry/decision_ring.hpp"

namespace pillion {

/// What the head of a request says about how it is served.
struct Plan {
  RouteMatch match;
  const CompiledRoute* route = nullptr;
  const config::Upstream* upstream = nullptr;  ///< nullptr: there is nowhere to send it
  RequestFacts facts;
  bool look_up = false;             ///< the store may have an answer
  Forward forward = Forward::none;  ///< why not, where it isn't looked up
  Detail why = Detail::none;
  bool upgrade = false;
  bool warming = false;  ///< for no client: what is found isn't marked as asked for, what is stored is cold
  bool has_key() const noexcept { return look_up || why == Detail::shadow; }
  std::string primary_key;  ///< where has_key()
  Hash128 hash;
  std::string search_rule;  ///< of No-Vary-Search, under which the query was keyed; empty: none
};

/// Why a request is not looked up; both none where it is.
struct NotLookedUp {
  Forward forward = Forward::none;
  Detail why = Detail::none;
};
/// The questions in their order, for requests and for explain alike.
NotLookedUp why_not_looked_up(const RequestHead& request, const config::Route& route, bool has_body);

/// facts_of(), without the directives where the route ignores them.
RequestFacts facts_for(const RequestHead& request, const config::Route& route) noexcept;

/// Works out the plan; `plan` is reused so that its memory is.
void make_plan(const RequestHead& request, const std::string& listener, bool has_body, const Snapshot& snapshot,
               const SearchRules& search_rules, Plan& plan);

/// The primary key of a request without its query: what search rules are known by.
std::string path_key_of(const RequestHead& request, const RouteMatch& match, std::string_view upstream_name);
/// The primary key under a search rule (not empty).
std::string search_key_of(const RequestHead& request, const RouteMatch& match, std::string_view path_key,
                          std::string_view rule);

/// The same of a stored response: what a look-up found.
struct Found {
  StoredResponsePtr response;  ///< usable for this request: fresh, or to be validated
  Detail tier = Detail::none;
  ReuseDecision decision;               ///< meaningful where response is set
  Forward forward = Forward::uri_miss;  ///< why it goes to the upstream, unless fresh
  StoredResponsePtr marker;             ///< where the URL varies
  StoredResponsePtr learned_from;       ///< invalidated and of no other use: what was learned of its key goes on
  std::string key;                      ///< where it varies: primary key and variant
  Hash128 hash;
  bool varies = false;
  bool unsure = false;       ///< from memory, while other replicas' invalidations aren't heard
  bool strong_only = false;  ///< it was invalidated, hard or softly: a strong entity tag alone can tell that it holds
  /// In memory: the key of the response, or of its marker, has changed in Redis: to be compared (flow/suspects.hpp)
  /// before anything is done with it.
  bool response_suspect = false, marker_suspect = false;
  InRedis seen;                  ///< what stands in Redis under the primary key
  InRedis seen_variant;          ///< and under the selected variant's, which is
  std::string seen_variant_key;  ///< this one, readable; empty: none was looked for
  bool is_suspect() const noexcept { return response_suspect || marker_suspect; }
  bool is_fresh() const noexcept { return response && decision.reuse == Reuse::fresh && !is_suspect(); }
  bool answers_behind() const noexcept { return response && decision.reuse == Reuse::behind && !is_suspect(); }
  bool serves_error() const noexcept { return response && decision.serves_error; }
};

/// What came of a request: for metrics and the access log.
struct Outcome {
  unsigned status = 0;
  Result result = Result::pass;
  Detail tier = Detail::none;
  Detail detail = Detail::none;
  bool collapsed = false;
  bool stored = false;
  bool unsure = false;
  bool ahead = false;                ///< a fetch was begun behind it, since what it answered with ends soon
  Coding coding = Coding::identity;  ///< of the answer, where it is an encoded form of a stored response
  Coding wished = Coding::identity;  ///< the one that would have been better, if it were there
  std::uint64_t saved_bytes = 0;     ///< by sending an encoded form
  std::uint64_t upstream_us = 0;
  std::int64_t ttl_ms = 0;       ///< of an answer from a store: lifetime left
  unsigned upstream_status = 0;  ///< 0: it didn't answer
  Compared compared = Compared::no;
  TrailNotes* trail = nullptr;  ///< where what happens is noted; null for a hit in memory
};

}  // namespace pillion
