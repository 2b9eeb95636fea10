// Structured fields are read alike however their members are cut into lines, and what was read is read back from its
// canonical form. Under a search rule queries are equal exactly where a slow comparison finds them so, and the text of
// what counts stands for itself. Input: a shape, a rule, two queries, then field lines.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/invalidation.hpp"
#include "core/no_vary_search.hpp"
#include "core/structured_field.hpp"
#include "input.hpp"

using namespace pillion;
using fuzz::require;
using structured::Item;
using structured::Member;

namespace {

/// RFC 9651 4.1, but for what isn't kept.
void print(const Item& item, std::string& out) {
  if (const auto* boolean = std::get_if<bool>(&item)) {
    out += *boolean ? "?1" : "?0";
  } else if (const auto* integer = std::get_if<std::int64_t>(&item)) {
    require(*integer >= -999'999'999'999'999 && *integer <= 999'999'999'999'999, "an integer out of bounds");
    out += std::to_string(*integer);
  } else if (const auto* decimal = std::get_if<structured::Decimal>(&item)) {
    char text[40];
    std::snprintf(text, sizeof text, "%.3f", decimal->value);
    out += text;
  } else if (const auto* token = std::get_if<structured::Token>(&item)) {
    out += token->text;
  } else if (const auto* string = std::get_if<std::string>(&item)) {
    out += '"';
    for (const char c : *string) {
      require(c >= 0x20 && c <= 0x7e, "a string with an octet that none may have");
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  } else {
    out += "::";
  }
}

std::string print(const std::vector<Member>& members) {
  std::string out;
  for (const Member& member : members) {
    if (&member != &members.front()) out += ", ";
    if (!member.key.empty()) out.append(member.key).append("=");
    if (member.is_inner_list) {
      out += '(';
      for (const Item& item : member.inner) {
        if (&item != &member.inner.front()) out += ' ';
        print(item, out);
      }
      out += ')';
    } else {
      print(member.item, out);
    }
  }
  return out;
}

template <typename Parse>
void check_field(const std::vector<Field>& lines, Name id, Parse parse) {
  const auto members = parse(lines, id);
  if (!members) return;
  require(members->size() <= structured::max_members, "more members than are kept");
  const std::string text = print(*members);
  const Field one{"", text, id};
  const auto again = parse(Fields(&one, 1), id);
  require(again.has_value() && print(*again) == text, "what was printed isn't read back");
  // Each member on a line of its own says the same.
  std::vector<std::string> texts;
  for (const Member& member : *members) texts.push_back(print(std::vector<Member>{member}));
  std::vector<Field> apart;
  for (const std::string& member : texts) apart.push_back({"", member, id});
  if (apart.empty()) return;
  const auto from_lines = parse(apart, id);
  require(from_lines.has_value() && print(*from_lines) == text, "lines and their concatenation disagree");
}

/// What of a query counts under the field, found slowly: the draft's lists of keys and values.
struct SlowRule {
  bool any_order = false, only = false;
  std::vector<std::string> keys;

  using Pairs = std::vector<std::pair<std::string, std::string>>;

  static std::string decoded(const std::string& text) {
    const auto hex = [](char c) {
      const std::string_view digits = "0123456789abcdefABCDEF";
      const auto at = digits.find(c);
      return at == std::string_view::npos ? -1 : static_cast<int>(at < 16 ? at : at - 6);
    };
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
        out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
        i += 2;
      } else {
        out += text[i] == '+' ? ' ' : text[i];
      }
    }
    return out;
  }

  Pairs pairs(std::string_view query) const {
    Pairs out;
    std::string segment;
    for (std::size_t i = 0; i <= query.size(); ++i) {
      if (i < query.size() && query[i] != '&') {
        segment += query[i];
        continue;
      }
      if (!segment.empty()) {
        const std::size_t at = segment.find('=');
        const std::string key = decoded(segment.substr(0, at));
        const bool named = std::find(keys.begin(), keys.end(), key) != keys.end();
        if (named == only) out.emplace_back(key, at == std::string::npos ? "" : decoded(segment.substr(at + 1)));
      }
      segment.clear();
    }
    for (std::size_t i = 0; any_order && i < out.size(); ++i)
      for (std::size_t j = i; j > 0 && out[j].first < out[j - 1].first; --j) std::swap(out[j], out[j - 1]);
    return out;
  }
};

/// A rule of up to three short keys, in which every octet of a key is encoded, and the field that says it.
void check_search(fuzz::Input& input) {
  const std::uint8_t shape = input.byte();
  SlowRule slow{(shape & 1) != 0, (shape & 2) != 0, {}};
  std::string list;
  for (int i = 0; i < ((shape >> 2) & 3); ++i) {
    const char key = static_cast<char>(input.byte() & 0x7f);
    char text[8];
    std::snprintf(text, sizeof text, "\"%%%02x\" ", static_cast<unsigned>(key));
    list += text;
    slow.keys.emplace_back(1, key);
  }
  const std::string value =
      std::string(slow.any_order ? "key-order, " : "") + (slow.only ? "params, except=(" : "params=(") + list + ")";
  const Field field{"No-Vary-Search", value, Name::no_vary_search};
  const std::string rule = search_rule({&field, 1});
  require(rule.empty() == (!slow.any_order && !slow.only && slow.keys.empty()), "a rule is there or it isn't");
  const std::string_view a = input.line(), b = input.line();
  if (rule.empty() || a.size() + b.size() > 400) return;
  const std::string of_a = canonical_search(a, rule), of_b = canonical_search(b, rule);
  require((of_a == of_b) == (slow.pairs(a) == slow.pairs(b)), "two queries are taken for what they aren't");
  require(canonical_search(of_a, rule) == of_a, "what counts doesn't stand for itself");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  check_search(input);
  std::vector<Field> lines;
  while (!input.empty()) lines.push_back({"", trim(input.line()), Name::no_vary_search});
  check_field(lines, Name::no_vary_search, structured::parse_list);
  check_field(lines, Name::no_vary_search, structured::parse_dictionary);
  const std::string rule = search_rule(lines);
  require(rule.size() <= max_search_rule, "a rule beyond its bound");
  if (!rule.empty()) canonical_search("a=1&b=%zz&&=", rule);
  for (Field& field : lines) field.id = Name::cache_groups;
  std::vector<std::uint32_t> selectors;
  append_response_groups(lines, "http", "h", selectors);
  require(selectors.size() <= max_response_tags, "more groups than are kept");
  return 0;
}
