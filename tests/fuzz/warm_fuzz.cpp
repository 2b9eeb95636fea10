// Sitemaps and lists of hot URLs: whatever stands there, URLs of the right form come out, within their bounds, and what
// is written is read back.
#include <string>
#include <vector>

#include "core/sitemap.hpp"
#include "core/warm_list.hpp"
#include "input.hpp"

using namespace pillion;
using fuzz::require;

namespace {

void check_sitemap(std::string_view text) {
  const Sitemap map = read_sitemap(text, 20);
  require(map.urls.size() <= 20, "more pages than asked for");
  require(map.kind != Sitemap::Kind::none || map.urls.empty(), "pages of what is no sitemap");
  std::string again = "<urlset>";
  for (const std::string& url : map.urls) {
    require(!url.empty() && url.size() <= max_sitemap_url, "a URL out of bounds");
    for (const char c : url) require(c > 0x20 && c < 0x7f, "a URL with a character that no URL has");
    again += "<loc><![CDATA[";
    again += url;
    again += "]]></loc>";
  }
  // CDATA ends with the first `]]>`.
  if (again.find("]]>]]>") == std::string::npos && text.find("]]>") == std::string_view::npos)
    require(read_sitemap(again, 20).urls.size() == map.urls.size(), "what is read is not read again");
}

void check_list(std::string_view text, std::int64_t now_s) {
  const std::vector<HotUrl> list = read_hot_list(text, 20, now_s);
  require(list.size() <= 20, "more URLs than asked for");
  for (const HotUrl& hot : list) {
    require(why_no_warm_url(hot.target.url).empty(), "a URL that is none");
    require(hot.seen_s <= now_s, "a URL of the future");
  }
  const std::vector<HotUrl> again = read_hot_list(write_hot_list(list, 1u << 20), 20, now_s);
  require(again.size() == list.size(), "what is written is not read back");
  for (std::size_t i = 0; i < list.size(); ++i) require(again[i].target == list[i].target, "another is read back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto now_s = static_cast<std::int64_t>(input.number<std::uint32_t>());
  check_sitemap(input.rest());
  check_list(input.rest(), now_s);
  check_list("pillion-hottest 1\n" + std::string(input.rest()), now_s);
  return 0;
}
