// Selectors: what they are made of, and which responses they match.
#include "core/invalidation.hpp"

#include <algorithm>
#include <charconv>

#include "core/hash.hpp"
#include "core/structured_field.hpp"

namespace pillion {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// pchar of RFC 3986 3.3, less `%`.
bool is_plain_in_segments(unsigned char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return c != 0 && std::string_view("-._~!$&'()*+,;=:@").find(static_cast<char>(c)) != std::string_view::npos;
}

/// One spelling for all that a server may take for the same; bytes of `keep` stay as they are.
void append_normalised(std::string_view text, std::string_view keep, std::string& out) {
  static constexpr char digits[] = "0123456789ABCDEF";
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    const int high = c == '%' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    const bool encoded = low >= 0;
    if (encoded) {
      c = static_cast<unsigned char>(high * 16 + low);
      i += 2;
    }
    if (is_plain_in_segments(c) || (!encoded && keep.find(static_cast<char>(c)) != std::string_view::npos)) {
      out += static_cast<char>(c);
    } else {
      out += {'%', digits[c >> 4], digits[c & 0xf]};
    }
  }
}

std::string normalised_query(std::string_view query) {
  std::string out;
  append_normalised(query, "/?", out);
  return out;
}

/// `host[:port]` in lower case without the default port, a trailing dot or what stands before `@`.
std::string normalised_host(std::string_view scheme, std::string_view host) {
  if (const std::size_t at = host.rfind('@'); at != std::string_view::npos) host.remove_prefix(at + 1);
  const std::size_t colon = host.rfind(':');
  std::string_view port;
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos) {
    port = host.substr(colon + 1);
    host = host.substr(0, colon);
  }
  if (host.ends_with('.')) host.remove_suffix(1);
  std::string out(host);
  if (!port.empty() && port != (scheme == "https" ? "443" : "80")) out.append(":").append(port);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

/// Seeds of hashes are the kinds' numbers and one; this one is none of theirs.
constexpr std::uint64_t search_seed = 0x736561726368;

/// Absolute and relative URLs stand apart by their first byte: a letter or a slash.
std::uint32_t hash_of(Selector::Kind kind, std::string_view text) {
  return static_cast<std::uint32_t>(hash64(text, static_cast<std::uint64_t>(kind) + 1));
}

std::string path_and_query(std::string_view path, std::string_view query, bool has_query) {
  std::string out = normalised_path(path);
  if (has_query) out.append("?").append(normalised_query(query));
  return out;
}

std::string normalised_url(std::string_view url) {
  url = url.substr(0, url.find('#'));
  std::string origin;
  const std::size_t colon = url.find("://");
  if (colon != std::string_view::npos && colon < url.find_first_of("/?")) {
    std::string scheme(url.substr(0, colon));
    std::ranges::transform(scheme, scheme.begin(), lower);
    url.remove_prefix(colon + 3);
    const std::size_t end = std::min(url.find_first_of("/?"), url.size());
    origin = scheme + "://" + normalised_host(scheme, url.substr(0, end));
    url.remove_prefix(end);
  }
  const std::size_t question = url.find('?');
  const bool has_query = question != std::string_view::npos;
  return origin +
         path_and_query(url.substr(0, question), has_query ? url.substr(question + 1) : url.substr(0, 0), has_query);
}

/// The path of what normalised_url() gave.
std::string_view path_of(std::string_view url) {
  if (!url.starts_with('/')) url.remove_prefix(url.find('/', url.find("://") + 3));
  return url.substr(0, url.find('?'));
}

std::uint32_t search_hash(std::string_view normalised) {
  return static_cast<std::uint32_t>(hash64(normalised, search_seed));
}

template <typename IsSeparator>
bool append_tags(std::string_view list, IsSeparator is_separator, std::size_t limit, std::vector<std::string>& tags) {
  for (std::size_t at = 0; at < list.size();) {
    const auto end = static_cast<std::size_t>(
        std::find_if(list.begin() + static_cast<std::ptrdiff_t>(at), list.end(), is_separator) - list.begin());
    const std::string_view tag = trim(list.substr(at, end - at));
    at = end + 1;
    if (tag.empty()) continue;
    if (tags.size() >= limit) return false;
    tags.emplace_back(tag);
  }
  return true;
}

}  // namespace

std::string_view to_string(Selector::Kind kind) noexcept {
  switch (kind) {
    case Selector::Kind::tag:
      return "tag";
    case Selector::Kind::pattern:
      return "pattern";
    case Selector::Kind::url:
      return "url";
    case Selector::Kind::path:
      return "path";
    case Selector::Kind::all:
      return "all";
    case Selector::Kind::group:
      return "group";
    case Selector::Kind::hashed:
      return "hashed";
  }
  return "";
}

bool glob_matches(std::string_view glob, std::string_view text) noexcept {
  std::size_t g = 0, t = 0;
  std::size_t star = std::string_view::npos;  // the last star seen, and where in the text its run ends so far
  std::size_t run_end = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      run_end = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++run_end;
    } else {
      return false;
    }
  }
  return glob.find_first_not_of('*', g) == std::string_view::npos;
}

