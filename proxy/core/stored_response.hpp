// A stored response: immutable, shared, one block of bytes. As bytes in Redis: core/stored_response_codec.hpp. Pure.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/adaptive_lifetime.hpp"
#include "core/cache_control.hpp"
#include "core/encoded_forms.hpp"
#include "core/hash.hpp"
#include "core/headers.hpp"
#include "core/intrusive_ptr.hpp"
#include "core/time.hpp"

namespace pillion {

/// What the reuse decision needs of a response, parsed once when it came (RFC 9111 3, 4.2). Permission and
/// lifetime are worked out from this at each reuse, so that a reload binds what is stored already. Many are kept: the
/// order of the members and the bits leave no gaps.
struct ResponseMeta {
  std::int64_t date_s = 0;                 ///< Date, or the time of receipt where absent or invalid (RFC 9110 6.6.1)
  std::int64_t last_modified_s : 62 = -1;  ///< -1: absent or invalid
  /// core/compressible.hpp; not kept in Redis, since the head says it.
  bool compressible : 1 = false;
  bool varies_by_coding : 1 = false;  ///< likewise
  std::int64_t received_mono_ms = 0;  ///< when it was received, by the clock of this process
  /// By the wall clock of the process that received it: it orders responses of the same Date, and no age comes of it.
  std::int64_t received_wall_ms = 0;
  std::int32_t expires_s =
      no_delta;                     ///< Expires - Date, at least 0; 0 where invalid or repeated; no_delta where absent
  std::int32_t initial_age_ms = 0;  ///< corrected_initial_age at the time of receipt (RFC 9111 4.2.3)
  ResponseDirectives directives;
  std::uint32_t status : 10 = 0;
  std::uint32_t learned : 10 = 0;  ///< the lifetime learned for its key (pack_lifetime()); 0: none
  std::uint32_t draw : 7 = 0;      ///< its lot (lifetime_draw()): by how much of the route's jitter it is shortened
  bool request_had_cookie : 1 = false;  ///< of the request that fetched it
  bool request_had_authorization : 1 = false;
  bool had_set_cookie : 1 = false;
  bool has_strong_etag : 1 = false;
  bool has_validator : 1 = false;  ///< an ETag, or a Last-Modified
};
static_assert(sizeof(ResponseMeta) == 64);

class StoredResponse;
using StoredResponsePtr = IntrusivePtr<const StoredResponse>;

/// Parts of a stored response to be packed into one block.
struct StoredParts {
  ResponseMeta meta;
  std::string_view
      primary_key;  ///< whole primary key, and the variant's after it where there is one (core/cache_key.hpp)
  std::string_view readable_key;  ///< `{key}:{hash}` or `{key}:{hash}.{variant}`, without namespace
  std::string_view head;          ///< wire bytes: status line and end-to-end fields, each ended by CRLF, without the
                                  ///< empty line, Age and Cache-Status; for a vary marker the canonical field list
  std::string_view etag;          ///< as received, or empty
  std::string_view body;
  std::span<const std::uint32_t> selectors;  ///< core/invalidation.hpp
  std::uint64_t position = 0;                ///< local position its fetch began at
  std::uint64_t shared_position = 0;         ///< the same in the order of the log in Redis
  std::uint64_t epoch = 0;                   ///< of that log
  std::uint64_t store_id = 0;                ///< names this value in Redis (store/store_id.hpp); 0: none
  ChangeHistory history;                     ///< of its key, where lifetimes are learned
  bool vary_marker = false;
  bool in_redis = false;  ///< it was read from there
};

/// Immutable but for the two marks and the encoded forms below. Shared between workers. Its bytes stand behind it in
/// the one block that both are allocated in: of many small responses each allocation counts.
class StoredResponse {
 public:
  /// Copies the parts. nullptr where one of them is of 4 GiB or more, the readable key or the entity tag of 64 KiB or
  /// more, or where there are as many selectors.
  static StoredResponsePtr make(const StoredParts& parts);

