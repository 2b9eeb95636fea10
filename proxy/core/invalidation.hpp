// Invalidation by positions: selectors, and the table that knows the last position of each. Pure (std only), shared,
// locks inside. Cost of applying and of comparing doesn't depend on what is stored; everything is of fixed size.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/headers.hpp"
#include "core/recent_selectors.hpp"

namespace pillion {

/// What an invalidation names (product contract, "Invalidation").
struct Selector {
  enum class Kind : std::uint8_t {
    tag,      ///< responses that carry the tag
    pattern,  ///< glob with `*` and `?` over the readable key, without namespace
    url,      ///< absolute URL: that host alone; a path with its query: under every host
    path,     ///< a normalised path, whatever the query, under every host: what an unsafe request invalidates by itself
    all,
    group,   ///< a cache group of one origin (RFC 9875), as group_selector() writes it
    hashed,  ///< what selector_hashes() gives of a tag, url, path or group, in decimal: how the log keeps a long text
  };
  Kind kind = Kind::all;
  std::string text;
  friend bool operator==(const Selector&, const Selector&) = default;
};
std::string_view to_string(Selector::Kind) noexcept;

/// `*` any run of characters, `?` one character, no escapes; in linear time for one star, O(n*m) at worst.
bool glob_matches(std::string_view glob, std::string_view text) noexcept;

/// Path for comparison only (RFC 3986 6.2.2, and further, since too much is safe): percent-encoded characters that may
/// stand plain in a segment decoded, all others encoded with upper-case digits, dot segments removed, repeated slashes
/// folded. Never used to route or to forward. Applied twice it gives what it gives once.
std::string normalised_path(std::string_view path);

/// The group of that name among the responses of that origin, host in any case and its default port or none. Names are
/// compared byte by byte (RFC 9875 2.1). An empty host stands for responses that are alike under all of them.
Selector group_selector(std::string_view scheme, std::string_view host, std::string_view group);

/// Hash of one selector as entries carry it (kinds tag, url, path, group; of the others it is 0). A false match costs a
/// miss. A url is absolute (scheme and host in any case, default port or none, fragment ignored) or a path with its
/// query.
std::uint32_t selector_hash(const Selector& selector);

/// What a response with a search rule (core/no_vary_search.hpp) carries besides selectors_of(): it answers for many
/// queries of its path, so an invalidation of any URL of that path, under any host, concerns it. `path` as
/// selectors_of().
std::uint32_t search_selector(std::string_view path);

/// Every hash by which that selector invalidates: its own, and for a url the search_selector() of its path. None for
/// the kinds that aren't compared by hash.
std::vector<std::uint32_t> selector_hashes(const Selector& selector);

/// Everything that selects one response: its tags, its URL under its own host and under every host, its path.
/// `path` and `query` are as the client sent them.
std::vector<std::uint32_t> selectors_of(const std::vector<std::string>& tags, std::string_view scheme,
                                        std::string_view host, std::string_view path, std::string_view query,
                                        bool has_query);

/// Tags that a response names itself: Surrogate-Key (by white space) and Cache-Tag (by commas). At most
/// max_response_tags are appended; false where there were more: such a response must not be stored, since an
/// invalidation of those left out would miss it.
inline constexpr std::size_t max_response_tags = 1000;
bool append_response_tags(Fields response_fields, std::vector<std::string>& tags);

/// Groups that a field names, Cache-Groups or Cache-Group-Invalidation (RFC 9875): the Strings of its List. A malformed
/// field names none; members of other types are passed over, since with what the others name rather too much is
/// invalidated than too little. At most max_response_tags are appended; false where the field has more members.
bool append_groups(Fields fields, Name id, std::string_view scheme, std::string_view host,
                   std::vector<Selector>& selectors);
/// The hashes of a response's Cache-Groups, to stand beside those of selectors_of(). False as append_response_tags().
bool append_response_groups(Fields response_fields, std::string_view scheme, std::string_view host,
                            std::vector<std::uint32_t>& selectors);

class SoftMarks;

/// The last position of each selector, of hard and of soft invalidations. Positions are given by the caller and must
/// not decrease; one lower than latest() counts as latest(), which invalidates too much rather than too little.
///
/// The last 100,000 selectors (25,000 of soft invalidations) are told apart by their 32-bit hashes, in 2 MiB that are
/// taken as they are needed. So, when N others were named since it was fetched, a response with S selectors counts as
/// invalidated by mistake with a probability of N * S / 2^32: with 10 selectors after 100,000 in one of 4,300 cases,
/// with 1,000 selectors in one of 43. Of those named before them 65,536 places are left, shared by whichever fall
/// together: what was fetched before 200,000 others is mostly lost, what was fetched since then isn't.
class InvalidationTable {
 public:
  static constexpr std::size_t recent_buckets = 1u << 15;
  static constexpr std::size_t slot_count = 1u << 16;
  static constexpr std::size_t max_prefixes = 4096;  ///< of patterns `literal*`; beyond it the oldest raises the floor
  static constexpr std::size_t max_globs = 64;       ///< of other patterns; likewise
  static constexpr std::size_t max_pattern = 512;    ///< bytes; a longer one counts as a shorter one that matches more

