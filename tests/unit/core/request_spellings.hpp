// What a request means to the upstream, made up at random, and one of the many spellings that mean the same: for
// properties of cache keys. Nothing is parsed here, so nothing is believed of the code under test.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/cache_key.hpp"
#include "random_values.hpp"

namespace pillion::test {

using NamedLines = std::vector<std::pair<std::string, std::string>>;

/// Few letters, and among them bytes that keys themselves are made of, so that near and equal values are common.
inline constexpr std::string_view letters("uhpqnvcwaV/%\x01\x02\x80", 15);

/// What the upstream can see of a request and the route doesn't say to ignore.
struct Meaning {
  std::string upstream, scheme, host, path;
  std::optional<std::vector<std::string>> parameters;  ///< of the query, without what the rule cuts
  std::vector<std::string> tenants;                    ///< lines of a key header
  std::vector<std::string> sessions;                   ///< values of a keyed cookie
  std::vector<std::string> authorizations;
  std::optional<std::vector<std::string>> list;         ///< members of a field that Vary names
  std::optional<std::map<std::string, int>> encodings;  ///< weights in thousandths of another one
  std::string language;                                 ///< of those spoken; empty: none
  friend bool operator==(const Meaning&, const Meaning&) = default;
};

inline const std::vector<std::string> spoken{"en", "de", "pt-BR"};

inline config::Route random_route(Random& random) {
  config::Route route;
  route.name = "r";
  route.ignore_host = random.once_in(3);
  if (random.once_in(2)) route.query.ignore = {"utm_*"};
  if (random.once_in(3)) route.query.only = std::vector<std::string>{"a", "b", ""};
  route.query.sort = random.once_in(2);
  if (random.once_in(2)) route.key_headers = {"X-Tenant"};
  if (random.once_in(2)) {
    route.personal_cookies = config::Personal::key;
    route.personal_cookie_names = {"session"};
  }
  if (random.once_in(2)) route.personal_authorization = config::Personal::key;
  return route;
}

inline std::string name_of_parameter(const std::string& parameter) { return parameter.substr(0, parameter.find('=')); }

/// Values of one name keep their order.
inline void sort_by_name(std::vector<std::string>& parameters) {
  for (std::size_t end = 1; end < parameters.size(); ++end)
    for (std::size_t i = end; i > 0 && name_of_parameter(parameters[i]) < name_of_parameter(parameters[i - 1]); --i)
      std::swap(parameters[i], parameters[i - 1]);
}

inline std::vector<std::string> random_values(Random& random) {
  std::vector<std::string> out;
  for (std::size_t n = random.below(3); n > 0; --n) out.push_back(random.text(letters, 2));
  return out;
}

/// Gives one part of it a new random value, or (the last part) other orders to all that has one.
inline void set_part(Meaning& meaning, std::size_t part, const config::Route& route, Random& random) {
  switch (part) {
    case 0:
      meaning.upstream = random.text("us", 2);
      break;
    case 1:
      meaning.scheme = random.once_in(2) ? "http" : "https";
      break;
    case 2:
      meaning.host = route.ignore_host ? "" : random.text("hp", 2) + random.one_of<std::string>({"", ":8", ":81"});
      break;
    case 3:
      meaning.path = "/" + random.text(letters, 2);
      break;
    case 4: {
      meaning.parameters.reset();
      std::vector<std::string> parameters;
      for (std::size_t n = random.below(4); n > 0; --n)
        parameters.push_back(random.one_of<std::string>({"a", "b", ""}) +
                             random.one_of<std::string>({"", "=", "=1", "=u="}));
      if (route.query.sort) sort_by_name(parameters);
      if (!parameters.empty()) meaning.parameters = parameters;
      break;
    }
    case 5:
      if (!route.key_headers.empty()) meaning.tenants = random_values(random);
      break;
    case 6:
      if (!route.personal_cookie_names.empty()) meaning.sessions = random_values(random);
      break;
    case 7:
      if (route.personal_authorization == config::Personal::key) meaning.authorizations = random_values(random);
      break;
    case 8:
      meaning.list.reset();
      if (random.once_in(2)) {
        meaning.list.emplace();
        for (std::size_t n = random.below(3); n > 0; --n) meaning.list->push_back("v" + random.text("Vva;= ", 2) + "v");
      }
      break;
    case 9:
      meaning.encodings.reset();
      if (random.once_in(2)) {
        meaning.encodings.emplace();
        for (const char* coding : {"gzip", "br", "identity", "*"})
          if (random.once_in(2)) (*meaning.encodings)[coding] = random.one_of<int>({0, 1, 20, 500, 1000});
      }
      break;
    case 10:
      meaning.language = random.once_in(3) ? "" : random.one_of(spoken);
      break;
    default:
      for (std::vector<std::string>* values : {&meaning.tenants, &meaning.sessions, &meaning.authorizations})
        random.shuffle(*values);
      if (meaning.list) random.shuffle(*meaning.list);
      if (meaning.parameters) random.shuffle(*meaning.parameters);
      if (meaning.parameters && route.query.sort) sort_by_name(*meaning.parameters);
  }
}

inline constexpr std::size_t part_count = 12;

inline Meaning random_meaning(const config::Route& route, Random& random) {
  Meaning meaning;
  for (std::size_t part = 0; part < part_count; ++part) set_part(meaning, part, route, random);
  return meaning;
}

inline std::string spelled_host(const Meaning& meaning, const config::Route& route, Random& random) {
  if (route.ignore_host) return random.text("hp:8", 4);
  std::string host = random.recased(meaning.host);
  if (host.find(':') == std::string::npos && random.once_in(3)) host += meaning.scheme == "https" ? ":443" : ":80";
  return host;
}

inline std::string spelled_target(const Meaning& meaning, const config::Route& route, Random& random) {
  std::vector<std::string> parameters = meaning.parameters.value_or(std::vector<std::string>{});
  // Where names are sorted, neighbours of different names may stand in either order.
  for (std::size_t i = 1; route.query.sort && i < parameters.size(); ++i)
    if (random.once_in(2) && name_of_parameter(parameters[i]) != name_of_parameter(parameters[i - 1]))
      std::swap(parameters[i], parameters[i - 1]);
  const auto add_ignored = [&](const char* name) {
    while (random.once_in(2))
      parameters.insert(parameters.begin() + static_cast<std::ptrdiff_t>(random.below(parameters.size() + 1)),
                        name + random.text("=1aq", 2));
  };
  if (!route.query.ignore.empty()) add_ignored("utm_");
  if (route.query.only) add_ignored("cd");
  std::string out = meaning.path;
  for (std::size_t i = 0; i < parameters.size(); ++i) out += (i == 0 ? "?" : "&") + parameters[i];
  return out;
}

/// Members over one line or several, empty ones among them.
inline void spell_list(const std::string& name, const std::vector<std::string>& members, NamedLines& lines,
                       Random& random) {
  lines.emplace_back(random.recased(name), "");
  for (const std::string& member : members) {
    if (random.once_in(4)) lines.emplace_back(random.recased(name), random.once_in(2) ? "," : "");
    std::string& line = lines.back().second;
    line += (line.empty() ? "" : ",") + random.space() + member + random.space();
  }
}

inline std::string spelled_encoding(const std::string& coding, int weight, Random& random) {
  std::string out = random.recased(coding == "gzip" && random.once_in(3) ? "x-gzip" : coding);
  if (weight == 1000) return random.once_in(2) ? out : out + random.one_of<std::string>({";q=1", " ;\tQ=1.0", ";q=1."});
  std::string digits = std::to_string(1000 + weight).substr(1);
  while (!digits.empty() && digits.back() == '0' && random.once_in(2)) digits.pop_back();
  return out + random.space() + ";" + random.space() + "q=0" + (digits.empty() ? "" : "." + digits);
}

inline std::vector<std::string> spelled_language(const std::string& language, Random& random) {
  std::vector<std::string> ranges;
  if (random.once_in(2)) ranges.emplace_back("fr-CH;q=0.9");
  if (random.once_in(3)) ranges.emplace_back("*;q=0.8");
  if (!language.empty()) {
    ranges.push_back(random.recased(language) + random.one_of<std::string>({"", "-x-mine", "-1996"}) + ";q=0.7");
    for (const std::string& less : spoken)
      if (less != language && random.once_in(2)) ranges.push_back(less + ";q=0.6");
  }
  random.shuffle(ranges);  // weights say what comes first
  return ranges;
}

inline void spell_cookies(const Meaning& meaning, const config::Route& route, NamedLines& lines, Random& random) {
  const bool keyed = !route.personal_cookie_names.empty();
  std::string line;
  for (const std::string& value : keyed ? meaning.sessions : random_values(random)) {
    if (random.once_in(3)) line += "other=" + random.text("ab ", 2) + ";";
    if (random.once_in(4)) lines.emplace_back("Cookie", std::exchange(line, {}));
    line += random.space() + "session" + random.space() + "=" + random.space() + value + ";";
  }
  if (random.once_in(3)) line += " Session=x; sessions; session2=x";
  if (!line.empty()) lines.emplace_back("Cookie", line);
}

inline NamedLines spelled_fields(const Meaning& meaning, const config::Route& route, Random& random) {
  NamedLines lines;
  const bool tenants = !route.key_headers.empty();
  for (const std::string& value : tenants ? meaning.tenants : random_values(random))
    lines.emplace_back(random.recased("X-Tenant"), value);
  const bool authorizations = route.personal_authorization == config::Personal::key;
  for (const std::string& value : authorizations ? meaning.authorizations : random_values(random))
    lines.emplace_back(random.recased("Authorization"), value);
  spell_cookies(meaning, route, lines, random);
  if (meaning.list) spell_list("Prefer", *meaning.list, lines, random);
  if (meaning.encodings) {
    std::vector<std::string> members;
    for (const auto& [coding, weight] : *meaning.encodings) members.push_back(spelled_encoding(coding, weight, random));
    random.shuffle(members);
    spell_list("Accept-Encoding", members, lines, random);
  }
  if (!meaning.language.empty() || random.once_in(2))
    spell_list("Accept-Language", spelled_language(meaning.language, random), lines, random);
  if (random.once_in(2)) lines.insert(lines.begin(), {"X-Other", random.text(letters, 3)});
  return lines;
}

/// The whole key, primary and variant, of one spelling.
inline std::string key_of(const Meaning& meaning, const CompiledRoute& route, Random& random) {
  const NamedLines lines = spelled_fields(meaning, route.settings, random);
  std::vector<Field> fields;
  for (const auto& [name, value] : lines) fields.push_back({name, trim(value), pillion::name_of(name)});
  const std::string host = spelled_host(meaning, route.settings, random);
  const std::string target = spelled_target(meaning, route.settings, random);
  RequestHead head;
  head.method = random.once_in(2) ? Method::get : Method::head;
  head.target = target;
  head.path = head.target.substr(0, target.find('?'));
  head.has_query = head.path.size() != target.size();
  if (head.has_query) head.query = head.target.substr(head.path.size() + 1);
  head.host = host;
  head.scheme = meaning.scheme;
  head.fields = fields;
  std::string out;
  append_primary_key(head, {&route, {}}, meaning.upstream, out);
  return out + variant_key("accept-encoding,accept-language,prefer", fields, spoken);
}

}  // namespace pillion::test
