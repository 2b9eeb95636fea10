// The pages that an application's sitemap names. On the executor of the one who asks, which serves no requests.
#pragma once

#include <string>
#include <vector>

#include "flow/warm_fetch.hpp"

namespace pillion {

struct SitePages {
  std::vector<WarmTarget> pages;
  std::size_t left_out = 0;  ///< of another host, or no URLs, or too many
  std::string wrong;         ///< why there are none, or not all
  bool again = false;        ///< as Warmed::again
};

/// At most `limit` pages. `sitemap` has the form of a URL to be warmed. An index of sitemaps is followed, but none that
/// an index in it names. Pages of other hosts are left out, where it is known which host it is asked under: it is in
/// the URL, or configured (`canonical_host`).
awaitable<SitePages> site_pages(WorkerContext& context, std::string sitemap, std::string canonical_host,
                                std::size_t limit);

}  // namespace pillion
