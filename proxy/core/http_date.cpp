// HTTP-date (RFC 9110 5.6.7). See http_date.hpp.
#include "core/http_date.hpp"

#include <algorithm>
#include <array>

#include "core/headers.hpp"

namespace pillion {
namespace {

constexpr std::array<std::string_view, 7> long_days = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                       "Friday", "Saturday", "Sunday"};
constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::int64_t day_s = 86400;

struct Civil {
  std::int64_t year = 0;
  int month = 0;  ///< 1 to 12
  int day = 0;
  int hour = 0, minute = 0, second = 0;
};

/// Days since 1970-01-01 of the proleptic Gregorian calendar. Years begin in March here, so that a leap day is the
/// last.
std::int64_t days_of(std::int64_t year, int month, int day) noexcept {
  year -= month <= 2;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

std::int64_t seconds_of(const Civil& c) noexcept {
  return days_of(c.year, c.month, c.day) * day_s + c.hour * 3600 + c.minute * 60 + c.second;
}

Civil civil_of(std::int64_t seconds) noexcept {
  std::int64_t days = seconds / day_s;
  std::int64_t rest = seconds % day_s;
  if (rest < 0) {
    rest += day_s;
    --days;
  }
  const std::int64_t shifted = days + 719468;
  const std::int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
  const std::int64_t day_of_era = shifted - era * 146097;
  const std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t m = (5 * day_of_year + 2) / 153;
  Civil c;
  c.day = static_cast<int>(day_of_year - (153 * m + 2) / 5 + 1);
  c.month = static_cast<int>(m < 10 ? m + 3 : m - 9);
  c.year = year_of_era + era * 400 + (c.month <= 2);
  c.hour = static_cast<int>(rest / 3600);
  c.minute = static_cast<int>(rest / 60 % 60);
  c.second = static_cast<int>(rest % 60);
  return c;
}

bool is_leap(std::int64_t year) noexcept { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

bool is_valid(const Civil& c) noexcept {
  constexpr std::array<int, 12> lengths = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (c.month < 1 || c.day < 1) return false;
  const int length = c.month == 2 && is_leap(c.year) ? 29 : lengths[static_cast<std::size_t>(c.month - 1)];
  return c.day <= length && c.hour < 24 && c.minute < 60 && c.second <= 60;  // 60: a leap second
}

/// Eats the text from the left; the first thing that doesn't fit spoils everything after.
class Reader {
 public:
  explicit Reader(std::string_view text) noexcept : rest_(text) {}

  void literal(std::string_view expected) noexcept {
    if (!eat(expected)) fail();
  }
  int digits(std::size_t n) noexcept {
    if (rest_.size() < n) return fail(), 0;
    int value = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return fail(), 0;
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(n);
    return value;
  }
  int month() noexcept {
    for (std::size_t i = 0; i < months.size(); ++i)
      if (eat(months[i])) return static_cast<int>(i) + 1;
    return fail(), 0;
  }
  /// A day's name, of three letters or whole. That it is the right one for the date is not checked: it says nothing.
  void day_name(bool whole) noexcept {
    for (std::string_view day : long_days)
      if (eat(whole ? day : day.substr(0, 3))) return;
    fail();
  }
  void time_of_day(Civil& c) noexcept {
    c.hour = digits(2);
    literal(":");
    c.minute = digits(2);
    literal(":");
    c.second = digits(2);
  }
  bool next_is(char c) const noexcept { return !rest_.empty() && rest_.front() == c; }
  bool done() const noexcept { return good_ && rest_.empty(); }

 private:
  /// Caches ought to compare dates without case (RFC 9111 4.2), though senders may not rely on it.
  bool eat(std::string_view expected) noexcept {
    if (!iequals(rest_.substr(0, expected.size()), expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  void fail() noexcept {
    good_ = false;
    rest_ = {};
  }
  std::string_view rest_;
  bool good_ = true;
};

std::optional<std::int64_t> result(const Reader& in, const Civil& c) noexcept {
  if (!in.done() || !is_valid(c)) return std::nullopt;
  return seconds_of(c);
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
std::optional<std::int64_t> parse_fixdate(std::string_view text) noexcept {
  Reader in(text);
  Civil c;
  in.day_name(false);
  in.literal(", ");
  c.day = in.digits(2);
  in.literal(" ");
  c.month = in.month();
  in.literal(" ");
  c.year = in.digits(4);
  in.literal(" ");
  in.time_of_day(c);
  in.literal(" GMT");
  return result(in, c);
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
std::optional<std::int64_t> parse_rfc850(std::string_view text, std::int64_t now_s) noexcept {
  Reader in(text);
  Civil c;
  in.day_name(true);
  in.literal(", ");
  c.day = in.digits(2);
  in.literal("-");
  c.month = in.month();
  in.literal("-");
  const int short_year = in.digits(2);
  in.literal(" ");
  in.time_of_day(c);
  in.literal(" GMT");
  if (!in.done() || c.month == 0) return std::nullopt;
  // RFC 9110 5.6.7: over 50 years ahead means the last century that had a year of these two digits.
  c.year = civil_of(now_s).year / 100 * 100 + 100 + short_year;
  for (;; c.year -= 100) {
    Civil fifty_years_before = c;
    fifty_years_before.year -= 50;
    if (seconds_of(fifty_years_before) <= now_s || c.year < 100) break;
  }
  return result(in, c);
}

/// `Sun Nov  6 08:49:37 1994`
std::optional<std::int64_t> parse_asctime(std::string_view text) noexcept {
  Reader in(text);
  Civil c;
  in.day_name(false);
  in.literal(" ");
  c.month = in.month();
  in.literal(" ");
  if (in.next_is(' ')) {
    in.literal(" ");
    c.day = in.digits(1);
  } else {
    c.day = in.digits(2);
  }
  in.literal(" ");
  in.time_of_day(c);
  in.literal(" ");
  c.year = in.digits(4);
  return result(in, c);
}

constexpr std::int64_t first_second = -62167219200;  // 0000-01-01 00:00:00
constexpr std::int64_t last_second = 253402300799;   // 9999-12-31 23:59:59

void write_digits(char* out, std::int64_t value, int n) noexcept {
  for (int i = n - 1; i >= 0; --i, value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

}  // namespace

std::optional<std::int64_t> parse_http_date(std::string_view text, std::int64_t now_s) noexcept {
  if (text.size() < 4) return std::nullopt;
  if (text[3] == ',') return parse_fixdate(text);
  if (text[3] == ' ') return parse_asctime(text);
  return parse_rfc850(text, std::clamp(now_s, first_second, last_second));
}

void write_http_date(std::int64_t seconds, char (&out)[http_date_size]) noexcept {
  seconds = std::clamp(seconds, first_second, last_second);
  const Civil c = civil_of(seconds);
  const std::int64_t day_of_week = ((days_of(c.year, c.month, c.day) + 3) % 7 + 7) % 7;  // 1970-01-01: Thursday
  constexpr std::string_view shape = "ddd, 00 mmm 0000 00:00:00 GMT";
  static_assert(shape.size() == http_date_size);
  std::copy(shape.begin(), shape.end(), out);
  long_days[static_cast<std::size_t>(day_of_week)].copy(out, 3);
  write_digits(out + 5, c.day, 2);
  months[static_cast<std::size_t>(c.month - 1)].copy(out + 8, 3);
  write_digits(out + 12, c.year, 4);
  write_digits(out + 17, c.hour, 2);
  write_digits(out + 20, c.minute, 2);
  write_digits(out + 23, c.second, 2);
}

}  // namespace pillion