  StoredResponse(const StoredResponse&) = delete;
  StoredResponse& operator=(const StoredResponse&) = delete;

  const ResponseMeta& meta() const noexcept { return meta_; }
  std::string_view primary_key() const noexcept;
  std::string readable_key() const;
  std::string_view head() const noexcept;
  std::string_view etag() const noexcept;
  std::string_view body() const noexcept;
  std::span<const std::uint32_t> selectors() const noexcept;
  bool is_vary_marker() const noexcept { return vary_marker_; }
  std::uint64_t position() const noexcept { return position_; }
  std::uint64_t shared_position() const noexcept { return shared().position; }
  std::uint64_t epoch() const noexcept { return shared().epoch; }
  /// The same for a response and for what is read of it from Redis; another for whatever takes its place there.
  std::uint64_t store_id() const noexcept { return shared().store_id; }
  ChangeHistory history() const noexcept;
  /// Asks for what a hit will read of a small one, all at once rather than one miss of the CPU's caches after another:
  /// with 10,000 keys in turn that saves a twentieth of a hit.
  void prefetch() const noexcept {
    constexpr std::size_t line = 64, lines = 24;
    const char* first = reinterpret_cast<const char*>(this);
    for (std::size_t i = 0; i < lines; ++i) __builtin_prefetch(first + i * line);
  }
  /// Everything it occupies, in bytes, with its encoded forms; allocator overhead estimated.
  std::size_t footprint() const noexcept;

  /// The local position up to which it was last compared with the invalidations and found good. Only ever grows.
  std::uint64_t checked_position() const noexcept { return checked_.load(std::memory_order_relaxed); }
  void mark_checked(std::uint64_t position) const noexcept { checked_.store(position, std::memory_order_relaxed); }

  /// Whether it may stand in Redis, so that what happens to its key there concerns it. To be set before it is written
  /// there, and taken back where it is known that it wasn't.
  bool stands_in_redis() const noexcept { return in_redis_.load(std::memory_order_acquire); }
  void set_in_redis(bool stands) const noexcept { in_redis_.store(stands, std::memory_order_release); }

  /// Its body in other codings, for those who take them.
  EncodedForms& forms() const noexcept { return forms_; }

  // For StoredResponsePtr.
  void retain() const noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() const noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

 private:
  /// What it is known by beyond this process. Without a Redis it is all zero, and isn't kept.
  struct Shared {
    std::uint64_t position = 0, epoch = 0, store_id = 0;
  };
  StoredResponse(const StoredParts& parts, bool hash_implied);
  static bool has_shared(const StoredParts& parts) noexcept;
  ~StoredResponse() = default;
  void destroy() const noexcept;
  Shared shared() const noexcept;
  std::size_t whole_size() const noexcept;
  /// As much of the readable key as is kept: without the hash where that is the primary key's, as it mostly is.
  std::string_view readable_part() const noexcept;
  const char* block() const noexcept { return reinterpret_cast<const char*>(this + 1); }
  std::size_t selectors_at() const noexcept { return has_shared_ ? sizeof(Shared) : 0; }

  // Followed by: Shared, where there is one | selectors | primary_key | readable_part | etag
  // | head | body | ChangeHistory, where there is one: behind all that a hit reads
  ResponseMeta meta_;
  std::uint64_t position_;
  mutable std::atomic<std::uint64_t> checked_;
  mutable EncodedForms forms_;
  mutable std::atomic<std::uint32_t> references_{1};
  std::uint32_t primary_size_, head_size_, body_size_;
  std::uint16_t selector_count_, readable_size_, etag_size_;
  mutable std::atomic<bool> in_redis_;
  bool vary_marker_ : 1, has_shared_ : 1, has_history_ : 1, hash_implied_ : 1;
};

/// How a key is compared: a prefix is whole parts of it, so it names one URL and any of its variants.
enum class KeyMatch : std::uint8_t { whole, prefix };
bool has_key(const StoredResponse& response, std::string_view key, KeyMatch match) noexcept;

}  // namespace pillion
