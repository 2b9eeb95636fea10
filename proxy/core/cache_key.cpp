// Cache keys. Every part is a type byte, a length (LEB128) and the bytes; the type of a part says what may follow it.
// So a key can be read back part by part, and two different lists of parts never give the same bytes.
#include "core/cache_key.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "core/accept.hpp"
#include "core/query_rule.hpp"

namespace pillion {
namespace {

/// Types of parts, in the order they stand in.
enum Part : char {
  part_upstream = 'u',
  part_route = 'r',  // name of a route that others could coincide with at the upstream
  part_scheme = 's',
  part_host = 'h',
  part_path = 'p',
  part_query = 'q',          // left out where there is no `?`
  part_header = 'n',         // name of a key header, then a part_value for each of its lines
  part_cookie = 'c',         // name of a keyed cookie, then a part_value or part_bare for each time it is there
  part_authorization = 'a',  // then a part_value for each line
  part_value = 'v',
  part_bare = 'w',     // a cookie without `=`
  part_rule = 'S',     // No-Vary-Search
  part_search = 'Q',   // what of the query counts under it
  part_variant = 'V',  // name of a Vary field; then a part_value where the request has it
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

void lower_from(std::string& text, std::size_t start) {
  for (std::size_t i = start; i < text.size(); ++i) text[i] = lower(text[i]);
}

/// Opens a part whose bytes the caller appends; close() puts in their length.
class OpenPart {
 public:
  OpenPart(std::string& out, Part type) : out_(out) {
    out_ += static_cast<char>(type);
    out_ += '\0';
    start_ = out_.size();
  }
  std::size_t start() const { return start_; }
  void close() {
    std::size_t size = out_.size() - start_;
    if (size < 0x80) {
      out_[start_ - 1] = static_cast<char>(size);
      return;
    }
    std::array<char, 10> length{};
    std::size_t digits = 0;
    for (; size >= 0x80; size >>= 7) length[digits++] = static_cast<char>((size & 0x7f) | 0x80);
    length[digits++] = static_cast<char>(size);
    out_.replace(start_ - 1, 1, length.data(), digits);
  }

 private:
  std::string& out_;
  std::size_t start_;
};

void append_part(std::string& out, Part type, std::string_view bytes) {
  if (bytes.size() < 0x80) {
    // Put together first: an append to a string costs more than this copy.
    char text[2 + 0x80];
    text[0] = static_cast<char>(type);
    text[1] = static_cast<char>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), text + 2);
    out.append(text, 2 + bytes.size());
    return;
  }
  OpenPart part(out, type);
  out += bytes;
  part.close();
}

void append_host(std::string& out, std::string_view host, std::string_view scheme) {
  const std::string_view port = scheme == "https" ? ":443" : ":80";
  if (host.ends_with(port)) {
    // Not the tail of an IPv6 address: that one stands in brackets.
    const std::string_view name = host.substr(0, host.size() - port.size());
    if (name.ends_with(']') || name.find(':') == std::string_view::npos) host = name;
  }
  if (host.size() < 0x80) {
    char lowered[0x80];
    std::transform(host.begin(), host.end(), lowered, lower);
    append_part(out, part_host, {lowered, host.size()});
    return;
  }
  OpenPart part(out, part_host);
  out += host;
  lower_from(out, part.start());
  part.close();
}

void append_path(const RequestHead& request, const RouteMatch& match, std::string& out) {
  if (match.route != nullptr && !match.route->settings.rewrite.empty()) {
    match.route->rewrite.append(out, match.parameters, Template::Encode::raw);
  } else {
    out += request.path;
  }
}

const config::QueryRule& query_rule(const RouteMatch& match) {
  static const config::QueryRule none;
  return match.route != nullptr ? match.route->settings.query : none;
}

/// Each line as it came: what a key header means is unknown, so nothing in it is taken for the same.
void append_header(Fields fields, const std::string& name, std::string& out) {
  OpenPart part(out, part_header);
  out += name;
  lower_from(out, part.start());
  part.close();
  for (const Field& field : fields) {
    if (iequals(field.name, name)) append_part(out, part_value, field.value);
  }
}

/// All values of that cookie in their order, since applications differ in which of them they take (RFC 6265 5.4).
void append_cookie(Fields fields, std::string_view name, std::string& out) {
  append_part(out, part_cookie, name);
  for (const Field& field : fields) {
    if (field.id != Name::cookie) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::size_t end = rest.find(';');
      const std::string_view pair = rest.substr(0, end);
      rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
      const std::size_t equals = pair.find('=');
      if (trim(pair.substr(0, equals)) != name) continue;
      if (equals == std::string_view::npos) {
        append_part(out, part_bare, {});
      } else {
        append_part(out, part_value, trim(pair.substr(equals + 1)));
      }
    }
  }
}

void append_personal(const RequestHead& request, const config::Route& route, std::string& out) {
  if (route.personal_cookies == config::Personal::key) {
    for (const std::string& name : route.personal_cookie_names) append_cookie(request.fields, name, out);
  }
  if (route.personal_authorization == config::Personal::key) {
    append_part(out, part_authorization, {});
    for (const Field& field : request.fields) {
      if (field.id == Name::authorization) append_part(out, part_value, field.value);
    }
  }
}

/// Fields whose own definition makes them lists of tokens and parameters: white space around commas, and lines, mean
/// nothing in them (RFC 9110 5.6.1). Of others who knows.
bool is_plain_list(std::string_view name) {
  for (const std::string_view known : {"accept", "accept-charset", "accept-language", "cache-control", "prefer", "te"})
    if (iequals(name, known)) return true;
  return false;
}

