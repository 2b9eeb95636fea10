// Cache-Control, Pragma and Age (RFC 9111 5). See cache_control.hpp.
#include "core/cache_control.hpp"

#include <algorithm>
#include <limits>
#include <optional>

namespace pillion {
namespace {

constexpr std::int32_t max_delta = std::numeric_limits<std::int32_t>::max();

/// Digits alone, saturating (RFC 9111 1.2.2).
std::optional<std::int32_t> parse_delta(std::string_view text) noexcept {
  if (text.empty()) return std::nullopt;
  std::int64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = std::min<std::int64_t>(value * 10 + (c - '0'), max_delta);
  }
  return static_cast<std::int32_t>(value);
}

/// One member of the list, cut into a name and what follows it.
struct Directive {
  std::string_view name;      ///< the leading token: `no-store; x` is a no-store, oddly written
  std::string_view argument;  ///< after `=`, not unquoted
  bool bare = false;          ///< nothing follows the name

  explicit Directive(std::string_view member) noexcept {
    std::size_t end = 0;
    while (end < member.size() && is_token(member.substr(end, 1))) ++end;
    name = member.substr(0, end);
    bare = end == member.size();
    if (!bare && member[end] == '=') argument = member.substr(end + 1);
  }

  bool is(std::string_view lower) const noexcept { return iequals(name, lower); }

  /// The argument as a number; recipients ought to take a quoted one too (RFC 9111 5.2).
  std::optional<std::int32_t> number() const noexcept {
    std::string_view text = argument;
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
    return parse_delta(text);
  }
};

/// Of two readings the smaller; a malformed one is 0 (RFC 9111 4.2.1: invalid freshness information means stale).
void take_smallest(std::int32_t& delta, const Directive& directive) noexcept {
  const std::int32_t value = directive.number().value_or(0);
  delta = delta == no_delta ? value : std::min(delta, value);
}

void apply(ResponseDirectives& out, const Directive& d) noexcept {
  // What forbids counts however it is written; `private` and `no-cache` with field names as without (5.2.2.4, 5.2.2.7).
  if (d.is("no-store")) {
    out.no_store = true;
  } else if (d.is("no-cache")) {
    out.no_cache = true;
  } else if (d.is("private")) {
    out.private_ = true;
  } else if (d.is("no-transform")) {
    out.no_transform = true;
  } else if (d.is("proxy-revalidate")) {
    out.proxy_revalidate = true;
  } else if (d.is("must-revalidate")) {
    // It forbids stale answers and permits storing what had Authorization (3.5). Oddly written it only forbids.
    (d.bare ? out.must_revalidate : out.proxy_revalidate) = true;
  } else if (d.is("max-age")) {
    take_smallest(out.max_age, d);
  } else if (d.is("s-maxage")) {
    take_smallest(out.s_maxage, d);
  } else if (d.is("stale-while-revalidate")) {
    take_smallest(out.stale_while_revalidate, d);
  } else if (d.is("stale-if-error")) {
    take_smallest(out.stale_if_error, d);
  } else if (d.bare) {  // what allows counts only as the RFC writes it
    if (d.is("public")) out.public_ = true;
    if (d.is("immutable")) out.immutable = true;
    if (d.is("must-understand")) out.must_understand = true;
  }
}

void apply(RequestDirectives& out, const Directive& d) noexcept {
  if (d.is("no-store")) {
    out.no_store = true;
  } else if (d.is("no-cache")) {
    out.no_cache = true;
  } else if (d.is("only-if-cached")) {
    out.only_if_cached = true;
  } else if (d.is("max-age")) {
    take_smallest(out.max_age, d);
  } else if (d.is("min-fresh")) {
    out.min_fresh = std::max(out.min_fresh, d.number().value_or(max_delta));
  } else if (d.is("max-stale")) {
    if (d.bare) {
      out.max_stale_any = true;
    } else {
      take_smallest(out.max_stale, d);
    }
  }
}

/// All members of all lines of Cache-Control. Whether there was a line.
template <typename Directives>
bool apply_all(Directives& out, Fields fields) noexcept {
  bool present = false;
  for (const Field& field : fields) {
    if (field.id != Name::cache_control) continue;
    present = true;
    std::string_view list = field.value;
    while (const auto member = next_member(list)) apply(out, Directive(*member));
  }
  return present;
}

}  // namespace

ResponseDirectives parse_response_directives(Fields fields) noexcept {
  ResponseDirectives out;
  out.present = apply_all(out, fields);
  return out;
}

RequestDirectives parse_request_directives(Fields fields) noexcept {
  RequestDirectives out;
  const bool present = apply_all(out, fields);
  if (out.max_stale != no_delta) out.max_stale_any = false;                 // given both ways: the stricter
  if (!present) out.no_cache = list_has(fields, Name::pragma, "no-cache");  // RFC 9111 5.4
  return out;
}

std::int32_t parse_age(Fields fields) noexcept {
  const Field* age = find(fields, Name::age);
  if (age == nullptr) return no_delta;
  std::string_view list = age->value;
  const auto first = next_member(list);
  return first ? parse_delta(*first).value_or(no_delta) : no_delta;
}

}  // namespace pillion
