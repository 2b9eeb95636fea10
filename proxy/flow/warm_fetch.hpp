// One URL into the cache, for no client: looked up, and fetched where nothing fresh is there, by the path that a
// client's miss takes. Nothing hotter makes room for it (MemoryStore::store_cold()). Worker-local.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/message.hpp"
#include "flow/context.hpp"
#include "flow/warmed.hpp"
#include "net/client_session.hpp"

namespace pillion {

/// A request that nobody has sent: GET, with the fields that a plain client has.
class WarmRequest {
 public:
  /// `target` has the form of one (why_no_warm_url()).
  /// `own_host`: of a path where the configuration has no canonical_host.
  WarmRequest(const WarmTarget& target, const config::Config& config, const std::string& own_host);
  WarmRequest(const WarmRequest&) = delete;

  /// Why it can't be sent; empty: it can.
  std::string_view why_not() const noexcept { return why_not_; }
  /// Its views are good while this object lives.
  const RequestHead& head() const noexcept { return head_; }
  const ClientOrigin& origin() const noexcept { return origin_; }

 private:
  std::string url_, host_;
  std::vector<Field> fields_;
  RequestHead head_;
  ClientOrigin origin_;
  std::string_view why_not_;
};

/// Completes when it is stored, or it is known that it won't be. With the configuration in force now.
awaitable<Warmed> warm_one(WorkerContext& context, WarmTarget target);

/// The whole body of a GET that is answered with 200, at most `max_bytes`; else why there is none. Nothing is stored.
struct FetchedText {
  std::string body, wrong;
  bool again = false;  ///< as Warmed::again
};
awaitable<FetchedText> fetch_text(WorkerContext& context, WarmTarget target, std::size_t max_bytes);

}  // namespace pillion
