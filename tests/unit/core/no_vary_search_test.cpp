// No-Vary-Search: rules and what counts under them (the working group's draft, "Parsing" and "Comparing").
#include "core/no_vary_search.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "message_builder.hpp"

using namespace pillion;
using pillion::test::Lines;

namespace {

std::string rule(const std::string& value) { return search_rule(Lines("No-Vary-Search: " + value)); }

}  // namespace

TEST_CASE("no-vary-search: a field that allows nothing, or isn't as it should be, changes nothing") {
  CHECK(search_rule(Lines("")).empty());
  CHECK(search_rule(Lines("Vary: key-order")).empty());
  for (const char* value : {"",
                            "unknown-key",
                            "key-order=\"not a boolean\"",
                            "key-order=1",
                            "key-order=(a)",
                            "key-order=?0",
                            "params=?0",
                            "params=()",
                            "params=\"a\"",
                            "params=a",
                            "params=1",
                            "params=(a)",
                            "params=(\"a\" b)",
                            "params=(\"a\" 1)",
                            "params=(\"a\" ?1)",
                            "params=(\"a\" %\"b\")",
                            "params=(\"a\"), except=(\"x\")",
                            "params=(), except=()",
                            "params=?0, except=(\"x\")",
                            "params, except=(x)",
                            "params, except=\"x\"",
                            "params, except=?1",
                            "params, except=?0",
                            "params, except",
                            "except=(\"x\")",
                            "except=()",
                            "key-order, params=(a)",
                            "key-order, except=(\"x\")",
                            "params, key-order=a",
                            "Key-Order",
                            "key-order,",
                            "params=(\"a)",
                            "params, params=?0",
                            "params=(\"%ff\")",
                            "params, except=(\"%ff\")",
                            "params, except=(\"%EF%BF%BD\")"}) {
    CAPTURE(value);
    CHECK(rule(value) == "");
  }
}

TEST_CASE("no-vary-search: equal rules have equal texts") {
  const std::vector<std::vector<const char*>> same{
      {"key-order", "key-order=?1", "key-order;x=1", "key-order, unknown=5", "key-order, params=?0",
       "key-order, params=()", "key-order=?0, key-order"},
      {"params", "params=?1", "params=?1, except=()", "params, key-order=?0"},
      {"key-order, params", "params, key-order", "params\nNo-Vary-Search: key-order"},
      {"params=(\"a\")", "params=(\"%61\")", "params=(\"a\" \"a\")", "params=(\"a\";x)", "params, params=(\"a\")"},
      {"params=(\"a\" \"b\")", "params=(\"b\" \"a\")"},
      {"params=(\"\")"},
      {"params=(\"\" \"a\")"},
      {"params=(\"a&b\")", "params=(\"a%26b\")"},
      {"params=(\"a b\")", "params=(\"a+b\")", "params=(\"a%20b\")"},
      {"params=(\"a%2Bb\")", "params=(\"a%2bb\")"},
      {"params=(\"%\")", "params=(\"%25\")"},
      {"params=(\"%zz\")", "params=(\"%25zz\")"},
      {"params=(\"%C3%A9+%E6%B0%97\")"},
      {"params=(\"key-order\")"},
      {"params, except=(\"a\")", "except=(\"a\"), params"},
      {"params, except=(\"\")"},
      {"params, except=(\"a\" \"b\")"},
      {"key-order, params, except=(\"a\")"},
      {"key-order, params=(\"a\")"},
  };
  std::map<std::string, const char*> seen;
  for (const auto& spellings : same) {
    const std::string text = rule(spellings.front());
    CAPTURE(spellings.front());
    CHECK_FALSE(text.empty());
    CHECK(seen.emplace(text, spellings.front()).second);
    for (const char* spelling : spellings) {
      CAPTURE(spelling);
      CHECK(rule(spelling) == text);
    }
  }
}

TEST_CASE("no-vary-search: a rule beyond the bound changes nothing") {
  const auto of_size = [](std::size_t n) { return rule("params=(\"" + std::string(n, 'a') + "\")"); };
  const std::size_t most = max_search_rule - std::string_view("params=").size();
  CHECK(of_size(most).size() == max_search_rule);
  CHECK(of_size(most + 1) == "");
}

