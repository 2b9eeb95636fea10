// Keys are injective: two requests have one key exactly where their parts, each with its length before it, are one.
// What a reference says here is written out slowly and without the code under test.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "core/cache_key.hpp"
#include "core/invalidation.hpp"
#include "input.hpp"

using namespace pillion;
using fuzz::require;

namespace {

struct Request {
  bool https = false;
  std::string_view upstream, host, target;
  std::vector<Field> fields;

  RequestHead head() const {
    RequestHead out;
    out.target = target;
    const std::size_t question = target.find('?');
    out.path = target.substr(0, question);
    out.has_query = question != std::string_view::npos;
    if (out.has_query) out.query = target.substr(question + 1);
    out.host = host;
    out.scheme = https ? "https" : "http";
    out.fields = fields;
    return out;
  }
};

/// Bits of the shape take parts over from the earlier request, so that equal and nearly equal ones are common.
Request read_request(fuzz::Input& input, const Request& earlier) {
  static constexpr std::array<std::string_view, 4> names{"x-a", "X-B", "cookie", "authorization"};
  Request out;
  const auto shape = input.byte();
  out.https = shape & 1;
  out.upstream = shape & 0x80 ? earlier.upstream : input.line();
  out.host = shape & 0x40 ? earlier.host : input.line();
  out.target = shape & 0x20 ? earlier.target : input.line();
  if (shape & 0x10) out.fields = earlier.fields;
  for (int i = 0; i < ((shape >> 1) & 3); ++i) {
    const std::string_view name = names[input.byte() % names.size()];
    out.fields.push_back({name, trim(input.line()), name_of(name)});
  }
  return out;
}

config::Route route_of(std::uint8_t shape) {
  config::Route out;
  out.key_headers = {"x-a", "X-b"};
  out.personal_cookies = config::Personal::key;
  out.personal_cookie_names = {"c", "d"};
  out.personal_authorization = config::Personal::key;
  out.ignore_host = shape & 1;
  if (shape & 2) out.query.ignore = {"u*", "v"};
  if (shape & 4) out.query.only = std::vector<std::string>{"a", "u1", "v"};
  out.query.sort = shape & 8;
  return out;
}

void add(std::string& out, std::string_view bytes) { out += std::to_string(bytes.size()) + ":" + std::string(bytes); }

std::string folded(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == separator) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

std::string reference_host(const Request& request) {
  std::string host = folded(request.host);
  const std::string port = request.https ? ":443" : ":80";
  if (!host.ends_with(port)) return host;
  const std::string name = host.substr(0, host.size() - port.size());
  return name.find(':') == std::string::npos || name.ends_with("]") ? name : host;
}

/// The target that is forwarded.
std::string reference_target(const Request& request, const config::Route& route) {
  const std::size_t question = request.target.find('?');
  std::string out(request.target.substr(0, question));
  if (question == std::string_view::npos) return out;
  std::vector<std::pair<std::string, std::string>> kept;
  const bool rule = !route.query.ignore.empty() || route.query.only || route.query.sort;
  if (!rule) return std::string(request.target);
  for (const std::string& parameter : split(request.target.substr(question + 1), '&')) {
    const std::string name = split(parameter, '=')[0];
    if (!route.query.ignore.empty() && (name.starts_with("u") || name == "v")) continue;
    if (route.query.only && name != "a" && name != "u1" && name != "v") continue;
    kept.emplace_back(name, parameter);
  }
  for (std::size_t end = 1; route.query.sort && end < kept.size(); ++end) {
    for (std::size_t i = end; i > 0 && kept[i].first < kept[i - 1].first; --i) std::swap(kept[i], kept[i - 1]);
  }
  for (std::size_t i = 0; i < kept.size(); ++i) out += (i == 0 ? "?" : "&") + kept[i].second;
  return out;
}

std::string reference(const Request& request, const config::Route& route) {
  std::string out;
  add(out, request.upstream);
  add(out, request.https ? "https" : "http");
  add(out, route.ignore_host ? "" : reference_host(request));
  add(out, reference_target(request, route));
  for (const char* name : {"x-a", "x-b", "authorization"}) {
    add(out, name);
    for (const Field& field : request.fields) {
      if (folded(field.name) == name) add(out, field.value);
    }
  }
  for (const char* name : {"c", "d"}) {
    add(out, name);
    for (const Field& field : request.fields) {
      if (field.name != "cookie") continue;
      for (const std::string& pair : split(field.value, ';')) {
        const std::size_t equals = pair.find('=');
        if (trim(std::string_view(pair).substr(0, equals)) != name) continue;
        add(out,
            equals == std::string::npos ? "bare" : "=" + std::string(trim(std::string_view(pair).substr(equals + 1))));
      }
    }
  }
  return out;
}

std::string key_of(const Request& request, const CompiledRoute& route) {
  std::string out;
  append_primary_key(request.head(), {&route, {}}, request.upstream, out);
  return out;
}

bool is_present(std::string_view name, const Request& request) {
  return std::ranges::any_of(request.fields, [&](const Field& field) { return folded(field.name) == name; });
}

/// The lines of a field of which nobody knows whether it is a list.
std::string reference_lines(std::string_view name, const Request& request) {
  std::string out;
  bool first = true;
  for (const Field& field : request.fields) {
    if (folded(field.name) != name) continue;
    out += (first ? "" : ", ") + std::string(field.value);
    first = false;
  }
  return out;
}

/// The lines of a list as one: members trimmed, empty ones left out. Exact where nothing is quoted.
std::string reference_list(std::string_view name, const Request& request) {
  std::string out;
  for (const Field& field : request.fields) {
    if (folded(field.name) != name) continue;
    for (const std::string& member : split(field.value, ',')) {
      if (!trim(member).empty()) out += (out.empty() ? "" : ", ") + std::string(trim(member));
    }
  }
  return out;
}

std::string without_blanks(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '\t'; });
  return text;
}