/// All lines of a field, joined as RFC 9110 5.3 has it; of known lists the members, joined in one way.
void append_lines(std::string_view name, Fields fields, std::string& out) {
  const bool list = is_plain_list(name);
  OpenPart value(out, part_value);
  bool first = true;
  const auto add = [&](std::string_view text) {
    if (!std::exchange(first, false)) out += ", ";
    out += text;
  };
  for (const Field& field : fields) {
    if (!iequals(field.name, name)) continue;
    if (!list) {
      add(field.value);
      continue;
    }
    std::string_view rest = field.value;
    while (const auto member = next_member(rest)) add(*member);
  }
  value.close();
}

}  // namespace

void append_primary_key(const RequestHead& request, const RouteMatch& match, std::string_view upstream_name,
                        std::string& out) {
  append_part(out, part_upstream, upstream_name);
  append_part(out, part_scheme, request.scheme);
  const config::Route* route = match.route != nullptr ? &match.route->settings : nullptr;
  if (route == nullptr || !route->ignore_host) append_host(out, request.host, request.scheme);
  if (route == nullptr || route->rewrite.empty()) {
    append_part(out, part_path, request.path);
  } else {
    OpenPart path(out, part_path);
    append_path(request, match, out);
    path.close();
  }
  if (request.has_query) {
    const std::size_t before = out.size();
    OpenPart query(out, part_query);
    if (append_query(request.query, query_rule(match), out)) {
      query.close();
    } else {
      out.resize(before);
    }
  }
  if (route == nullptr) return;
  // Two routes may ask the upstream for the same under different names: each has tags and a readable key of its own.
  if (!route->rewrite.empty() || !route->listener.empty()) append_part(out, part_route, route->name);
  for (const std::string& name : route->key_headers) append_header(request.fields, name, out);
  append_personal(request, *route, out);
}

std::string forwarded_target(const RequestHead& request, const RouteMatch& match, bool whole_query) {
  std::string out;
  out.reserve(request.target.size() + 16);
  append_path(request, match, out);
  if (!request.has_query) return out;
  const std::size_t before = out.size();
  out += '?';
  if (whole_query) {
    out += request.query;
    return out;
  }
  if (!append_query(request.query, query_rule(match), out)) out.resize(before);
  return out;
}

std::string apply_query_rule(std::string_view query, const config::QueryRule& rule) {
  std::string out;
  append_query(query, rule, out);
  return out;
}

std::string readable_key(const RouteMatch& match, const Hash128& hash) {
  std::string out;
  if (match.route != nullptr) match.route->key.append(out, match.parameters, Template::Encode::key);
  out += ':';
  append_hex(hash, out);
  return out;
}

bool is_response_key(std::string_view readable_key) noexcept {
  constexpr std::size_t hex = 32;
  if (readable_key.starts_with("pillion:")) return false;
  const auto ends_with_hash = [](std::string_view text, char before) {
    if (text.size() <= hex || text[text.size() - hex - 1] != before) return false;
    return std::ranges::all_of(text.substr(text.size() - hex),
                               [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  };
  if (ends_with_hash(readable_key, '.')) readable_key.remove_suffix(hex + 1);
  return ends_with_hash(readable_key, ':');
}

std::optional<std::string> canonical_vary(Fields response_fields) {
  // Views into the fields, kept sorted; case is folded only where two are compared and where they are written.
  std::array<std::string_view, max_vary_fields> names;
  std::size_t count = 0;
  const auto less = [](std::string_view a, std::string_view b) {
    return std::ranges::lexicographical_compare(a, b, {}, lower, lower);
  };
  for (const Field& field : response_fields) {
    if (field.id != Name::vary) continue;
    std::string_view list = field.value;
    while (const auto member = next_member(list)) {
      // What is no field name can't be honoured: as `*`.
      if (*member == "*" || !is_token(*member)) return std::nullopt;
      const auto end = names.begin() + static_cast<std::ptrdiff_t>(count);
      const auto place = std::lower_bound(names.begin(), end, *member, less);
      if (place != end && iequals(*place, *member)) continue;
      if (count == names.size()) return std::nullopt;
      std::move_backward(place, end, end + 1);
      *place = *member;
      ++count;
    }
  }
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    if (i != 0) out += ',';
    out += names[i];
  }
  lower_from(out, 0);
  return out;
}

std::string variant_key(std::string_view canonical_vary, Fields request_fields,
                        const std::vector<std::string>& spoken) {
  std::string out;
  while (const auto name = next_member(canonical_vary)) {
    append_part(out, part_variant, *name);
    const Field* first = find(request_fields, *name);
    if (first == nullptr) continue;
    if (first->id == Name::accept_encoding) {
      append_part(out, part_value, normalised_accept_encoding(request_fields).value_or(std::string()));
    } else if (first->id == Name::accept_language && !spoken.empty()) {
      const auto language = normalised_accept_language(request_fields, spoken);
      if (language) append_part(out, part_value, *language);
    } else {
      append_lines(*name, request_fields, out);
    }
  }
  return out;
}

Hash128 variant_place(const Hash128& primary, const Hash128& variant) {
  const std::uint64_t words[] = {primary.high, primary.low, variant.high, variant.low};
  return hash128({reinterpret_cast<const char*>(words), sizeof words});
}

void append_search(std::string_view rule, std::string_view canonical_search, std::string& out) {
  append_part(out, part_rule, rule);
  append_part(out, part_search, canonical_search);
}

}  // namespace pillion
