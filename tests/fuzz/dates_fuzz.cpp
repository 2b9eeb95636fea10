// Dates, Age, lists of entity tags, ranges and Accept fields: results within bounds, and what is written is read back.
#include <algorithm>
#include <string>
#include <vector>

#include "core/accept.hpp"
#include "core/cache_control.hpp"
#include "core/http_date.hpp"
#include "core/ranges.hpp"
#include "core/validation.hpp"
#include "input.hpp"

using namespace pillion;
using fuzz::require;

namespace {

constexpr std::int64_t year_0 = -62'167'219'200, year_10000 = 253'402'300'800;

void check_written(std::int64_t seconds) {
  char text[http_date_size];
  write_http_date(seconds, text);
  const auto back = parse_http_date({text, sizeof text}, 0);
  require(back.has_value(), "a written date does not parse");
  require(*back == (seconds < year_0        ? year_0
                    : seconds >= year_10000 ? year_10000 - 1
                                            : seconds),
          "a written date is read as another");
}

void check_date(std::string_view text, std::int64_t now_s) {
  const auto seconds = parse_http_date(text, now_s);
  if (!seconds) return;
  require(*seconds >= year_0 && *seconds < year_10000, "a date out of bounds");
  char again[http_date_size];
  write_http_date(*seconds, again);
  // All of today's form but the name of the day, which adds nothing, the case (RFC 9111 4.2 lets caches ignore it) and
  // a leap second, which is the next one.
  const bool leap = text.size() == http_date_size && text.substr(22, 3) == ":60";
  require(
      text.size() != http_date_size || leap || iequals(std::string_view(again, sizeof again).substr(3), text.substr(3)),
      "a date in another spelling");
}

void check_age(std::string_view text) {
  const Field field{"Age", text, Name::age};
  const std::int32_t age = parse_age({&field, 1});
  require(age >= no_delta, "an age out of bounds");
  if (age >= 0) require(text.find_first_of("0123456789") != std::string_view::npos, "an age without digits");
}

/// The part that weak comparison compares.
std::string_view opaque(std::string_view etag) { return etag.starts_with("W/") ? etag.substr(2) : etag; }

/// An entity-tag's opaque part by the grammar (RFC 9110 8.8.3), less the backslash, which some take for an escape.
bool is_simple(std::string_view tag) {
  if (tag.size() < 2 || tag.front() != '"' || tag.back() != '"') return false;
  for (const char c : tag.substr(1, tag.size() - 2)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f || c == '"' || c == '\\') return false;
  }
  return true;
}

void check_etags(std::string_view list, std::string_view etag, std::int64_t now_s) {
  const Field field{"If-None-Match", trim(list), Name::if_none_match};
  const Fields fields{&field, 1};
  if (etag_matches_weakly(fields, etag)) {
    require(field.value.find(opaque(etag)) != std::string_view::npos || field.value.find('*') != std::string_view::npos,
            "an entity tag matched that is not in the list");
  } else if (is_simple(opaque(etag))) {
    require(field.value != etag && field.value != opaque(etag), "an entity tag did not match itself");
  }
  client_has_it(fields, etag, now_s, now_s, now_s);
  const Field since{"If-Modified-Since", field.value, Name::if_modified_since};
  client_has_it({&since, 1}, etag, now_s, now_s, now_s);
}

void check_multipart(const std::vector<ByteRange>& ranges, std::string_view body) {
  const Multipart parts = make_multipart(ranges, "text/plain", body);
  require(body.find(parts.boundary) == std::string_view::npos, "a boundary that is in the body");
  require(parts.before.size() == ranges.size(), "a range without its part");
  std::uint64_t length = parts.end.size();
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    require(parts.before[i].find(parts.boundary) != std::string::npos, "a part without the boundary");
    length += parts.before[i].size() + ranges[i].size();
  }
  require(length == parts.length, "a length that isn't that of the parts");
}

void check_ranges(std::string_view value, std::string_view if_range, std::string_view etag, std::string_view body,
                  std::int64_t now_s) {
  const std::vector<Field> fields{{"Range", trim(value), Name::range}, {"If-Range", trim(if_range), Name::if_range}};
  const Representation stored{entity_tag_of(std::vector<Field>{{"ETag", etag, Name::etag}}), now_s - 5, now_s,
                              body.size()};
  const RangeAnswer alone = select_ranges({fields.data(), 1}, stored, now_s);
  require((alone.kind == RangeAnswer::Kind::partial) == !alone.ranges.empty(), "ranges of what isn't partial");
  require(alone.ranges.size() <= max_ranges, "more ranges than the bound");
  std::uint64_t sum = 0;
  for (const ByteRange& range : alone.ranges) {
    require(range.first <= range.last && range.last < body.size(), "a range outside of the body");
    sum += range.size();
  }
  require(sum <= body.size(), "more bytes than the body has");
  if (!alone.ranges.empty()) check_multipart(alone.ranges, body);
  // What is selected, written anew, selects the same.
  std::string again = "bytes=";
  for (const ByteRange& range : alone.ranges)
    again += (again.ends_with('=') ? "" : ",") + std::to_string(range.first) + "-" + std::to_string(range.last);
  const Field written{"Range", again, Name::range};
  if (!alone.ranges.empty())
    require(select_ranges({&written, 1}, stored, now_s).ranges == alone.ranges, "ranges are read as others");
  // If-Range only ever makes it the whole.
  const RangeAnswer conditional = select_ranges(fields, stored, now_s);
  require(conditional.kind == RangeAnswer::Kind::whole ||
              (conditional.kind == alone.kind && conditional.ranges == alone.ranges),
          "If-Range changed the ranges");
  if (conditional.kind != RangeAnswer::Kind::whole)
    require(fields[1].value == stored.etag || parse_http_date(fields[1].value, now_s) == stored.last_modified_s,
            "an If-Range held that names another representation");
}

void check_accept(std::string_view one, std::string_view two) {
  const std::vector<Field> fields{{"Accept-Encoding", trim(one), Name::accept_encoding},
                                  {"Accept-Encoding", trim(two), Name::accept_encoding},
                                  {"Accept-Language", trim(one), Name::accept_language},
                                  {"Accept-Language", trim(two), Name::accept_language}};
  const auto reduced = normalised_accept_encoding(fields);
  require(reduced.has_value(), "a field that is there is absent");
  const Field again{"Accept-Encoding", *reduced, Name::accept_encoding};
  require(normalised_accept_encoding({&again, 1}) == reduced, "what is reduced is reduced again");
  const std::vector<std::string> spoken{"en", "de", "pt-BR"};
  const auto language = normalised_accept_language(fields, spoken);
  require(!language || std::ranges::find(spoken, *language) != spoken.end(), "a language that isn't spoken");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto now_s = static_cast<std::int64_t>(input.number<std::uint32_t>());
  check_written(input.number<std::int64_t>());
  const std::string_view text = input.line();
  check_date(text, now_s);
  check_age(text);
  const std::string_view etag = input.line();
  check_etags(text, etag, now_s);
  const std::string_view if_range = input.line();
  check_accept(text, etag);
  check_ranges(text, if_range, etag, input.rest(), now_s);
  return 0;
}
