#include "flow/look_up.hpp"

#include "core/freshness.hpp"
#include "core/vary_marker.hpp"
#include "flow/suspects.hpp"

namespace pillion {

namespace {

// What a stored response of that standing means to this request.
void judge(const Plan& plan, Now at, const Standing& standing, Found& found, StoredResponsePtr stored, Detail tier) {
  found.decision = standing.invalidated
                       ? ReuseDecision{Reuse::validate, Forward::stale, Detail::invalidated, 0, 0, false}
                       : may_reuse(plan.facts, stored->meta(), plan.route->settings, at, standing.stale_since_ms);
  found.strong_only = standing.invalidated || standing.stale_since_ms;
  if (found.decision.reuse == Reuse::refuse) {
    found.forward = found.decision.forward == Forward::none ? Forward::miss : found.decision.forward;
    return;
  }
  found.forward = found.decision.forward == Forward::none ? Forward::stale : found.decision.forward;
  if (found.decision.detail == Detail::invalidated) {
    // It may still tell whether what the upstream has is the same, if its ETag is strong: a date can't tell two writes
    // of one second.
    if (stored->meta().has_strong_etag) {
      found.response = std::move(stored);
    } else if (plan.route->settings.adaptive.is_on()) {
      found.learned_from = std::move(stored);
    }
    return;
  }
  found.response = std::move(stored);
  found.tier = tier;
}

// One way in which a request may select a variant.
struct Selection {
  std::string key;  // whole key
  Hash128 variant;  // of the variant's part
  Hash128 hash;     // where it stands in memory
};

// What is looked for: a request's, or a fetch's.
struct Wanted {
  const config::Route& route;
  Fields fields;  // of the request
  const std::string& primary_key;
  const Hash128& hash;
  bool cold = false;  // by no client
};

Selection select(std::string_view list, const Wanted& wanted) {
  const std::string variant = variant_key(list, wanted.fields, wanted.route.accept_language);
  Selection selection;
  selection.variant = hash128(variant);
  selection.hash = variant_place(wanted.hash, selection.variant);
  selection.key = wanted.primary_key + variant;
  return selection;
}

// Of several that match, the most recent (RFC 9111 4.1); of two of one second, the one whose list was used last.
bool is_better(const StoredResponsePtr& candidate, const StoredResponsePtr& best) {
  return candidate && (!best || candidate->meta().date_s > best->meta().date_s);
}

void take(Selection&& selection, Found& found) {
  found.key = std::move(selection.key);
  found.hash = selection.hash;
}

}  // namespace

Found look_up_memory(const WorkerContext& context, const RequestHead& request, const Plan& plan, Now at) {
  Found found;
  found.hash = plan.hash;
  if (!plan.route->settings.store_memory) return found;
  const LocalOrder& order = context.shared.invalidations.order();
  const auto find_in_memory = [&](const Hash128& hash, std::string_view key) {
    const MemoryStore& memory = context.shared.memory;
    return plan.warming ? memory.peek(hash, key) : memory.find(hash, key);
  };
  StoredResponsePtr stored = find_in_memory(plan.hash, plan.primary_key);
  if (!stored) return found;
  if (stored->is_vary_marker()) {
    const Wanted wanted{plan.route->settings, request.fields, plan.primary_key, plan.hash};
    found.varies = true;
    found.marker = std::move(stored);
    found.marker_suspect = order.standing(*found.marker).suspect;
    stored.reset();
    std::string_view head = found.marker->head();
    for (std::string_view list = next_list(head); !list.empty(); list = next_list(head)) {
      Selection selection = select(list, wanted);
      StoredResponsePtr candidate = find_in_memory(selection.hash, selection.key);
      // One that stands in Redis is gone with the marker that named it.
      if (candidate && candidate->stands_in_redis() && !names_variant(*found.marker, selection.variant))
        candidate.reset();
      if (!is_better(candidate, stored) && !found.key.empty()) continue;
      stored = std::move(candidate);
      take(std::move(selection), found);
    }
    if (!stored) {
      found.forward = Forward::vary_miss;
      return found;
    }
  }
  Standing standing = order.standing(*stored);
  found.unsure = context.shared.invalidations.is_unsure(at);
  const bool distrusted = found.unsure && plan.route->settings.when_unsure == config::WhenUnsure::fetch;
  standing.invalidated = standing.invalidated || distrusted;
  judge(plan, at, standing, found, std::move(stored), Detail::memory);
  if (distrusted) found.decision.detail = Detail::unsure;
  found.response_suspect = standing.suspect && found.response;
  return found;
}

namespace {

// The same, with what is suspect compared.
awaitable<Found> look_up_compared(WorkerContext& context, const RequestHead& request, const Plan& plan, Now at) {
  const config::Route& route = plan.route->settings;
  // What turns out to be gone is taken out, and something else may have taken its place.
  for (int i = 0; i < 3; ++i) {
    Found found = look_up_memory(context, request, plan, at);
    if (found.marker_suspect && !co_await is_still_good(context, route, plan.hash, found.marker, at)) continue;
    if (found.response_suspect && !co_await is_still_good(context, route, found.hash, found.response, at)) continue;
    found.marker_suspect = found.response_suspect = false;
    co_return found;
  }
  Found nothing;
  nothing.hash = plan.hash;
  co_return nothing;
}

// The variant in Redis that the request selects.
awaitable<StoredResponsePtr> find_variant(WorkerContext& context, const Wanted& wanted, Now at, std::uint64_t position,
                                          const std::string& readable, Found& found) {
  StoredResponsePtr stored;
  std::string_view head = found.marker->head();
  for (std::string_view list = next_list(head); !list.empty(); list = next_list(head)) {
    Selection selection = select(list, wanted);
    const std::string key = readable + '.' + to_hex(selection.variant);
    StoredResponsePtr candidate;
    InRedis seen;
    if (names_variant(*found.marker, selection.variant))
      candidate = co_await context.redis->find(key, selection.key, at, position, KeyMatch::whole, &seen);
    if (!is_better(candidate, stored) && !found.key.empty()) continue;
    if (candidate) seen.until_ms = expires_in_redis_ms(*candidate, wanted.route, at);
    stored = std::move(candidate);
    take(std::move(selection), found);
    found.seen_variant = seen;
    found.seen_variant_key = key;
  }
  co_return stored;
}

// Of a response just read from Redis, in both orders: this process may have heard more since it was asked for.
Standing standing_of_read(const InvalidationLog& invalidations, const StoredResponse& stored) {
  Standing standing = invalidations.standing_in_redis(stored);
  const Standing here = invalidations.order().standing(stored);
  standing.invalidated = standing.invalidated || here.invalidated;
  if (!standing.stale_since_ms || (here.stale_since_ms && *here.stale_since_ms < *standing.stale_since_ms))
    standing.stale_since_ms = here.stale_since_ms;
  return standing;
}

// What was read from Redis goes into memory. A marker that stands there already knows variants of this process.
void keep_in_memory(WorkerContext& context, const Wanted& wanted, const Found& found, const StoredResponsePtr& stored) {
  Shared& shared = context.shared;
  const LocalOrder& order = shared.invalidations.order();
  const auto store = [&](const Hash128& hash, const StoredResponsePtr& response) {
    return wanted.cold ? shared.memory.store_cold(hash, response, now().mono_ms) : shared.memory.store(hash, response);
  };
  std::lock_guard lock(shared.variant_locks[wanted.hash.high % shared.variant_locks.size()]);
  if (found.marker) {
    const StoredResponsePtr own = shared.memory.peek(wanted.hash, wanted.primary_key);
    const std::string_view variant = stored->primary_key().substr(wanted.primary_key.size());
    const bool keeps = own && names_variant(*own, hash128(variant)) && !order.standing(*own).suspect;
    if (!keeps && !store(wanted.hash, found.marker)) return;
  }
  const std::string_view key = found.key.empty() ? std::string_view(wanted.primary_key) : std::string_view(found.key);
  const StoredResponsePtr there =
      wanted.cold ? shared.memory.peek(found.hash, key) : shared.memory.find(found.hash, key);
  // The same one read again takes no place: who asks the upstream about the one in memory finds it there.
  const bool keeps =
      there && !there->is_vary_marker() && !is_more_recent(stored->meta(), there->meta()) && order.is_good(*there);
  if (!keeps) store(found.hash, stored);
}

// What Redis has, and what is known of it.
awaitable<StoredResponsePtr> find_in_redis(WorkerContext& context, const Wanted& wanted, Now at,
                                           const std::string& readable, Found& in_redis, Standing& standing) {
  // The fence of what is read is taken before it is read: an invalidation in between finds it.
  const std::uint64_t position = context.shared.invalidations.fence().local;
  in_redis.hash = wanted.hash;
  StoredResponsePtr stored =
      co_await context.redis->find(readable, wanted.primary_key, at, position, KeyMatch::whole, &in_redis.seen);
  if (stored) in_redis.seen.until_ms = expires_in_redis_ms(*stored, wanted.route, at);
  if (stored && stored->is_vary_marker()) {
    in_redis.marker = std::move(stored);
    in_redis.varies = true;
    stored = co_await find_variant(context, wanted, at, position, readable, in_redis);
    if (!stored) in_redis.forward = Forward::vary_miss;
  }
  if (stored) standing = standing_of_read(context.shared.invalidations, *stored);
  if (standing.invalidated) {
    if (in_redis.varies) in_redis.forward = Forward::stale;
    if (wanted.route.adaptive.is_on()) in_redis.learned_from = std::move(stored);
    stored.reset();
  }
  co_return stored;
}

// What was found in memory is what is used; what stands in Redis is remembered with it.
Found with_seen(Found found, Found&& in_redis) {
  found.seen = in_redis.seen;
  found.seen_variant = in_redis.seen_variant;
  found.seen_variant_key = std::move(in_redis.seen_variant_key);
  if (!found.learned_from) found.learned_from = std::move(in_redis.learned_from);
  return found;
}

}  // namespace

awaitable<Found> look_up(WorkerContext& context, const RequestHead& request, const Plan& plan, Now at) {
  Found found = co_await look_up_compared(context, request, plan, at);
  if (found.is_fresh() || !context.redis || !plan.route->settings.store_redis) co_return found;
  const std::string readable = readable_key(plan.match, plan.hash);
  if (!context.redis->is_up(readable) || !context.shared.invalidations.redis_ready()) co_return found;

  Found in_redis;
  Standing standing;
  const Wanted wanted{plan.route->settings, request.fields, plan.primary_key, plan.hash, plan.warming};
  StoredResponsePtr stored = co_await find_in_redis(context, wanted, at, readable, in_redis, standing);
  if (!stored) {
    if (!found.response && in_redis.varies) co_return in_redis;
    co_return with_seen(std::move(found), std::move(in_redis));
  }
  // Redis may have missed what memory has got (RFC 9111 4: the most recent one).
  const bool better = found.strong_only && !standing.stale_since_ms;
  // Of two copies of one, that in memory: it has its encoded forms.
  const bool same = found.response && found.response->store_id() != 0 && !standing.stale_since_ms &&
                    found.response->store_id() == stored->store_id();
  if (found.response && !better && (same || is_more_recent(found.response->meta(), stored->meta())))
    co_return with_seen(std::move(found), std::move(in_redis));
  // Since when a softly invalidated one is stale would be forgotten in memory: its position there is that of now.
  if (plan.route->settings.store_memory && !standing.stale_since_ms) keep_in_memory(context, wanted, in_redis, stored);
  judge(plan, at, standing, in_redis, std::move(stored), Detail::redis);
  co_return in_redis;
}

awaitable<StoredResponsePtr> find_fetched(WorkerContext& context, FetchJob& job) {
  Place& place = job.place;
  const config::Route& route = place.route->settings;
  const Wanted wanted{route, Fields(job.request.fields), place.primary_key, place.primary_hash, place.cold};
  const Now at = now();
  Found in_redis;
  Standing standing;
  StoredResponsePtr stored = co_await find_in_redis(context, wanted, at, place.readable_key, in_redis, standing);
  place.seen = in_redis.seen;
  place.seen_variant = in_redis.seen_variant;
  place.seen_variant_key = in_redis.seen_variant_key;
  if (in_redis.marker) place.marker = in_redis.marker;
  if (!stored || standing.is_touched() || may_reuse(job.facts, stored->meta(), route, at).reuse != Reuse::fresh)
    co_return nullptr;
  if (route.store_memory) keep_in_memory(context, wanted, in_redis, stored);
  co_return stored;
}

}  // namespace pillion
