// Cache-Control, Pragma and Age (RFC 9111 5), and targeted fields (RFC 9213). See cache_control.hpp.
#include "core/cache_control.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <variant>

#include "core/structured_field.hpp"

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

/// What forbids counts however it is written; `private` and `no-cache` with field names as without (5.2.2.4, 5.2.2.7).
/// must-revalidate does two things: it forbids stale answers, as proxy-revalidate does, and permits storing what had
/// Authorization (3.5). Here it only forbids, where it doesn't do both already. False where this directive forbids
/// nothing.
bool apply_forbidding(ResponseDirectives& out, const Directive& d) noexcept {
  if (d.is("no-store")) {
    out.no_store = true;
  } else if (d.is("no-cache")) {
    out.no_cache = true;
  } else if (d.is("private")) {
    out.private_ = true;
  } else if (d.is("no-transform")) {
    out.no_transform = true;
  } else if (d.is("proxy-revalidate") || d.is("must-revalidate")) {
    out.proxy_revalidate = out.proxy_revalidate || d.is("proxy-revalidate") || !out.must_revalidate;
  } else {
    return false;
  }
  return true;
}

void apply(ResponseDirectives& out, const Directive& d) noexcept {
  if (d.bare && d.is("must-revalidate")) {
    out.must_revalidate = true;
  } else if (apply_forbidding(out, d)) {
    return;
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

bool apply_forbidding(RequestDirectives& out, const Directive& d) noexcept {
  if (d.is("no-store")) {
    out.no_store = true;
  } else if (d.is("no-cache")) {
    out.no_cache = true;
  } else {
    return false;
  }
  return true;
}

void apply(RequestDirectives& out, const Directive& d) noexcept {
  if (apply_forbidding(out, d)) return;
  if (d.is("only-if-cached")) {
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

/// How a simpler or a stricter parser than ours may take quotes. (Ours, next_member(): escapes, and anywhere.)
struct Quoting {
  bool escapes;   ///< a backslash hides the quote after it
  bool anywhere;  ///< a quote opens wherever it stands; else only an argument or a whole member can be quoted
};

/// What the list forbids if quotes are taken that way. A directive that stands within quotes for us and outside of them
/// for the next cache may be meant: it forbids, too. Read in linear time, since of the searches for a closing quote
/// only the last can fail: after one that did, quotes stand behind backslashes or not at all, and open nothing.
template <typename Directives>
void apply_forbidding(Directives& out, std::string_view list, Quoting quoting) noexcept {
  std::size_t begin = 0;
  bool blank = true;  // nothing but white space since `begin`
  for (std::size_t i = 0; i <= list.size(); ++i) {
    if (i == list.size() || list[i] == ',') {
      apply_forbidding(out, Directive(trim(list.substr(begin, i - begin))));
      begin = i + 1;
      blank = true;
      continue;
    }
    if (list[i] == '"' && (quoting.anywhere || blank || list[i - 1] == '=')) {
      std::size_t close = i + 1;
      while (close < list.size() && list[close] != '"') close += quoting.escapes && list[close] == '\\' ? 2 : 1;
      if (close < list.size()) i = close;
    }
    blank = blank && (list[i] == ' ' || list[i] == '\t');
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
    if (field.value.find('"') == std::string_view::npos) continue;
    for (const Quoting quoting : {Quoting{false, true}, Quoting{true, false}, Quoting{false, false}})
      apply_forbidding(out, field.value, quoting);
  }
  return present;
}

/// Of a targeted field: an Integer from 0 on, saturating. False for anything else.
bool set_delta(std::int32_t& delta, const structured::Member& member) noexcept {
  const auto* value = member.is_inner_list ? nullptr : std::get_if<std::int64_t>(&member.item);
  if (value == nullptr || *value < 0) return false;
  delta = static_cast<std::int32_t>(std::min<std::int64_t>(*value, max_delta));
  return true;
}

/// False where the member makes its field malformed.
bool apply(ResponseDirectives& out, const structured::Member& member) noexcept {
  const std::string_view key = member.key;
  if (key == "max-age") return set_delta(out.max_age, member);
  if (key == "s-maxage") return set_delta(out.s_maxage, member);
  if (key == "stale-while-revalidate") return set_delta(out.stale_while_revalidate, member);
  if (key == "stale-if-error") return set_delta(out.stale_if_error, member);
  const auto* boolean = member.is_inner_list ? nullptr : std::get_if<bool>(&member.item);
  if (boolean != nullptr && !*boolean) return true;
  if (boolean != nullptr) {
    if (key == "public") out.public_ = true;
    if (key == "immutable") out.immutable = true;
    if (key == "must-understand") out.must_understand = true;
    if (key == "must-revalidate") out.must_revalidate = true;
  }
  apply_forbidding(out, Directive(key));
  return true;
}

/// The directives of a targeted field; nullopt where it is absent, malformed or empty, and so decides nothing. One with
/// a number that is none is malformed, unless it forbids storing or reuse: that holds, and nothing is fresh by it.
std::optional<ResponseDirectives> targeted_directives(Fields fields, Name id) {
  const auto members = structured::parse_dictionary(fields, id);
  if (!members || members->empty()) return std::nullopt;
  ResponseDirectives out;
  out.present = out.targeted = true;
  bool sound = true;
  for (const structured::Member& member : *members) sound = apply(out, member) && sound;
  if (sound) return out;
  if (!out.no_store && !out.private_ && !out.no_cache) return std::nullopt;
  out.max_age = out.s_maxage = 0;
  return out;
}

}  // namespace

ResponseDirectives parse_response_directives(Fields fields) {
  for (const Name id : {Name::pillion_cache_control, Name::cdn_cache_control})
    if (auto targeted = targeted_directives(fields, id)) {
      targeted->own = id == Name::pillion_cache_control;
      return *targeted;
    }
  ResponseDirectives out;
  out.present = apply_all(out, fields);
  return out;
}

RequestDirectives parse_request_directives(Fields fields) noexcept {
  RequestDirectives out;
  const bool present = fields.may_have(Name::cache_control) && apply_all(out, fields);
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
