// Dates, Age and lists of entity tags: results within bounds, and what is written is read back.
#include <string>
#include <vector>

#include "core/cache_control.hpp"
#include "core/http_date.hpp"
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
  client_has_it(fields, etag, now_s, now_s);
  const Field since{"If-Modified-Since", field.value, Name::if_modified_since};
  client_has_it({&since, 1}, etag, now_s, now_s);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto now_s = static_cast<std::int64_t>(input.number<std::uint32_t>());
  check_written(input.number<std::int64_t>());
  const std::string_view text = input.line();
  check_date(text, now_s);
  check_age(text);
  check_etags(text, input.line(), now_s);
  return 0;
}