std::string normalised_path(std::string_view path) {
  std::string decoded;
  decoded.reserve(path.size() + 1);
  append_normalised(path, "/", decoded);
  std::string out;
  out.reserve(decoded.size() + 1);
  std::string_view rest = decoded;
  bool directory = true;  // the path so far ends with a slash
  while (!rest.empty()) {
    const std::string_view segment = rest.substr(0, rest.find('/'));
    const bool last = segment.size() == rest.size();
    rest.remove_prefix(last ? rest.size() : segment.size() + 1);
    if (segment.empty() || segment == ".") {
      directory = true;
    } else if (segment == "..") {
      out.resize(out.empty() ? 0 : out.rfind('/'));
      directory = true;
    } else {
      out.append("/").append(segment);
      directory = !last;
    }
  }
  if (directory) out += '/';
  return out;
}

// A host has no slash, so the first one after `://` ends it, whatever the group's name is.
Selector group_selector(std::string_view scheme, std::string_view host, std::string_view group) {
  Selector out{Selector::Kind::group, std::string(scheme)};
  std::ranges::transform(out.text, out.text.begin(), lower);
  const std::string origin = normalised_host(out.text, host.substr(0, host.find('/')));
  out.text.append("://").append(origin).append("/").append(group);
  return out;
}

std::uint32_t selector_hash(const Selector& selector) {
  switch (selector.kind) {
    case Selector::Kind::tag:
    case Selector::Kind::group:
      return hash_of(selector.kind, selector.text);
    case Selector::Kind::url:
      return hash_of(selector.kind, normalised_url(selector.text));
    case Selector::Kind::path:
      return hash_of(selector.kind, normalised_path(selector.text));
    case Selector::Kind::pattern:
    case Selector::Kind::all:
    case Selector::Kind::hashed:
      break;
  }
  return 0;
}

std::uint32_t search_selector(std::string_view path) { return search_hash(normalised_path(path)); }

std::vector<std::uint32_t> selector_hashes(const Selector& selector) {
  std::vector<std::uint32_t> out;
  switch (selector.kind) {
    case Selector::Kind::tag:
    case Selector::Kind::path:
    case Selector::Kind::group:
      out.push_back(selector_hash(selector));
      break;
    case Selector::Kind::url:
      out.push_back(selector_hash(selector));
      out.push_back(search_hash(path_of(normalised_url(selector.text))));
      break;
    case Selector::Kind::hashed: {
      const char* at = selector.text.data();
      const char* const end = at + selector.text.size();
      for (std::uint32_t hash = 0; at < end; ++at) {
        const auto [after, error] = std::from_chars(at, end, hash);
        if (error != std::errc{}) break;
        out.push_back(hash);
        at = after;
      }
      break;
    }
    case Selector::Kind::pattern:
    case Selector::Kind::all:
      break;
  }
  return out;
}

std::vector<std::uint32_t> selectors_of(const std::vector<std::string>& tags, std::string_view scheme,
                                        std::string_view host, std::string_view path, std::string_view query,
                                        bool has_query) {
  std::vector<std::uint32_t> out;
  out.reserve(tags.size() + 3);
  const std::string relative = path_and_query(path, query, has_query);
  std::string absolute(scheme);
  std::ranges::transform(absolute, absolute.begin(), lower);
  absolute += "://" + normalised_host(absolute, host) + relative;
  out.push_back(hash_of(Selector::Kind::url, absolute));
  out.push_back(hash_of(Selector::Kind::url, relative));
  out.push_back(hash_of(Selector::Kind::path, std::string_view(relative).substr(0, relative.find('?'))));
  for (const std::string& tag : tags) out.push_back(hash_of(Selector::Kind::tag, tag));
  std::ranges::sort(out);
  const auto repeated = std::ranges::unique(out);
  out.erase(repeated.begin(), repeated.end());
  return out;
}

bool append_response_tags(Fields response_fields, std::vector<std::string>& tags) {
  const std::size_t limit = tags.size() + max_response_tags;
  for (const Field& field : response_fields) {
    bool all = true;
    if (field.id == Name::surrogate_key) {
      all = append_tags(field.value, [](char c) { return c == ' ' || c == '\t'; }, limit, tags);
    } else if (field.id == Name::cache_tag) {
      all = append_tags(field.value, [](char c) { return c == ','; }, limit, tags);
    }
    if (!all) return false;
  }
  return true;
}

bool append_groups(Fields fields, Name id, std::string_view scheme, std::string_view host,
                   std::vector<Selector>& selectors) {
  static_assert(structured::max_members > max_response_tags);
  const auto members = structured::parse_list(fields, id);
  if (!members) return true;
  const std::size_t kept = std::min(members->size(), max_response_tags);
  for (std::size_t i = 0; i < kept; ++i) {
    const structured::Member& member = (*members)[i];
    const auto* group = member.is_inner_list ? nullptr : std::get_if<std::string>(&member.item);
    if (group != nullptr) selectors.push_back(group_selector(scheme, host, *group));
  }
  return kept == members->size();
}

bool append_response_groups(Fields response_fields, std::string_view scheme, std::string_view host,
                            std::vector<std::uint32_t>& selectors) {
  std::vector<Selector> groups;
  const bool all = append_groups(response_fields, Name::cache_groups, scheme, host, groups);
  for (const Selector& group : groups) selectors.push_back(selector_hash(group));
  return all;
}

bool selects(const Selector& selector, std::span<const std::uint32_t> selectors, std::string_view readable_key) {
  if (selector.kind == Selector::Kind::all) return true;
  if (selector.kind == Selector::Kind::pattern) return glob_matches(selector.text, readable_key);
  const std::vector<std::uint32_t> hashes = selector_hashes(selector);
  return std::ranges::find_first_of(selectors, hashes) != selectors.end();
}

}  // namespace pillion