TEST_CASE("no-vary-search: queries are compared as lists of keys and values, less what the rule ignores") {
  struct Row {
    const char* rule;
    const char* a;
    const char* b;
    bool same;
  };
  const Row rows[] = {
      // Whatever the rule: parsed as a form.
      {"key-order", "", "&", true},
      {"key-order", "a=x", "%61=%78", true},
      {"key-order", "a=x&&&&", "a=x", true},
      {"key-order", "&a=x", "a=x", true},
      {"key-order", "a=", "a", true},
      {"key-order", "a=%20", "a=+", true},
      {"key-order", "a= ", "a=+", true},
      {"key-order", "a=%2B", "a=+", false},
      {"key-order", "a=\xc3\xa9", "a=%c3%A9", true},
      {"key-order", "=", "", false},
      {"key-order", "=x", "x", false},
      {"key-order", "a=b=c", "a=b%3Dc", true},
      {"key-order", "a=b=c", "a%3Db=c", false},
      {"key-order", "a=1%26b=2", "a=1&b=2", false},
      {"key-order", "a=%zz", "a=%25zz", true},
      {"key-order", "a=%", "a=%25", true},
      {"key-order", "a=%0", "a=%250", true},
      {"key-order", "a=1", "A=1", false},
      {"key-order", "a=1", "a=2", false},
      {"key-order", "a=1", "a=1&a=1", false},
      {"key-order", "a=%00", "a=", false},
      // Order of keys, never of one key's values.
      {"key-order", "a=1&b=2", "b=2&a=1", true},
      {"key-order", "a=1&b=3&a=2", "b=3&a=1&a=2", true},
      {"key-order", "a=1&a=2", "a=2&a=1", false},
      {"key-order", "a=1&b=3&a=2", "a=2&b=3&a=1", false},
      {"params=(\"x\")", "a=1&b=2", "b=2&a=1", false},
      {"params, except=(\"a\" \"b\")", "a=1&b=2", "b=2&a=1", false},
      {"key-order, params, except=(\"a\" \"b\")", "a=1&b=2", "b=2&x=1&a=1", true},
      // What is ignored.
      {"params", "a=1&b=2", "", true},
      {"params", "a=1", "=&c", true},
      {"params=(\"a\")", "a=1&b=2", "b=2", true},
      {"params=(\"a\")", "a=1&b=2&a=3", "%61=9&b=2", true},
      {"params=(\"a\")", "b=2", "b=3", false},
      {"params=(\"a\")", "ab=2", "", false},
      {"params=(\"a\")", "A=2", "", false},
      {"params=(\"\")", "=5&a=1", "a=1", true},
      {"params=(\"\")", "a=1", "", false},
      {"params=(\"\" \"b\")", "=5&a=1&b", "a=1", true},
      {"params=(\"a b\")", "a+b=1", "a%20b=2", true},
      {"params=(\"%C3%A9+%E6%B0%97\")", "\xc3\xa9 \xe6\xb0\x97=1", "%C3%A9+%e6%b0%97=4", true},
      {"params=(\"a%26b\")", "a%26b=1", "", true},
      {"params=(\"a%26b\")", "a=1", "", false},
      {"params=(\"b\" \"c\" \"a\")", "a=1&b=2&c=3&d=4", "d=4", true},
      {"params, except=(\"a\")", "a=1&b=2", "c=3&a=1", true},
      {"params, except=(\"a\")", "a=1", "a=2", false},
      {"params, except=(\"a\")", "a=1", "", false},
      {"params, except=(\"a\")", "b=1", "", true},
      {"params, except=(\"\")", "b=1&=2", "=2", true},
      {"params, except=(\"\")", "=1", "=2", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.rule);
    CAPTURE(row.a);
    CAPTURE(row.b);
    const std::string text = rule(row.rule);
    REQUIRE_FALSE(text.empty());
    CHECK((canonical_search(row.a, text) == canonical_search(row.b, text)) == row.same);
  }
}

namespace {

/// The draft's comparison, done slowly: pairs of bytes, filtered, sorted.
using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string decode_slowly(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string hex = text.substr(i, 3);
    if (hex == "%61") {
      out += 'a';
    } else if (hex == "%26") {
      out += '&';
    } else if (hex == "%3d") {
      out += '=';
    } else {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    i += 2;
  }
  return out;
}

Pairs pairs_of(const std::string& query, bool any_order, const std::string& keys, bool only) {
  Pairs out;
  std::string segment;
  for (const char c : query + "&") {
    if (c != '&') {
      segment += c;
      continue;
    }
    if (!segment.empty()) {
      const std::size_t at = segment.find('=');
      const std::string key = decode_slowly(segment.substr(0, at));
      const bool named = key.size() == 1 && keys.find(key) != std::string::npos;
      if (named == only) out.emplace_back(key, at == std::string::npos ? "" : decode_slowly(segment.substr(at + 1)));
    }
    segment.clear();
  }
  for (std::size_t i = 0; any_order && i < out.size(); ++i) {
    for (std::size_t j = i; j > 0 && out[j].first < out[j - 1].first; --j) std::swap(out[j], out[j - 1]);
  }
  return out;
}

}  // namespace

TEST_CASE("no-vary-search: random queries are equal exactly where a slow comparison finds them so") {
  struct Row {
    const char* rule;
    bool any_order;
    const char* keys;
    bool only;
  };
  const Row rows[] = {{"key-order", true, "", false},
                      {"params=(\"a\" \"&\")", false, "a&", false},
                      {"key-order, params=(\"b\")", true, "b", false},
                      {"params, except=(\"a\" \"=\")", false, "a=", true},
                      {"key-order, params, except=(\"a\" \"b\")", true, "ab", true}};
  const char* parts[] = {"a", "b", "=", "&", "+", "%61", "%26", "%3d", " "};
  std::mt19937 random(7);
  const auto query = [&] {
    std::string out;
    for (auto n = random() % 9; n > 0; --n) out += parts[random() % std::size(parts)];
    return out;
  };
  for (const Row& row : rows) {
    const std::string text = rule(row.rule);
    std::map<std::string, Pairs> by_text;
    std::map<Pairs, std::string> by_pairs;
    for (int i = 0; i < 20000; ++i) {
      const std::string q = query();
      CAPTURE(row.rule);
      CAPTURE(q);
      const Pairs pairs = pairs_of(q, row.any_order, row.keys, row.only);
      const std::string canonical = canonical_search(q, text);
      REQUIRE(by_text.emplace(canonical, pairs).first->second == pairs);
      REQUIRE(by_pairs.emplace(pairs, canonical).first->second == canonical);
      REQUIRE(canonical_search(canonical, text) == canonical);
    }
  }
}