void check_variant(std::string_view name, const Request& a, const Request& b) {
  const bool same = variant_key(name, a.fields) == variant_key(name, b.fields);
  const bool same_presence = is_present(name, a) == is_present(name, b);
  const std::string list_a = reference_list(name, a), list_b = reference_list(name, b);
  if (same) {
    // White space alone may be taken for the same, even where quotes are odd.
    require(same_presence && without_blanks(list_a) == without_blanks(list_b), "different values, one variant");
  } else if ((list_a + list_b).find('"') == std::string::npos) {
    require(!same_presence || list_a != list_b, "equal values, two variants");
  }
}

/// With its `x-a` fields called `accept`.
Request as_accept(Request request) {
  for (Field& field : request.fields)
    if (folded(field.name) == "x-a") field.name = "accept";
  return request;
}

/// Every byte counts but where lines are joined.
void check_exact_variant(std::string_view name, const Request& a, const Request& b) {
  const bool same = variant_key(name, a.fields) == variant_key(name, b.fields);
  const bool expected =
      is_present(name, a) == is_present(name, b) && reference_lines(name, a) == reference_lines(name, b);
  require(same == expected, "variants and values disagree");
}

void check_paths(std::string_view path) {
  const std::string once = normalised_path(path);
  require(normalised_path(once) == once, "a normalised path changes again");
  require(once.starts_with('/') && once.find("//") == std::string::npos, "a normalised path is odd");
  require(!is_keyable_path(path) || path.find("//") == std::string_view::npos, "a double slash may be keyed");
  if (is_keyable_path(path)) {
    // No dot segment was taken away: as many segments as before.
    require(std::ranges::count(once, '/') == std::ranges::count(path, '/'), "a dot segment may be keyed");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  CompiledRoute route;
  route.settings = route_of(input.byte());
  const Request a = read_request(input, {}), b = read_request(input, a);
  const bool same_parts = reference(a, route.settings) == reference(b, route.settings);
  require((key_of(a, route) == key_of(b, route)) == same_parts, "equal keys and equal parts disagree");
  require(forwarded_target(a.head(), {&route, {}}) == reference_target(a, route.settings),
          "another target is forwarded");

  check_exact_variant("cookie", a, b);
  check_exact_variant("x-a", a, b);
  // The same bytes as those of a field that is known to be a list.
  check_variant("accept", as_accept(a), as_accept(b));
  check_paths(a.head().path);
  return 0;
}
