// What a client accepts, in one spelling (RFC 9110 12.4, 12.5). See accept.hpp.
#include "core/accept.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace pillion {
namespace {

/// Weights in thousandths (RFC 9110 12.4.2).
constexpr int full_weight = 1000;

struct Choice : Weighed {
  std::size_t place = 0;  ///< in the client's order
};

/// `0`, `0.5`, `1.000`: at most three digits after the point, and nothing above 1. nullopt for anything else.
std::optional<int> parse_weight(std::string_view text) noexcept {
  if (text.empty() || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  int weight = text[0] == '1' ? full_weight : 0;
  if (text.size() == 1) return weight;
  if (text[1] != '.' || text.size() > 5) return std::nullopt;
  int scale = 100;
  for (const char c : text.substr(2)) {
    if (c < '0' || c > '9') return std::nullopt;
    weight += (c - '0') * scale;
    scale /= 10;
  }
  return weight <= full_weight ? std::optional(weight) : std::nullopt;
}

/// All members of all lines, in the client's order; nullopt where one is malformed.
std::optional<std::vector<Choice>> parse_choices(Fields fields, Name id) {
  std::vector<Choice> choices;
  for (const Field& field : fields) {
    if (field.id != id) continue;
    std::string_view list = field.value;
    while (const auto member = next_member(list)) {
      const auto weighed = parse_weighed(*member);
      if (!weighed) return std::nullopt;
      choices.push_back({*weighed, choices.size()});
    }
  }
  return choices;
}

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

/// RFC 9110 8.4.1: the two old names mean the same as the new ones.
std::string coding_of(std::string_view what) {
  std::string out;
  for (const char c : what) out += lower(c);
  if (out == "x-gzip" || out == "x-compress") out.erase(0, 2);
  return out;
}

void append_weight(int weight, std::string& out) {
  if (weight == full_weight) return;
  out += ";q=0";
  if (weight == 0) return;
  out += '.';
  for (int scale = 100; weight != 0; weight %= scale, scale /= 10) out += static_cast<char>('0' + weight / scale);
}

std::string joined_lines(Fields fields, Name id) {
  std::string out;
  bool first = true;
  for (const Field& field : fields) {
    if (field.id != id) continue;
    if (!std::exchange(first, false)) out += ", ";
    out += field.value;
  }
  return out;
}

/// RFC 4647 2.1: subtags of at most eight letters or digits, or `*` alone.
bool is_language_range(std::string_view text) noexcept {
  if (text == "*") return true;
  std::size_t length = 0;
  bool first_subtag = true;
  for (const char c : text) {
    if (c == '-') {
      if (length == 0) return false;
      length = 0;
      first_subtag = false;
      continue;
    }
    const bool letter = lower(c) >= 'a' && lower(c) <= 'z';
    const bool digit = c >= '0' && c <= '9';
    if (!(letter || (digit && !first_subtag)) || ++length > 8) return false;
  }
  return length != 0;
}

/// RFC 4647 3.4: without the last subtag, and without a single letter that would then be the last.
std::string_view shortened(std::string_view range) noexcept {
  range = range.substr(0, std::min(range.rfind('-'), range.size()));
  if (range.size() >= 2 && range[range.size() - 2] == '-') range.remove_suffix(2);
  return range;
}

/// Those that the client doesn't refuse by `;q=0`.
std::vector<const std::string*> acceptable(const std::vector<std::string>& spoken, const std::vector<Choice>& choices) {
  std::vector<const std::string*> out;
  for (const std::string& language : spoken) {
    const auto refuses = [&](const Choice& c) { return c.weight == 0 && iequals(c.what, language); };
    if (std::ranges::none_of(choices, refuses)) out.push_back(&language);
  }
  return out;
}

const std::string* look_up(std::string_view range, const std::vector<const std::string*>& languages) noexcept {
  while (true) {
    for (const std::string* language : languages)
      if (iequals(*language, range)) return language;
    const std::string_view shorter = shortened(range);
    if (shorter.size() == range.size()) return nullptr;
    range = shorter;
  }
}

}  // namespace

std::optional<Weighed> parse_weighed(std::string_view member) noexcept {
  const std::size_t semicolon = member.find(';');
  Weighed weighed{trim(member.substr(0, semicolon))};
  if (!is_token(weighed.what)) return std::nullopt;
  if (semicolon == std::string_view::npos) return weighed;
  const std::string_view parameter = trim(member.substr(semicolon + 1));
  if (parameter.size() < 2 || !iequals(parameter.substr(0, 2), "q=")) return std::nullopt;
  const auto weight = parse_weight(parameter.substr(2));
  if (!weight) return std::nullopt;
  weighed.weight = *weight;
  return weighed;
}

std::optional<std::string> normalised_accept_encoding(Fields request_fields) {
  if (find(request_fields, Name::accept_encoding) == nullptr) return std::nullopt;
  const auto choices = parse_choices(request_fields, Name::accept_encoding);
  if (!choices) return joined_lines(request_fields, Name::accept_encoding);
  std::vector<std::pair<std::string, int>> codings;
  codings.reserve(choices->size());
  for (const Choice& choice : *choices) codings.emplace_back(coding_of(choice.what), choice.weight);
  std::ranges::sort(codings);
  const auto repeated = std::ranges::unique(codings);
  codings.erase(repeated.begin(), repeated.end());
  std::string out;
  for (std::size_t i = 0; i < codings.size(); ++i) {
    const auto& [coding, weight] = codings[i];
    // Two weights for one coding: what that means is the application's to say.
    if (i != 0 && codings[i - 1].first == coding) return joined_lines(request_fields, Name::accept_encoding);
    if (i != 0) out += ", ";
    out += coding;
    append_weight(weight, out);
  }
  return out;
}

std::optional<std::string> normalised_accept_language(Fields request_fields, const std::vector<std::string>& spoken) {
  auto choices = parse_choices(request_fields, Name::accept_language);
  if (!choices) return std::nullopt;
  for (const Choice& choice : *choices)
    if (!is_language_range(choice.what)) return std::nullopt;
  const std::vector<const std::string*> languages = acceptable(spoken, *choices);
  std::ranges::sort(*choices, [](const Choice& a, const Choice& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.place < b.place;
  });
  for (const Choice& choice : *choices) {
    if (choice.weight == 0) break;
    if (choice.what == "*") continue;  // RFC 4647 3.4: says nothing by itself
    if (const std::string* language = look_up(choice.what, languages)) return *language;
  }
  return std::nullopt;
}

}  // namespace pillion
