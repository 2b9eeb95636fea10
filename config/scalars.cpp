#include "config/scalars.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "config/tree.hpp"

namespace pillion::config {

namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

enum class Cut { good, bad, too_large };

/// Digits, then one of the units; the product at most `most`.
template <std::size_t N>
Cut cut_quantity(std::string_view text, const std::array<Unit, N>& units, std::uint64_t most, std::uint64_t& out) {
  const auto* const end = text.data() + text.size();
  std::uint64_t number = 0;
  if (text.empty() || !is_digit(text.front())) return Cut::bad;
  const auto [rest, failure] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  for (const Unit& candidate : units) {
    if (candidate.name != unit) continue;
    if (failure == std::errc::result_out_of_range || number > most / candidate.factor) return Cut::too_large;
    out = number * candidate.factor;
    return Cut::good;
  }
  return Cut::bad;
}

constexpr std::array<Unit, 5> duration_units{
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<Unit, 5> size_units{
    {{"B", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40}}};

constexpr double percent_steps = 1e6;  // four decimals of a percent

}  // namespace

Parsed<Milliseconds> parse_duration(std::string_view text) {
  std::uint64_t ms = 0;
  switch (cut_quantity(text, duration_units, static_cast<std::uint64_t>(max_duration.count()), ms)) {
    case Cut::good:
      return Milliseconds(static_cast<std::int64_t>(ms));
    case Cut::too_large:
      return Parsed<Milliseconds>::error(quoted(text) + " is too long: 3650d at most");
    case Cut::bad:
      break;
  }
  return Parsed<Milliseconds>::error(quoted(text) + " is not a duration: write 250ms, 30s, 5m, 1h or 7d");
}

Parsed<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t bytes = 0;
  switch (cut_quantity(text, size_units, max_size, bytes)) {
    case Cut::good:
      return bytes;
    case Cut::too_large:
      return Parsed<std::uint64_t>::error(quoted(text) + " is too large: 1048576TiB at most");
    case Cut::bad:
      break;
  }
  return Parsed<std::uint64_t>::error(quoted(text) + " is not a size: write 100B, 512KiB, 64MiB or 1GiB");
}

Parsed<std::uint64_t> parse_number(std::string_view text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t number = 0;
  const auto* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, number);
  const bool digits = !text.empty() && is_digit(text.front()) && rest == end;
  if (!digits || failure != std::errc() || number < least || number > most) {
    return Parsed<std::uint64_t>::error(quoted(text) + " is not a number from " + std::to_string(least) + " to " +
                                        std::to_string(most));
  }
  return number;
}

Parsed<double> parse_percentage(std::string_view text) {
  const std::string wrong = quoted(text) + " is not a percentage: write 10% or 0.5%, over 0% and up to 100%";
  if (!text.ends_with('%')) return Parsed<double>::error(wrong);
  const std::string_view number = text.substr(0, text.size() - 1);
  const std::size_t dot = std::min(number.find('.'), number.size());
  const std::string_view whole = number.substr(0, dot);
  const std::string_view decimals = dot < number.size() ? number.substr(dot + 1) : "";
  const bool shape = !whole.empty() && whole.size() <= 3 && decimals.size() <= 4 &&
                     (dot == number.size() || !decimals.empty()) && std::all_of(whole.begin(), whole.end(), is_digit) &&
                     std::all_of(decimals.begin(), decimals.end(), is_digit);
  if (!shape) return Parsed<double>::error(wrong);
  unsigned steps = 0;
  for (const char c : whole) steps = steps * 10 + static_cast<unsigned>(c - '0');
  for (std::size_t i = 0; i < 4; ++i) {
    steps = steps * 10 + (i < decimals.size() ? static_cast<unsigned>(decimals[i] - '0') : 0);
  }
  if (steps == 0 || steps > 1'000'000) return Parsed<double>::error(wrong);
  return steps / percent_steps;
}

std::string percentage_text(double share) {
  const auto steps = static_cast<std::uint64_t>(std::llround(share * percent_steps));
  std::string out = std::to_string(steps / 10'000);
  if (steps % 10'000 != 0) {
    std::string decimals = std::to_string(10'000 + steps % 10'000).substr(1);
    while (decimals.ends_with('0')) decimals.pop_back();
    out += "." + decimals;
  }
  return out + "%";
}

Parsed<bool> parse_switch(std::string_view text) {
  if (text == "on" || text == "true") return true;
  if (text == "off" || text == "false") return false;
  return Parsed<bool>::error(quoted(text) + " is neither on nor off");
}

Parsed<unsigned> parse_mode(std::string_view text) {
  unsigned mode = 0;
  const auto* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, mode, 8);
  if (text.empty() || !is_digit(text.front()) || rest != end || failure != std::errc() || mode > 0777) {
    return Parsed<unsigned>::error(quoted(text) + " is not a file mode: write \"0660\", octal, at most 0777");
  }
  return mode;
}

Parsed<std::string> parse_name(std::string_view text) {
  const auto good = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
  };
  if (!text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), good)) return std::string(text);
  return Parsed<std::string>::error(quoted(text) + " is not a name: 1 to 64 letters, digits, '.', '_' and '-'");
}

bool is_token(std::string_view text) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || others.find(c) != std::string_view::npos;
  });
}

Parsed<std::string> parse_field_name(std::string_view text) {
  if (is_token(text) && text.size() <= 128) return std::string(text);
  return Parsed<std::string>::error(quoted(text) +
                                    " is not a header's name: letters, digits and !#$%&'*+-.^_`|~, 128 at most");
}

bool is_visible_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace pillion::config
