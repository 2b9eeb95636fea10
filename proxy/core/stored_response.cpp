// A stored response: one block of bytes, of exactly the size it needs.
#include "core/stored_response.hpp"

#include <cstring>
#include <limits>

namespace pillion {
namespace {

constexpr std::size_t max_part = std::numeric_limits<std::uint32_t>::max();

/// What malloc takes for a request of that size: a header word, rounded up to 16 bytes, at least 32 (glibc, 64 bits).
constexpr std::size_t allocated(std::size_t size) {
  const std::size_t chunk = (size + sizeof(std::size_t) + 15) & ~std::size_t{15};
  return chunk < 32 ? 32 : chunk;
}

/// The counts and the table pointer that std::make_shared puts before the object.
constexpr std::size_t control_block = 2 * sizeof(void*);

}  // namespace

StoredResponsePtr StoredResponse::make(const StoredParts& parts) {
  for (const std::string_view part : {parts.primary_key, parts.readable_key, parts.head, parts.etag, parts.body}) {
    if (part.size() > max_part) return nullptr;
  }
  if (parts.selectors.size() > max_part / sizeof(std::uint32_t)) return nullptr;
  return std::make_shared<const StoredResponse>(Private{}, parts);
}

StoredResponse::StoredResponse(Private, const StoredParts& parts)
    : meta_(parts.meta),
      selector_count_(static_cast<std::uint32_t>(parts.selectors.size()) & 0x7fffffff),
      vary_marker_(parts.vary_marker ? 1 : 0),
      primary_size_(static_cast<std::uint32_t>(parts.primary_key.size())),
      readable_size_(static_cast<std::uint32_t>(parts.readable_key.size())),
      etag_size_(static_cast<std::uint32_t>(parts.etag.size())),
      head_size_(static_cast<std::uint32_t>(parts.head.size())),
      body_size_(static_cast<std::uint32_t>(parts.body.size())),
      position_(parts.position),
      shared_position_(parts.shared_position),
      epoch_(parts.epoch),
      store_id_(parts.store_id),
      checked_(parts.position),
      in_redis_(parts.in_redis) {
  const std::size_t selector_bytes = parts.selectors.size_bytes();
  block_ =
      std::make_unique_for_overwrite<char[]>(selector_bytes + parts.primary_key.size() + parts.readable_key.size() +
                                             parts.etag.size() + parts.head.size() + parts.body.size());
  char* to = block_.get();
  const auto put = [&to](const void* from, std::size_t size) {
    if (size != 0) std::memcpy(to, from, size);
    to += size;
  };
  put(parts.selectors.data(), selector_bytes);  // first, where operator new aligns the block for them
  for (const std::string_view part : {parts.primary_key, parts.readable_key, parts.etag, parts.head, parts.body}) {
    put(part.data(), part.size());
  }
}

std::span<const std::uint32_t> StoredResponse::selectors() const noexcept {
  return {reinterpret_cast<const std::uint32_t*>(block_.get()), selector_count_};
}

std::string_view StoredResponse::primary_key() const noexcept {
  return {block_.get() + selector_count_ * sizeof(std::uint32_t), primary_size_};
}
std::string_view StoredResponse::readable_key() const noexcept {
  const std::string_view before = primary_key();
  return {before.data() + before.size(), readable_size_};
}
std::string_view StoredResponse::etag() const noexcept {
  const std::string_view before = readable_key();
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

bool has_key(const StoredResponse& response, std::string_view key, KeyMatch match) noexcept {
  return match == KeyMatch::whole ? response.primary_key() == key : response.primary_key().starts_with(key);
}

std::size_t StoredResponse::footprint() const noexcept {
  const auto block = static_cast<std::size_t>(body().data() + body_size_ - block_.get());
  return allocated(control_block + sizeof(StoredResponse)) + allocated(block);
}

}  // namespace pillion
