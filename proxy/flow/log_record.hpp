// The invalidation log's records and ids as they stand in Redis. Pure; replies come from Redis and are not trusted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/invalidation.hpp"
#include "net/redis_reply.hpp"

namespace pillion {

/// Bounds of one record, so that a batch of them fits into what a reply may hold, whatever clients sent.
inline constexpr std::size_t max_record_text = 256;
inline constexpr std::size_t max_record_selectors = 32;

/// A stream id `milliseconds-sequence` as one number that keeps its order; 0 where it isn't one.
std::uint64_t packed_id(std::string_view id) noexcept;

/// The name of an epoch as entries carry it; never 0.
std::uint64_t epoch_number(std::string_view name) noexcept;
std::string random_epoch_name();

/// A selector as a record keeps it: of bounded size, invalidating at least the same.
Selector bounded_selector(const Selector& selector);
/// What a record's fields name. One that this version doesn't understand invalidates everything: too much is safe.
/// Empty for the record that begins a log.
std::vector<Selector> selectors_of_record(const RedisReply& fields);

/// A member of a reply that is a flat list of names and values, as XINFO's; nullptr where there is none.
const RedisReply* named(const RedisReply& pairs, std::string_view name) noexcept;
/// Whether records were cut off the stream's beginning, by XINFO STREAM. Redis 7.0 doesn't note what MAXLEN trims in
/// max-deleted-entry-id.
bool was_trimmed(const RedisReply& info) noexcept;

}  // namespace pillion
