// A stored response: one allocation, of exactly the size it needs.
#include "core/stored_response.hpp"

#include <cstring>
#include <limits>
#include <new>

#include "core/block_pool.hpp"

namespace pillion {
namespace {

constexpr std::size_t max_part = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t max_small_part = std::numeric_limits<std::uint16_t>::max();

constexpr std::size_t hash_digits = 32;

bool ends_with_hash_of(std::string_view readable_key, std::string_view primary_key) {
  return readable_key.size() >= hash_digits && readable_key.ends_with(to_hex(hash128(primary_key)));
}

std::size_t size_of(const StoredParts& parts) {
  return parts.selectors.size_bytes() + parts.primary_key.size() + parts.readable_key.size() + parts.etag.size() +
         parts.head.size() + parts.body.size();
}

}  // namespace

StoredResponsePtr StoredResponse::make(const StoredParts& parts) {
  for (const std::string_view part : {parts.primary_key, parts.head, parts.body})
    if (part.size() > max_part) return nullptr;
  for (const std::size_t size : {parts.readable_key.size(), parts.etag.size(), parts.selectors.size()})
    if (size > max_small_part) return nullptr;
  StoredParts kept = parts;
  const bool hash_implied = ends_with_hash_of(parts.readable_key, parts.primary_key);
  if (hash_implied) kept.readable_key.remove_suffix(hash_digits);
  const std::size_t extras =
      (has_shared(parts) ? sizeof(Shared) : 0) + (parts.history.is_known() ? sizeof(ChangeHistory) : 0);
  void* place = block_pool::allocate(sizeof(StoredResponse) + extras + size_of(kept));
  return StoredResponsePtr::adopt(new (place) StoredResponse(kept, hash_implied));
}

bool StoredResponse::has_shared(const StoredParts& parts) noexcept {
  return (parts.shared_position | parts.epoch | parts.store_id) != 0;
}

StoredResponse::StoredResponse(const StoredParts& parts, bool hash_implied)
    : meta_(parts.meta),
      position_(parts.position),
      checked_(parts.position),
      primary_size_(static_cast<std::uint32_t>(parts.primary_key.size())),
      head_size_(static_cast<std::uint32_t>(parts.head.size())),
      body_size_(static_cast<std::uint32_t>(parts.body.size())),
      selector_count_(static_cast<std::uint16_t>(parts.selectors.size())),
      readable_size_(static_cast<std::uint16_t>(parts.readable_key.size())),
      etag_size_(static_cast<std::uint16_t>(parts.etag.size())),
      in_redis_(parts.in_redis),
      vary_marker_(parts.vary_marker),
      has_shared_(has_shared(parts)),
      has_history_(parts.history.is_known()),
      hash_implied_(hash_implied) {
  char* to = reinterpret_cast<char*>(this + 1);
  const auto put = [&to](const void* from, std::size_t size) {
    if (size != 0) std::memcpy(to, from, size);
    to += size;
  };
  const Shared shared{parts.shared_position, parts.epoch, parts.store_id};
  if (has_shared_) put(&shared, sizeof shared);
  put(parts.selectors.data(), parts.selectors.size_bytes());  // before the strings, which would leave it unaligned
  for (const std::string_view part : {parts.primary_key, parts.readable_key, parts.etag, parts.head, parts.body}) {
    put(part.data(), part.size());
  }
  if (has_history_) put(&parts.history, sizeof parts.history);
}

void StoredResponse::destroy() const noexcept {
  const std::size_t size = whole_size();
  this->~StoredResponse();
  block_pool::free(const_cast<StoredResponse*>(this), size);
}

StoredResponse::Shared StoredResponse::shared() const noexcept {
  Shared shared;
  if (has_shared_) std::memcpy(&shared, block(), sizeof shared);
  return shared;
}

ChangeHistory StoredResponse::history() const noexcept {
  ChangeHistory history;
  if (has_history_) std::memcpy(&history, body().data() + body_size_, sizeof history);
  return history;
}

std::span<const std::uint32_t> StoredResponse::selectors() const noexcept {
  return {reinterpret_cast<const std::uint32_t*>(block() + selectors_at()), selector_count_};
}

std::string_view StoredResponse::primary_key() const noexcept {
  return {block() + selectors_at() + selector_count_ * sizeof(std::uint32_t), primary_size_};
}
std::string_view StoredResponse::readable_part() const noexcept {
  const std::string_view before = primary_key();
  return {before.data() + before.size(), readable_size_};
}
std::string StoredResponse::readable_key() const {
  std::string key(readable_part());
  if (hash_implied_) append_hex(hash128(primary_key()), key);
  return key;
}
std::string_view StoredResponse::etag() const noexcept {
  const std::string_view before = readable_part();
  return {before.data() + before.size(), etag_size_};
}
std::string_view StoredResponse::head() const noexcept {
  const std::string_view before = etag();
  return {before.data() + before.size(), head_size_};
}
std::string_view StoredResponse::body() const noexcept {
  const std::string_view before = head();
  return {before.data() + before.size(), body_size_};
}

std::size_t StoredResponse::whole_size() const noexcept {
  const char* end = body().data() + body_size_ + (has_history_ ? sizeof(ChangeHistory) : 0);
  return static_cast<std::size_t>(end - reinterpret_cast<const char*>(this));
}

std::size_t StoredResponse::footprint() const noexcept { return block_pool::taken(whole_size()) + forms_.footprint(); }

bool has_key(const StoredResponse& response, std::string_view key, KeyMatch match) noexcept {
  return match == KeyMatch::whole ? response.primary_key() == key : response.primary_key().starts_with(key);
}

}  // namespace pillion
