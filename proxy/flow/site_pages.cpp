#include "flow/site_pages.hpp"

#include <boost/asio/co_spawn.hpp>

#include "core/headers.hpp"
#include "core/sitemap.hpp"

namespace pillion {

namespace {

constexpr std::size_t max_sitemap = 10u << 20;
constexpr std::size_t max_sitemaps = 50;  // of an index

// Of an absolute URL; empty of a path.
std::string host_of(std::string_view url) {
  const std::size_t slashes = url.find("://");
  if (url.starts_with('/') || slashes == std::string_view::npos) return {};
  url.remove_prefix(slashes + 3);
  return std::string(url.substr(0, url.find_first_of("/?")));
}

// An absolute URL of that host; of any where `host` is empty.
bool is_ours(std::string_view url, const std::string& host) {
  if (!why_no_warm_url(url).empty() || url.starts_with('/')) return false;
  return host.empty() || iequals(host_of(url), host);
}

awaitable<FetchedText> fetch(WorkerContext& context, std::string url) {
  co_return co_await asio::co_spawn(context.executor, fetch_text(context, {{}, std::move(url)}, max_sitemap),
                                    asio::use_awaitable);
}

}  // namespace

awaitable<SitePages> site_pages(WorkerContext& context, std::string sitemap, std::string canonical_host,
                                std::size_t limit) {
  SitePages found;
  FetchedText text = co_await fetch(context, sitemap);
  if (!text.wrong.empty()) {
    found.wrong = sitemap + ": " + text.wrong;
    found.again = text.again;
    co_return found;
  }
  std::string host = host_of(sitemap);
  if (host.empty()) host = std::move(canonical_host);
  Sitemap map = read_sitemap(text.body, limit);
  if (map.kind == Sitemap::Kind::none) {
    found.wrong = sitemap + ": that is no sitemap";
    co_return found;
  }
  std::vector<std::string> further;
  const auto take = [&](Sitemap& from) {
    found.left_out += from.left_out;
    for (std::string& url : from.urls) {
      if (found.pages.size() < limit && is_ours(url, host)) {
        found.pages.push_back({{}, std::move(url)});
      } else {
        ++found.left_out;
      }
    }
  };
  if (map.kind == Sitemap::Kind::pages) {
    take(map);
    co_return found;
  }
  for (std::string& url : map.urls) {
    if (further.size() < max_sitemaps && is_ours(url, host)) further.push_back(std::move(url));
  }
  for (const std::string& url : further) {
    text = co_await fetch(context, url);
    Sitemap inner = read_sitemap(text.body, limit);
    if (!text.wrong.empty() || inner.kind != Sitemap::Kind::pages) {
      found.wrong = url + ": " + (text.wrong.empty() ? "that is no sitemap of pages" : text.wrong);
      found.again = found.again || text.again;
    } else {
      take(inner);
    }
  }
  co_return found;
}

}  // namespace pillion
