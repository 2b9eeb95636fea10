// HTTP-date, read strictly and written in the one form of today (RFC 9110 5.6.7). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pillion {

/// Seconds since 1970-01-01 UTC. All three formats; anything not exactly of one of them is nullopt. But case doesn't
/// matter: RFC 9110 5.6.7 binds those who write dates, and caches are to read them without it (RFC 9111 4.2). Nor need
/// the day's name be the right one: it says nothing that the date doesn't. Second 60 is the first of the next minute.
/// `now_s` places the two-digit year of the RFC 850 form: a date over 50 years ahead is in the past century.
std::optional<std::int64_t> parse_http_date(std::string_view text, std::int64_t now_s) noexcept;

/// IMF-fixdate, always 29 characters: `Sun, 06 Nov 1994 08:49:37 GMT`. Years 0 to 9999; others are clamped.
inline constexpr std::size_t http_date_size = 29;
void write_http_date(std::int64_t seconds, char (&out)[http_date_size]) noexcept;

}  // namespace pillion
