// Whether a stored response may answer a request (RFC 9111 4). Pure.
#pragma once

#include <optional>

#include "core/storability.hpp"

namespace pillion {

enum class Reuse : std::uint8_t {
  fresh,     ///< answer with it
  behind,    ///< answer with it though it is stale, and refresh it behind the answer (RFC 5861 3)
  validate,  ///< stale or to be checked: ask the upstream, with its validators where it has some (RFC 9111 4.3)
  refuse,    ///< not for this request: as if nothing were stored
};

struct ReuseDecision {
  Reuse reuse = Reuse::refuse;
  Forward forward = Forward::none;  ///< why it is not answered from the store: stale, request, bypass...
  Detail detail = Detail::none;
  std::int64_t age_ms = 0;
  std::int64_t ttl_ms = 0;    ///< lifetime left, negative when stale
  bool serves_error = false;  ///< with `validate`: it may answer where the upstream fails (RFC 5861 4)
};

/// Permission and lifetime worked out anew: directives of the request (max-age, min-fresh, max-stale, no-cache), of the
/// response (no-cache, must-revalidate...), personal rules of the route, and everything may_store() would refuse today
/// (but `Vary`, which selects the variant before). A request's no-store forbids storing only: what is stored may answer
/// it (RFC 9111 5.2.1.5). Whether the method, a body, Range or the path keep a request from being looked up is the
/// caller's to say before.
///
/// A client's no-cache wants an answer of the upstream, be it an error; any other wish for a fresher one is given up
/// where only errors are to be had.
///
/// `fresh` with a negative ttl_ms is a stale answer that the client's max-stale permits. `forward` is none for `fresh`.
/// It is bypass where the route doesn't cache, miss where the route of today wouldn't have stored it, request where
/// only this request may not have it or wants it checked, and stale otherwise; `detail` says why something is refused.
///
/// `stale_since_ms`: the steady time of a soft invalidation. The response counts as stale from then on, unless it was
/// already; the windows for stale answers (RFC 5861) count from there. For all else it is invalidated: what a client's
/// max-stale accepts is a response that grew old, not one that was called untrue. Where it may serve as nothing but a
/// validator, `detail` is `invalidated`, and a strong entity tag alone is good for that.
ReuseDecision may_reuse(const RequestFacts& facts, const ResponseMeta& meta, const config::Route& route, Now now,
                        std::optional<std::int64_t> stale_since_ms = {}) noexcept;

}  // namespace pillion