  /// `buckets`: for fewer recent ones, a power of two.
  explicit InvalidationTable(std::size_t buckets = recent_buckets);
  ~InvalidationTable();
  InvalidationTable(const InvalidationTable&) = delete;

  /// Applies selectors at a position. Afterwards latest() >= position.
  void apply(std::span<const Selector> selectors, std::uint64_t position);
  /// The same of a soft invalidation, which happened at that steady time.
  void apply_soft(std::span<const Selector> selectors, std::uint64_t position, std::int64_t mono_ms);
  /// As apply(), with the next position of this table, which is returned.
  std::uint64_t apply_next(std::span<const Selector> selectors);
  /// Everything fetched before this position is distrusted. Afterwards latest() >= position.
  void raise_floor(std::uint64_t position);

  /// The last position applied: the fence of a fetch that begins now.
  std::uint64_t latest() const noexcept { return latest_.load(std::memory_order_acquire); }

  /// Whether something after `since` invalidated a response of these selectors and this readable key. Everything up to
  /// a latest() that the caller read before the call is taken into account: that is the position to mark as checked.
  bool invalidated_since(std::uint64_t since, std::span<const std::uint32_t> selectors,
                         std::string_view readable_key) const;
  /// The same of soft invalidations: nullopt, or the steady time of the first of them; the lowest number where it is
  /// forgotten which was the first.
  std::optional<std::int64_t> soft_since(std::uint64_t since, std::span<const std::uint32_t> selectors,
                                         std::string_view readable_key) const;

 private:
  struct Patterns;
  void apply_locked(std::span<const Selector> selectors, std::uint64_t position);
  void apply_hash(std::uint32_t hash, std::uint64_t position);
  void apply_pattern(std::string_view pattern, std::uint64_t position);

  // Read without the lock, written under it, each only ever upwards. latest_ is written last of all (release), so who
  // has read a position there (acquire) sees every slot, floor and last_pattern_ of that position.
  RecentSelectors recent_;
  Zeroed<std::uint64_t> slots_;                  // of those that had to make room; atomically used
  std::atomic<std::uint64_t> last_of_slots_{0};  // none of them is later
  std::atomic<std::uint64_t> latest_{0}, floor_{0}, last_pattern_{0};
  std::atomic<SoftMarks*> soft_{nullptr};  // made with the first soft invalidation; owned
  mutable std::shared_mutex mutex_;        // patterns, streaks of soft ones, and the order of appliers
  std::unique_ptr<Patterns> patterns_;
};

/// Whether a selector matches, exactly but for equal hashes: for counting and dry runs.
bool selects(const Selector& selector, std::span<const std::uint32_t> selectors, std::string_view readable_key);

}  // namespace pillion
