#include "core/sitemap.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <tuple>
#include <utility>

namespace pillion {

namespace {

constexpr bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// What stands behind a position. It only ever goes on, so that no input is looked at twice.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  // Up to the next `<`, which is left; all where there is none.
  std::string_view text() { return take(std::min(rest_.find('<'), rest_.size())); }
  bool at_end() const noexcept { return rest_.empty(); }
  bool begins(std::string_view word) const noexcept { return rest_.starts_with(word); }
  // Past `end`; what stood before it. Everything where it doesn't come.
  std::string_view skip_past(std::string_view end) {
    const std::size_t at = rest_.find(end);
    const std::string_view passed = take(std::min(at, rest_.size()));
    take(std::min(end.size(), rest_.size()));
    return passed;
  }
  void skip(std::size_t bytes) { take(std::min(bytes, rest_.size())); }

  // The inside of a tag that begins here, past its `>`; a `>` in quotes doesn't end it.
  std::string_view tag() {
    std::size_t at = 1;
    char quote = 0;
    for (; at < rest_.size(); ++at) {
      const char c = rest_[at];
      if (quote != 0) {
        if (c == quote) quote = 0;
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else if (c == '>') {
        break;
      }
    }
    const std::string_view inside = rest_.substr(1, at - 1);
    skip(at + 1);
    return inside;
  }

 private:
  std::string_view take(std::size_t bytes) {
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  std::string_view rest_;
};

std::string_view name_of_tag(std::string_view inside) noexcept {
  const auto end = std::ranges::find_if(inside, [](char c) { return is_space(c) || c == '/'; });
  return inside.substr(0, static_cast<std::size_t>(end - inside.begin()));
}

// The character that `&...;` stands for, with the entity's length; nullopt where it is none that we know.
std::optional<std::pair<char, std::size_t>> entity(std::string_view text) noexcept {
  constexpr std::pair<std::string_view, char> known[] = {
      {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
  for (const auto& [word, c] : known)
    if (text.starts_with(word)) return std::pair{c, word.size()};
  if (!text.starts_with("&#")) return std::nullopt;
  const bool hex = text.size() > 2 && text[2] == 'x';
  unsigned number = 0;
  std::size_t at = hex ? 3 : 2;
  for (; at < text.size() && at < 10 && text[at] != ';'; ++at) {
    const char c = text[at];
    const int digit = c >= '0' && c <= '9'          ? c - '0'
                      : hex && c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : hex && c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                    : -1;
    if (digit < 0) return std::nullopt;
    number = number * (hex ? 16 : 10) + static_cast<unsigned>(digit);
    if (number > 0x7f) return std::nullopt;
  }
  if (at >= text.size() || text[at] != ';' || number <= 0x20 || number == 0x7f) return std::nullopt;
  return std::pair{static_cast<char>(number), at + 1};
}

// Adds a piece of a URL as it stands in the text; false for what no URL has.
bool append_url(std::string_view text, bool entities, std::string& out) {
  static constexpr char digits[] = "0123456789ABCDEF";
  while (!text.empty()) {
    char c = text.front();
    std::size_t size = 1;
    if (entities && c == '&') {
      const auto found = entity(text);
      if (!found) return false;
      std::tie(c, size) = *found;
    }
    text.remove_prefix(size);
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) {
      out.append({'%', digits[byte >> 4], digits[byte & 15]});
    } else if (byte <= 0x20 || byte == 0x7f) {
      return false;
    } else {
      out += c;
    }
    if (out.size() > max_sitemap_url) return false;
  }
  return true;
}

std::string_view without_space(std::string_view text) noexcept {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// What stands between <loc> and the next tag. nullopt: no URL.
std::optional<std::string> read_loc(Scanner& scanner) {
  std::string url;
  bool good = true;
  for (;;) {
    good = append_url(without_space(scanner.text()), true, url) && good;
    if (scanner.begins("<!--")) {
      scanner.skip(4);
      scanner.skip_past("-->");
    } else if (scanner.begins("<![CDATA[")) {
      scanner.skip(9);
      good = append_url(without_space(scanner.skip_past("]]>")), false, url) && good;
    } else {
      break;
    }
  }
  if (!good || url.empty()) return std::nullopt;
  return url;
}

}  // namespace

Sitemap read_sitemap(std::string_view xml, std::size_t max_urls) {
  Sitemap sitemap;
  Scanner scanner(xml);
  bool first = true;
  std::string loc;  // with the prefix of the first element: an image's is another
  while (!scanner.at_end()) {
    scanner.text();
    if (scanner.at_end()) break;
    if (scanner.begins("<!--")) {
      scanner.skip(4);
      scanner.skip_past("-->");
      continue;
    }
    if (scanner.begins("<![CDATA[")) {
      scanner.skip_past("]]>");
      continue;
    }
    if (scanner.begins("<?")) {
      scanner.skip_past("?>");
      continue;
    }
    const std::string_view name = name_of_tag(scanner.tag());
    if (name.empty() || name.front() == '!') continue;
    if (std::exchange(first, false)) {
      const std::size_t colon = name.find(':');
      const std::string_view local = colon == std::string_view::npos ? name : name.substr(colon + 1);
      if (local == "urlset") sitemap.kind = Sitemap::Kind::pages;
      if (local == "sitemapindex") sitemap.kind = Sitemap::Kind::index;
      if (sitemap.kind == Sitemap::Kind::none) return sitemap;
      loc = std::string(name.substr(0, name.size() - local.size())) + "loc";
      continue;
    }
    if (name != loc) continue;
    auto url = read_loc(scanner);
    if (url && sitemap.urls.size() < max_urls) {
      sitemap.urls.push_back(std::move(*url));
    } else {
      ++sitemap.left_out;
    }
  }
  return sitemap;
}

}  // namespace pillion
