// What was decided for the last requests of one worker, for `pillion why` and GET /recent. Written for each request, so
// a hit costs a few stores; put into words only where somebody reads it (ops/recent.hpp). Worker-local.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "core/content_coding.hpp"
#include "core/hash.hpp"
#include "core/message.hpp"
#include "core/reasons.hpp"

namespace pillion {

struct RouteCounters;

/// What a store had for a request.
enum class Seen : std::uint8_t {
  not_asked,     ///< the route doesn't use it, or the one before it had a fresh one
  out_of_reach,  ///< Redis is down, or its invalidations aren't heard
  nothing,
  other_variant,  ///< stored for other values of the fields that it varies by
  fresh,
  behind,   ///< stale, and good for an answer while it is refreshed
  stale,    ///< to be asked about, or fetched anew
  refused,  ///< stored, but not for this request or not by today's settings
  invalidated,
};

/// What a shadow route's stored response would have been, beside the application's answer.
enum class Compared : std::uint8_t { no, same, other };

/// What a request met that was more than a hit in memory.
struct TrailFacts {
  Seen memory = Seen::not_asked, redis = Seen::not_asked;
  bool looked_up = false;
  bool unsure = false;              ///< other replicas' invalidations weren't heard
  Forward forward = Forward::none;  ///< why it went to the upstream
  Detail why = Detail::none;        ///< the same in a word: why it wasn't looked up, or what was stored wasn't used
  bool collapsed = false;           ///< another's fetch was waited for
  bool stored = false;
  bool refreshing = false;  ///< a fetch in the background was begun
  Compared compared = Compared::no;
  std::uint16_t upstream_status = 0;  ///< 0: it didn't answer, or wasn't asked
  std::uint32_t upstream_us = 0;
};

/// The same while the request is on its way.
struct TrailNotes : TrailFacts {
  std::string invalidated;  ///< what it invalidated: names of selectors, `, ` between
};

/// The same as it is remembered.
struct Trail : TrailFacts {
  static constexpr std::size_t max_target = 1000, max_names = 500;
  std::string method, target, invalidated;  ///< bounded by whoever fills them in
};

/// One decision; 256 bytes.
struct Decision {
  static constexpr std::size_t max_text = 192;
  enum Flag : std::uint8_t { trailed = 1, keyed = 2, target_cut = 4 };

  std::int64_t finished_ns;  ///< steady time
  std::int64_t ttl_ms;       ///< of a stored answer: lifetime left
  std::uint64_t bytes;
  const RouteCounters* route;
  Hash128 key;
  std::uint32_t us;
  std::uint16_t status;
  Result result;
  Detail tier, detail;
  Method method;
  Coding coding = Coding::identity;  ///< of the body, where it was encoded here
  bool ahead;                        ///< a fetch was begun behind it, before what it answered with expires
  std::uint8_t flags;
  std::uint8_t id_size, target_size;
  char text[max_text];  // request id, then target

  std::string_view id() const noexcept { return {text, id_size}; }
  std::string_view target() const noexcept { return {text + id_size, target_size}; }
  /// Sets the flag target_cut too; `flags` has to be set before.
  void set_text(std::string_view id, std::string_view target) noexcept {
    const std::size_t i = std::min<std::size_t>(id.size(), 128);
    const std::size_t t = std::min(target.size(), max_text - i);
    if (i != 0) std::memcpy(text, id.data(), i);
    if (t != 0) std::memcpy(text + i, target.data(), t);
    id_size = static_cast<std::uint8_t>(i);
    target_size = static_cast<std::uint8_t>(t);
    if (t < target.size()) flags |= target_cut;
  }
};
static_assert(std::is_trivially_copyable_v<Decision> && sizeof(Decision) == 256);

class DecisionRing {
 public:
  static constexpr std::size_t size = 1024;  ///< a power of two

  DecisionRing();
  DecisionRing(const DecisionRing&) = delete;

  /// The place of the next decision, to be filled in wholly.
  Decision& next() noexcept { return decisions_[count_++ & (size - 1)]; }
  /// That of a decision just had from next(); what stands in it is an older one's. Sets its flag.
  Trail& trail_of(Decision& decision);

  /// Calls `f(decision, trail or nullptr)` from the newest to the oldest, until it returns false.
  template <typename F>
  void for_each(F&& f) const {
    const std::uint64_t held = std::min<std::uint64_t>(count_, size);
    for (std::uint64_t i = 1; i <= held; ++i) {
      const std::size_t place = (count_ - i) & (size - 1);
      const Decision& decision = decisions_[place];
      const bool has_trail = (decision.flags & Decision::trailed) != 0;
      if (!f(decision, has_trail ? trails_[place].get() : nullptr)) return;
    }
  }

 private:
  struct Free {
    void operator()(Decision* p) const noexcept;
  };
  std::unique_ptr<Decision[], Free> decisions_;  // calloc'ed: what isn't used isn't resident
  std::unique_ptr<std::unique_ptr<Trail>[]> trails_;
  std::uint64_t count_ = 0;
};

}  // namespace pillion
