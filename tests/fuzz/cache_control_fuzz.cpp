// Cache-Control is never read less strictly than by plain references, with escapes in quoted strings and without, and
// several lines say what one line with commas says. The same lines as CDN-Cache-Control decide alone or not at all, as
// a targeted field (RFC 9213). Input: field lines, one a line.
#include <string>
#include <vector>

#include "core/cache_control.hpp"
#include "input.hpp"

using namespace pillion;
using fuzz::require;

namespace {

/// The members of a list read by the grammar (RFC 9110 5.6.4), one byte after the other.
struct Reading {
  std::vector<std::string> members{1};  ///< lower-case, trimmed
  bool unclosed = false;                ///< a quote is never closed
  bool escape_outside = false;          ///< a backslash outside quotes: no reading is right

  explicit Reading(std::string_view text, bool escapes = true) {
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (!quoted && c == ',') {
        members.emplace_back();
        continue;
      }
      members.back() += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      if (c == '"') quoted = !quoted;
      if (c == '\\' && !quoted) escape_outside = true;
      if (escapes && c == '\\' && quoted && i + 1 < text.size()) members.back() += text[++i];
    }
    unclosed = quoted;
    for (std::string& member : members) member = std::string(trim(member));
  }
  bool has(std::string_view name) const {
    for (const std::string& member : members) {
      if (member == name) return true;
    }
    return false;
  }
};

/// A backslash, or a quote where no argument begins: parsers differ on where such a string ends.
bool is_odd(std::string_view text) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') return true;
    if (text[i] != '"') continue;
    if (!quoted && (i == 0 || text[i - 1] != '=')) return true;
    quoted = !quoted;
  }
  return false;
}

Field line(std::string_view value) { return {"Cache-Control", trim(value), Name::cache_control}; }

bool in_bounds(std::int32_t delta) { return delta >= no_delta; }

bool same(const ResponseDirectives& a, const ResponseDirectives& b) {
  return a.no_store == b.no_store && a.no_cache == b.no_cache && a.private_ == b.private_ && a.public_ == b.public_ &&
         a.must_revalidate == b.must_revalidate && a.proxy_revalidate == b.proxy_revalidate &&
         a.must_understand == b.must_understand && a.no_transform == b.no_transform && a.immutable == b.immutable &&
         a.max_age == b.max_age && a.s_maxage == b.s_maxage && a.stale_while_revalidate == b.stale_while_revalidate &&
         a.stale_if_error == b.stale_if_error;
}

/// A parser that knows no escapes sees nothing forbidden that we don't.
void check_simpler(std::string_view text, const ResponseDirectives& response, const RequestDirectives& request) {
  const Reading reading(text, false);
  if (reading.has("no-store")) require(response.no_store && request.no_store, "a no-store hidden by an escape");
  if (reading.has("private")) require(response.private_, "a private hidden by an escape");
  if (reading.has("no-cache")) require(response.no_cache && request.no_cache, "a no-cache hidden by an escape");
}

void check_targeted(const std::vector<Field>& lines) {
  std::vector<Field> fields;
  for (const Field& field : lines) fields.push_back({"CDN-Cache-Control", field.value, Name::cdn_cache_control});
  const ResponseDirectives alone = parse_response_directives(fields);
  fields.push_back(line("no-store, private, max-age=7"));
  fields.push_back({"Pragma", "no-cache", Name::pragma});
  const ResponseDirectives d = parse_response_directives(fields);
  require(d.targeted == alone.targeted, "what stands beside a targeted field decides whether it is one");
  if (d.targeted) {
    require(same(d, alone), "a targeted field doesn't decide alone");
    require(in_bounds(d.max_age) && in_bounds(d.s_maxage) && in_bounds(d.stale_while_revalidate) &&
                in_bounds(d.stale_if_error),
            "a targeted number out of bounds");
  } else {
    require(d.no_store && d.private_ && d.max_age == 7, "a malformed targeted field isn't as if absent");
    require(same(alone, {}), "a malformed targeted field says something");
  }
}

void check_one(const ResponseDirectives& response, const RequestDirectives& request, const Reading& reading) {
  if (reading.escape_outside) return;
  if (reading.has("no-store")) require(response.no_store && request.no_store, "a no-store went unseen");
  if (reading.has("private")) require(response.private_, "a private went unseen");
  if (reading.has("no-cache")) require(response.no_cache && request.no_cache, "a no-cache went unseen");
  if (reading.has("max-age=0")) require(response.max_age == 0 && request.max_age == 0, "a max-age=0 went unseen");
  if (reading.has("must-revalidate")) require(response.must_revalidate, "a must-revalidate went unseen");
  if (reading.unclosed) return;
  if (response.public_) require(reading.has("public"), "a public out of nowhere");
  if (response.immutable) require(reading.has("immutable"), "an immutable out of nowhere");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  std::vector<Field> lines;
  std::string joined;
  bool whole = true;  // no quote of one line is closed in another
  while (!input.empty()) {
    const std::string_view text = input.line();
    lines.push_back(line(text));
    joined += (joined.empty() ? "" : ",") + std::string(lines.back().value);
    const Reading reading(lines.back().value);
    whole = whole && !reading.unclosed && !reading.escape_outside && !is_odd(lines.back().value);
    const ResponseDirectives response = parse_response_directives({&lines.back(), 1});
    const RequestDirectives request = parse_request_directives({&lines.back(), 1});
    check_one(response, request, reading);
    check_simpler(lines.back().value, response, request);
  }
  const Field one = line(joined);
  const ResponseDirectives apart = parse_response_directives(lines), together = parse_response_directives({&one, 1});
  for (const ResponseDirectives& d : {apart, together}) {
    require(in_bounds(d.max_age) && in_bounds(d.s_maxage) && in_bounds(d.stale_while_revalidate) &&
                in_bounds(d.stale_if_error),
            "a number out of bounds");
  }
  if (whole) require(same(apart, together), "lines and their concatenation disagree");
  check_one(together, parse_request_directives({&one, 1}), Reading(one.value));
  check_targeted(lines);
  return 0;
}
