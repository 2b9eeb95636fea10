#include "core/vary_marker.hpp"

#include <algorithm>
#include <cstring>

namespace pillion {
namespace {

constexpr std::size_t family_size = sizeof(std::uint64_t);
constexpr std::size_t variant_size = 1 + 2 * sizeof(std::uint64_t);

void append_number(std::uint64_t number, std::string& out) {
  for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>(number >> shift & 0xff);
}

std::uint64_t number_at(std::string_view bytes, std::size_t at) {
  std::uint64_t number = 0;
  for (std::size_t i = 8; i-- > 0;) number = number << 8 | static_cast<unsigned char>(bytes[at + i]);
  return number;
}

/// Lists that no variant belongs to any more are of no use: each costs a look-up.
void drop_unused_lists(VaryMarker& marker) {
  for (std::size_t i = marker.lists.size(); i-- > 0;) {
    if (std::ranges::any_of(marker.variants, [i](const auto& v) { return v.list == i; })) continue;
    marker.lists.erase(marker.lists.begin() + static_cast<std::ptrdiff_t>(i));
    for (auto& variant : marker.variants) variant.list = static_cast<std::uint8_t>(variant.list - (variant.list > i));
  }
}

/// Puts the list first and gives its index: 0.
void bring_forward(VaryMarker& marker, std::string_view list) {
  const auto found = std::ranges::find(marker.lists, list);
  const auto from = static_cast<std::size_t>(found - marker.lists.begin());
  if (found == marker.lists.end()) marker.lists.emplace_back(list);
  std::rotate(marker.lists.begin(), marker.lists.begin() + static_cast<std::ptrdiff_t>(from),
              marker.lists.begin() + static_cast<std::ptrdiff_t>(from) + 1);
  for (auto& variant : marker.variants) {
    if (variant.list == from) {
      variant.list = 0;
    } else if (variant.list < from) {
      ++variant.list;
    }
  }
}

}  // namespace

VaryMarker read_marker(const StoredResponse* stored) {
  VaryMarker marker;
  if (!stored || !stored->is_vary_marker()) return marker;
  std::string_view head = stored->head();
  for (std::string_view list = next_list(head); !list.empty(); list = next_list(head)) marker.lists.emplace_back(list);
  const std::string_view body = stored->body();
  marker.family = family_of(*stored);
  for (std::size_t at = family_size; at + variant_size <= body.size(); at += variant_size) {
    const auto list = static_cast<std::uint8_t>(body[at]);
    if (list < marker.lists.size())
      marker.variants.push_back({list, {number_at(body, at + 1), number_at(body, at + 9)}});
  }
  return marker;
}

MarkerBytes write_marker(const VaryMarker& marker) {
  MarkerBytes bytes;
  for (const std::string& list : marker.lists) {
    if (!bytes.head.empty()) bytes.head += '\n';
    bytes.head += list;
  }
  bytes.body.reserve(family_size + marker.variants.size() * variant_size);
  append_number(marker.family, bytes.body);
  for (const VaryMarker::Variant& variant : marker.variants) {
    bytes.body += static_cast<char>(variant.list);
    append_number(variant.hash.high, bytes.body);
    append_number(variant.hash.low, bytes.body);
  }
  return bytes;
}

bool names_variant(const StoredResponse& marker, const Hash128& variant) noexcept {
  if (!marker.is_vary_marker()) return false;
  const std::string_view body = marker.body();
  for (std::size_t at = family_size; at + variant_size <= body.size(); at += variant_size) {
    if (number_at(body, at + 1) == variant.high && number_at(body, at + 9) == variant.low) return true;
  }
  return false;
}

std::uint64_t family_of(const StoredResponse& marker) noexcept {
  return marker.is_vary_marker() && marker.body().size() >= family_size ? number_at(marker.body(), 0) : 0;
}

std::string_view next_list(std::string_view& head) noexcept {
  const std::size_t end = std::min(head.find('\n'), head.size());
  const std::string_view list = head.substr(0, end);
  head.remove_prefix(std::min(end + 1, head.size()));
  return list;
}

std::vector<Hash128> note_variant(VaryMarker& marker, std::string_view list, const Hash128& variant,
                                  std::size_t limit) {
  std::erase_if(marker.variants, [&](const auto& v) { return v.hash == variant; });
  bring_forward(marker, list);
  marker.variants.insert(marker.variants.begin(), {0, variant});
  std::vector<Hash128> dropped;
  while (marker.variants.size() > std::max<std::size_t>(limit, 1)) {
    dropped.push_back(marker.variants.back().hash);
    marker.variants.pop_back();
  }
  drop_unused_lists(marker);
  if (marker.lists.size() > VaryMarker::max_lists) {
    for (const auto& v : marker.variants)
      if (v.list >= VaryMarker::max_lists) dropped.push_back(v.hash);
    std::erase_if(marker.variants, [](const auto& v) { return v.list >= VaryMarker::max_lists; });
    marker.lists.resize(VaryMarker::max_lists);
  }
  return dropped;
}

}  // namespace pillion
