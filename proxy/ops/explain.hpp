// What the proxy would do with a request, and why: for `pillion explain` (offline) and GET /explain. Pure: the caller
// brings configuration, routes and, where a proxy runs, what is stored.
#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/model.hpp"
#include "core/content_coding.hpp"
#include "core/message.hpp"
#include "core/reasons.hpp"
#include "core/route_table.hpp"
#include "core/stored_response.hpp"
#include "core/time.hpp"
#include "net/effective_request.hpp"

namespace pillion {

/// A request put together by hand. Owns its text; `head()` is a view of it.
class ExplainedRequest {
 public:
  /// `target` is a path with its query, or an absolute http(s) URL whose host then wins. Without a Host among the
  /// headers the host is `canonical_host`, or `localhost`. X-Forwarded-Proto and X-Forwarded-Host count, as from a
  /// trusted peer. What is wrong goes to `error`, as one line, and nullopt comes back.
  static std::optional<ExplainedRequest> make(std::string_view method, std::string_view target,
                                              const std::vector<std::pair<std::string, std::string>>& headers,
                                              std::string_view canonical_host, std::string& error);
  /// As by a listener with TLS.
  void come_over_tls() noexcept { secure_ = true; }
  /// Views are good while this object lives and is not moved.
  RequestHead head() const;

 private:
  Refusal read(std::vector<Field>& fields, RequestHead& head) const;
  std::string method_, target_;
  std::vector<std::pair<std::string, std::string>> headers_;
  mutable std::vector<Field> fields_;
  bool secure_ = false;
};

/// What a successful unsafe request would invalidate.
struct ExplainedInvalidation {
  std::vector<std::string> methods;  ///< empty: every unsafe one
  std::vector<std::string> tags, patterns, urls, paths;
};

/// What stands in the store for the request now.
struct ExplainedStored {
  std::int64_t age_ms = 0;
  std::int64_t ttl_ms = 0;  ///< negative when stale
  Detail tier = Detail::none;
  bool invalidated = false;  ///< it may only be validated; tier is not told
  std::size_t size = 0;      ///< of the body, bytes
  unsigned status = 0;
  std::string_view reuse;  ///< `fresh`, `stale-while-revalidate`, `validate` or `refuse`
  std::string key;         ///< readable, without namespace: of the variant where the URL varies
  std::vector<std::pair<Coding, std::size_t>> encoded;  ///< forms for clients that are there too, and their bytes
  std::uint64_t hits = 0;                               ///< about so many by this replica lately
  std::int64_t lifetime_ms = 0;
  bool learned = false;                 ///< `adaptive` has given it that, within the bounds of the route and its own
  std::int64_t between_changes_ms = 0;  ///< as far as refreshes told; 0 where nothing is known
};

struct Explanation {
  std::string method, target, host;
  std::string route;     ///< empty: none matches, the request passes uncached
  std::string upstream;  ///< its name
  std::string forwarded_target;
  bool cacheable = false;
  std::string reason;   ///< `ttl` or `origin` (who gives the lifetime) where cacheable, else the word of Cache-Status
  std::string because;  ///< the same as a sentence
  std::string key;      ///< primary key, bytes outside 0x20-0x7e percent-encoded; empty where it is not looked up
  std::string readable_key;                 ///< without namespace
  std::string redis_key;                    ///< with namespace
  std::vector<std::string> stores;          ///< `memory`, `redis`
  bool compresses = false;                  ///< what proves hot is compressed for clients, where it may be
  std::optional<config::Milliseconds> ttl;  ///< of a 200 that says nothing itself
  std::string ttl_from;                     ///< `ttl`, `ttl_by_status`, or `response` where only that can give one
  std::map<int, config::Milliseconds> ttl_by_status;
  /// Stale windows of the route, where the response doesn't say.
  std::optional<config::Milliseconds> stale_while_revalidate, stale_if_error;
  config::Refresh refresh;    ///< of the route
  config::Adaptive adaptive;  ///< likewise
  std::vector<std::string> tags;
  std::vector<ExplainedInvalidation> invalidates;
  bool asked_store = false;  ///< a running proxy looked; `stored` empty then means nothing is there
  std::optional<ExplainedStored> stored;
};

/// The listener that a request is taken to come by where none is named: the first without a name, else the first.
std::string_view usual_listener(const config::Config& config);
bool has_listener(const config::Config& config, std::string_view name);
/// The first one of that name has TLS.
bool listener_has_tls(const config::Config& config, std::string_view name);

Explanation explain(const config::Config& config, const RouteTable& routes, const RequestHead& request,
                    std::string_view listener);

/// What of a stored response to tell; `tier` as in ops/control.hpp's StoredLookup.
ExplainedStored explain_stored(const StoredResponse& response, Detail tier, const RequestHead& request,
                               const config::Route& route, Now now);

/// Route and parameters of a request that arrives at the first listener on which one is found.
RouteMatch match_for_explain(const RouteTable& routes, const RequestHead& request, std::string_view listener);

boost::json::object to_json(const Explanation& explanation);
/// Several lines for a person, each ended by a line feed.
std::string to_text(const Explanation& explanation);

}  // namespace pillion
