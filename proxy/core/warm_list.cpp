#include "core/warm_list.hpp"

#include <algorithm>
#include <charconv>
#include <set>

namespace pillion {

namespace {

constexpr std::string_view first_line = "pillion-hottest 1\n";
constexpr std::size_t max_listener = 64;  // as a configuration has them

std::string_view take(std::string_view& text, char end) noexcept {
  const std::size_t at = std::min(text.find(end), text.size());
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return taken;
}

template <typename T>
bool read_number(std::string_view text, T& out) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

bool is_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= max_listener && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
           c == '_';
  });
}

// `SEEN COUNT LISTENER URL`, where no listener is written as `/`, which no name has.
bool read_line(std::string_view line, HotUrl& out) {
  if (!read_number(take(line, ' '), out.seen_s) || !read_number(take(line, ' '), out.count)) return false;
  const std::string_view listener = take(line, ' ');
  if (listener != "/" && !is_name(listener)) return false;
  if (!why_no_warm_url(line).empty()) return false;
  out.target.listener = listener == "/" ? std::string_view{} : listener;
  out.target.url = line;
  return true;
}

}  // namespace

std::string_view why_no_warm_url(std::string_view url) noexcept {
  if (url.empty()) return "it is empty";
  if (url.size() > max_warm_url) return "it is over 2 KiB";
  if (!std::ranges::all_of(url, [](unsigned char c) { return c > 0x20 && c < 0x7f; }))
    return "it has a space, a control character or one outside ASCII: percent-encode it";
  if (url.find('#') != std::string_view::npos) return "it has a fragment, which is not sent to a server";
  if (url.front() != '/' && !url.starts_with("http://") && !url.starts_with("https://"))
    return "it is neither a path such as /api/status nor an http(s) URL";
  return {};
}

std::string write_hot_list(std::span<const HotUrl> list, std::size_t max_bytes) {
  std::string text(first_line);
  for (const HotUrl& hot : list) {
    std::string line = std::to_string(hot.seen_s) + ' ' + std::to_string(hot.count) + ' ' +
                       (hot.target.listener.empty() ? "/" : hot.target.listener) + ' ' + hot.target.url + '\n';
    if (text.size() + line.size() > max_bytes) break;
    text += line;
  }
  return text;
}

std::vector<HotUrl> read_hot_list(std::string_view text, std::size_t limit, std::int64_t now_s) {
  std::vector<HotUrl> list;
  if (!text.starts_with(first_line)) return list;
  text.remove_prefix(first_line.size());
  std::set<WarmTarget> seen;
  while (!text.empty() && list.size() < limit) {
    HotUrl hot;
    if (!read_line(take(text, '\n'), hot)) continue;
    // A clock that was ahead must not keep one for ever.
    hot.seen_s = std::min(hot.seen_s, now_s);
    if (hot.seen_s < now_s - hot_url_age_s || !seen.insert(hot.target).second) continue;
    list.push_back(std::move(hot));
  }
  return list;
}

std::vector<HotUrl> fill_up(std::vector<HotUrl> own, const std::vector<HotUrl>& before, std::size_t limit) {
  std::set<WarmTarget> seen;
  for (const HotUrl& hot : own) seen.insert(hot.target);
  for (const HotUrl& hot : before) {
    if (own.size() >= limit) break;
    if (seen.insert(hot.target).second) own.push_back(hot);
  }
  if (own.size() > limit) own.resize(limit);
  return own;
}

}  // namespace pillion
