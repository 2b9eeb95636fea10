#include "flow/learning.hpp"

#include "core/freshness.hpp"

namespace pillion {

namespace {

// By this process's clock, when the contents were made; nullopt where the numbers (of Redis, maybe) can't be.
std::optional<std::int64_t> made_at(const ResponseMeta& meta) {
  std::int64_t at = 0;
  if (__builtin_sub_overflow(meta.received_mono_ms, std::int64_t{meta.initial_age_ms}, &at)) return std::nullopt;
  return at;
}

std::optional<std::int64_t> between(const ResponseMeta& old, const ResponseMeta& fresh) {
  const auto from = made_at(old), to = made_at(fresh);
  std::int64_t interval = 0;
  if (!from || !to || __builtin_sub_overflow(*to, *from, &interval)) return std::nullopt;
  return interval;
}

// Its lot shortens one lifetime, and isn't learned from.
Lifetime without_jitter(ResponseMeta meta, const config::Route& route) {
  meta.draw = 0;
  return lifetime_of(meta, route);
}

}  // namespace

void take_over(const Beside& beside, const config::Route& route, StoredParts& parts) {
  ResponseMeta& meta = parts.meta;
  meta.draw = lifetime_draw(parts.primary_key, meta.received_wall_ms);
  if (!route.adaptive.is_on() || !beside.old) return;
  const ResponseMeta& before = beside.old->meta();
  meta.learned = before.learned;
  parts.history = beside.old->history();
  if (!beside.same) return;
  const Lifetime had = without_jitter(before, route);
  const auto interval = between(before, meta);
  if (!interval || *interval <= 0 || had.from == LifetimeFrom::none || had.from == LifetimeFrom::ttl_by_status) return;
  const Learned learned = learn(parts.history, {*beside.same, *interval, beside.requests, had.ms}, route.adaptive);
  meta.learned = pack_lifetime(learned.lifetime_ms);
  parts.history = learned.history;
}

std::optional<Lesson> lesson_of(const StoredResponse& old, const StoredResponse& fresh, const config::Route& route) {
  if (!route.adaptive.is_on() || fresh.history() == old.history()) return std::nullopt;
  return Lesson{without_jitter(old.meta(), route).ms, without_jitter(fresh.meta(), route).ms};
}

}  // namespace pillion
