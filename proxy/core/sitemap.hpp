// Reading a sitemap (sitemaps.org, protocol 0.9): the `<loc>` of each page, or of each further sitemap. A scanner, not
// an XML parser: it knows tags, comments, CDATA and the five entities, expands nothing else, and takes any bytes. Pure;
// one pass over the text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pillion {

struct Sitemap {
  enum class Kind { none, pages, index };
  Kind kind = Kind::none;         ///< none: the first element is neither `urlset` nor `sitemapindex`
  std::vector<std::string> urls;  ///< in their order; visible ASCII, what is beyond it percent-encoded
  std::size_t left_out = 0;       ///< `<loc>`s that were empty, too long, had control characters or were too many
};

inline constexpr std::size_t max_sitemap_url = 2048;  ///< bytes, as the protocol has it

/// At most `max_urls` of them.
Sitemap read_sitemap(std::string_view xml, std::size_t max_urls);

}  // namespace pillion
