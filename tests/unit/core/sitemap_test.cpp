// Sitemaps as applications write them, and as nobody should.
#include "core/sitemap.hpp"

#include <doctest/doctest.h>

using namespace pillion;
using Urls = std::vector<std::string>;

namespace {

Sitemap read(std::string_view xml) { return read_sitemap(xml, 100); }
Sitemap pages(std::string_view inside) { return read("<urlset>" + std::string(inside) + "</urlset>"); }

}  // namespace

TEST_CASE("sitemap: the pages of a usual one, in their order, and nobody else's <loc>") {
  const Sitemap map = read(R"(<?xml version="1.0" encoding="UTF-8"?>
<!-- made by <loc>http://comment/</loc> -->
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/x">
  <url><loc>https://app.test/a</loc><lastmod>2026-01-01</lastmod>
    <image:image><image:loc>https://app.test/a.png</image:loc></image:image></url>
  <url>
    <loc>
      https://app.test/b?x=1&amp;y=2
    </loc>
  </url>
  <url><loc><![CDATA[https://app.test/c?x=1&y=2]]></loc></url>
</urlset>)");
  CHECK(map.kind == Sitemap::Kind::pages);
  CHECK(map.urls == Urls{"https://app.test/a", "https://app.test/b?x=1&y=2", "https://app.test/c?x=1&y=2"});
  CHECK(map.left_out == 0);
}

TEST_CASE("sitemap: an index names further ones; a prefix of the first element goes for <loc> too") {
  const Sitemap index = read("<sitemapindex><sitemap><loc>http://a/1.xml</loc></sitemap></sitemapindex>");
  CHECK(index.kind == Sitemap::Kind::index);
  CHECK(index.urls == Urls{"http://a/1.xml"});
  CHECK(read("<s:urlset xmlns:s='x'><s:url><s:loc>/a</s:loc><loc>/b</loc></s:url></s:urlset>").urls == Urls{"/a"});
}

TEST_CASE("sitemap: what is no sitemap has no URLs") {
  for (const char* text : {"", "<", "<>", "no xml", "<html><loc>/a</loc></html>", "<!-- <urlset><loc>/a</loc>",
                           "\x1f\x8b\x08 packed", "<![CDATA[ <urlset> ]]>"}) {
    CAPTURE(text);
    CHECK(read(text).kind == Sitemap::Kind::none);
    CHECK(read(text).urls.empty());
  }
}

TEST_CASE("sitemap: entities and other characters of a URL") {
  CHECK(pages("<loc>/&lt;&gt;&quot;&apos;&#47;&#x2F;</loc>").urls == Urls{"/<>\"'//"});
  CHECK(pages("<loc>/\xc3\xa4</loc>").urls == Urls{"/%C3%A4"});
  CHECK(pages("<loc>/a<!-- or so -->b</loc>").urls == Urls{"/ab"});
  for (const char* bad : {"/&unknown;", "/&", "/&#0;", "/&#10;", "/&#x20;", "/&#228;", "/&#xffffffffffff;", "/&#;x\n",
                          "/a b", "/a\tb", "", "  "}) {
    CAPTURE(bad);
    const Sitemap map = pages("<loc>" + std::string(bad) + "</loc><loc>/good</loc>");
    CHECK(map.urls == Urls{"/good"});
    CHECK(map.left_out == 1);
  }
}

TEST_CASE("sitemap: it ends where the text breaks off, and a '>' in quotes ends no tag") {
  CHECK(read("<urlset><url><loc>/a</loc></url><url><loc>/b").urls == Urls{"/a", "/b"});
  CHECK(read("<urlset><loc>/a</loc><!-- <loc>/b</loc>").urls == Urls{"/a"});
  CHECK(read("<urlset a='>'><loc a=\"'>\">/a</loc></urlset>").urls == Urls{"/a"});
  CHECK(read("<urlset a='><loc>/a</loc></urlset>").urls.empty());
}

TEST_CASE("sitemap: no more URLs than asked for, and none over 2,048 bytes") {
  std::string text = "<urlset>";
  for (int i = 0; i < 5; ++i) text += "<loc>/" + std::to_string(i) + "</loc>";
  const Sitemap map = read_sitemap(text, 2);
  CHECK(map.urls == Urls{"/0", "/1"});
  CHECK(map.left_out == 3);
  CHECK(pages("<loc>/" + std::string(2047, 'x') + "</loc>").urls.size() == 1);
  CHECK(pages("<loc>/" + std::string(2048, 'x') + "</loc>").left_out == 1);
}
