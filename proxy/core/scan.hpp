// Scans of text for the few bytes that end something, 16 at a time where the processor can (SSE2; elsewhere one by
// one). Pure. For message parsers.
#pragma once

#include <bit>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace pillion {

/// No byte of a field's value (RFC 9110 5.5): a control character other than HTAB.
constexpr bool is_control(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

#if defined(__SSE2__)
namespace scan_detail {
inline __m128i load(const char* at) noexcept { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
inline unsigned mask(__m128i found) noexcept { return static_cast<unsigned>(_mm_movemask_epi8(found)); }
}  // namespace scan_detail
#endif

/// The first control character other than HTAB, or `end`.
inline const char* find_control(const char* at, const char* end) noexcept {
#if defined(__SSE2__)
  using namespace scan_detail;
  for (; end - at >= 16; at += 16) {
    const __m128i text = load(at);
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(text, _mm_set1_epi8(0x1f)), text);
    const __m128i tab = _mm_cmpeq_epi8(text, _mm_set1_epi8('\t'));
    const __m128i del = _mm_cmpeq_epi8(text, _mm_set1_epi8(0x7f));
    if (const unsigned found = mask(_mm_or_si128(_mm_andnot_si128(tab, low), del))) return at + std::countr_zero(found);
  }
#endif
  while (at != end && !is_control(*at)) ++at;
  return at;
}

/// Calls `take(at)` for each line feed up to `end` until it returns false.
template <typename Take>
inline void for_each_line_feed(const char* at, const char* end, Take&& take) {
#if defined(__SSE2__)
  using namespace scan_detail;
  for (; end - at >= 16; at += 16) {
    for (unsigned found = mask(_mm_cmpeq_epi8(load(at), _mm_set1_epi8('\n'))); found != 0; found &= found - 1)
      if (!take(at + std::countr_zero(found))) return;
  }
#endif
  for (; at != end; ++at)
    if (*at == '\n' && !take(at)) return;
}

/// The first byte that is neither a letter, a digit nor `-`, all that names are usually made of; or some byte before it
/// where less than 16 are left.
inline const char* skip_plain_name(const char* at, [[maybe_unused]] const char* end) noexcept {
#if defined(__SSE2__)
  using namespace scan_detail;
  // Whether a byte lies in [first, first + size): moved to 0, it is then at most size - 1.
  const auto within = [](__m128i text, char first, char size) {
    const __m128i moved = _mm_sub_epi8(text, _mm_set1_epi8(first));
    return _mm_cmpeq_epi8(_mm_min_epu8(moved, _mm_set1_epi8(static_cast<char>(size - 1))), moved);
  };
  for (; end - at >= 16; at += 16) {
    const __m128i text = load(at);
    const __m128i letter = within(_mm_or_si128(text, _mm_set1_epi8(0x20)), 'a', 26);
    const __m128i plain =
        _mm_or_si128(_mm_or_si128(letter, within(text, '0', 10)), _mm_cmpeq_epi8(text, _mm_set1_epi8('-')));
    if (const unsigned other = ~mask(plain) & 0xffff) return at + std::countr_zero(other);
  }
#endif
  return at;
}

}  // namespace pillion
