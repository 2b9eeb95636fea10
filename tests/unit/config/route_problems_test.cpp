// Wrong configurations and what is said about them, word for word: routes: their names, paths, templates, and routes
// that hide others.
#include <doctest/doctest.h>

#include "unit/config/loading.hpp"

using namespace pillion::config;

namespace {

const WrongFile wrong_files[] = {
    {"lifetimes that are not there",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
ttl: { character: 5m, 5m: 5m }
routes:
  - { name: a, path: /a, ttl: charcter, ttl_by_status: { 404: characters } }
  - { name: b, path: /b, ttl: 5 minutes }
)",
     {"2:23: '5m' begins with a digit, so it would be taken for a duration: rename it",
      "4:31: there is no 'charcter' in ttl: did you mean 'character'?",
      "4:63: there is no 'characters' in ttl: did you mean 'character'?",
      "5:31: '5 minutes' is not a duration: write 250ms, 30s, 5m, 1h or 7d, or a name from ttl:"}},
    {"a name of a lifetime where there are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, ttl: character }
)",
     {"3:31: there is no 'character' in ttl: add it there, or write a duration such as 5m"}},
    {"a lifetime that is wrong brings one problem alone",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
ttl: { character: soon }
routes:
  - { name: a, path: /a, ttl: character, freshness: route }
)",
     {"2:19: 'soon' is not a duration: write 250ms, 30s, 5m, 1h or 7d"}},
    {"statuses that are never stored",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, ttl: 1m, ttl_by_status: { 206: 1s, 304: 1s, 429: 1s, 100: 1s, x: 1s } }
)",
     {"3:52: responses of status 206 are never stored: leave it out",
      "3:61: responses of status 304 are never stored: leave it out",
      "3:70: responses of status 429 are never stored: leave it out", "3:79: '100' is not a status from 200 to 599",
      "3:88: 'x' is not a status from 200 to 599"}},
    {"routes without what each needs",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { ttl: 5m }
)",
     {"3:5: a route needs a name: it stands in metrics, logs and keys",
      "3:5: a route needs a path: /api/things/{id}, or /** for all"}},
    {"two routes of one name",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a }
  - { name: a, path: /b }
)",
     {"4:13: two routes are called 'a': line 3 has the name already"}},
    {"names that are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a b, path: /a }
  - { name: "", path: /b }
)",
     {"3:13: 'a b' is not a name: 1 to 64 letters, digits, '.', '_' and '-'",
      "4:13: '' is not a name: 1 to 64 letters, digits, '.', '_' and '-'"}},
    {"paths that are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: a }
  - { name: b, path: /a//b }
  - { name: c, path: /a/**/b }
  - { name: d, path: /a*/b }
  - { name: e, path: '/a{b}' }
  - { name: f, path: '/{a}/{a}' }
  - { name: g, path: '/a?b' }
  - { name: h, path: /a b }
  - { name: i, path: /../a }
  - { name: j, path: '/{1}' }
  - { name: k, path: '/%zz' }
  - { name: l, path: '/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}' }
)",
     {"3:22: 'a' is not a path: it must begin with '/'", "4:22: '//' matches nothing that may be stored: write one '/'",
      "5:22: '/**' stands for the rest: it must be last",
      "6:22: '*' must be a whole segment: write /a/*/b, or /a/** for the rest",
      "7:22: a parameter must be a whole segment: write /a/{name}/b",
      "8:22: the parameter '{a}' stands here twice: rename one", "9:22: a path has no query: see query: and key:",
      "10:22: a path is matched as it is sent: percent-encode what may not stand in it (RFC 3986)",
      "11:22: dot segments match nothing that may be stored: leave them out",
      "12:22: '1' is not a parameter's name: letters, digits and '_', not beginning with a digit",
      "13:22: a path is matched as it is sent: percent-encode what may not stand in it (RFC 3986)",
      "14:22: this path has too many parameters: 16 at most; write * for the others"}},
    {"parameters that the path lacks",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - name: a
    path: /a/{id}
    key: "a:{ids}"
    tags: [all, "b:{x}"]
    rewrite: /c/{y}
    invalidate:
      - tags: ["{z}"]
        patterns: ["p:{id}", "p:{q}:*"]
        urls: ["/u/{v}"]
  - { name: b, path: /b, key: "b:{id}" }
)",
     {"5:10: the path /a/{id} has no parameter '{ids}': did you mean '{id}'?",
      "6:17: the path /a/{id} has no parameter '{x}': did you mean '{id}'?",
      "7:14: the path /a/{id} has no parameter '{y}': did you mean '{id}'?",
      "9:16: the path /a/{id} has no parameter '{z}': did you mean '{id}'?",
      "10:30: the path /a/{id} has no parameter '{q}': did you mean '{id}'?",
      "11:16: the path /a/{id} has no parameter '{v}': did you mean '{id}'?",
      "12:31: the path /b has no parameter '{id}': it has none"}},
    {"braces without a partner",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: '/a/{id}', key: "a:{id", tags: ["a:id}"], rewrite: '/{}' }
)",
     {"3:38: a brace has no partner here: parameters are written {name}",
      "3:54: a brace has no partner here: parameters are written {name}",
      "3:73: '' is not a parameter's name: letters, digits and '_', not beginning with a digit"}},
    {"keys that could be Pillion's own",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, key: "pillion:log" }
  - { name: b, path: '/b/{x}', key: "{x}" }
  - { name: c, path: '/c/{x}', key: "pill{x}" }
  - { name: d, path: /d, key: pillion }
  - { name: e, path: /e, key: pill }
)",
     {"3:31: a key that begins with 'pillion:' is reserved for Pillion itself, and here it does: begin it with a word "
      "of your own, such as 'a:pillion:log'",
      "4:37: a key that begins with 'pillion:' is reserved for Pillion itself, and here a parameter could make it so: "
      "begin it with a word of your own, such as 'b:{x}'",
      "5:37: a key that begins with 'pillion:' is reserved for Pillion itself, and here a parameter could make it so: "
      "begin it with a word of your own, such as 'c:pill{x}'",
      "6:31: a key that begins with 'pillion:' is reserved for Pillion itself, and here it does: begin it with a word "
      "of your own, such as 'd:pillion'"}},
    {"keys that patterns could not name",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, key: "a*" }
  - { name: b, path: /b, key: "a b" }
  - { name: c, path: /c, key: "" }
)",
     {R"(3:31: a key must not hold * ? [ ] \: patterns could not name it)",
      "4:31: 'a b' holds white space or characters outside ASCII: percent-encode them",
      "5:31: this must be 1 to 256 bytes long"}},
    {"a route that an earlier one hides",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - name: all
    path: /**
  - name: x
    path: /api/x
)",
     {"6:11: this route is never reached: the earlier route 'all' (line 4, path /**) matches all that it matches; put "
      "this one first"}},
    {"routes that hide each other or don't",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: '/a/{id}' }
  - { name: b, path: /a/* }
  - { name: c, path: /a/ }
  - { name: d, path: /a/** }
  - { name: e, path: /a }
  - { name: f, path: '/a/{x}/c' }
  - { name: g, path: /b, host: h }
  - { name: h, path: /b }
  - { name: i, path: /b, host: H }
)",
     {"4:22: this route is never reached: the earlier route 'a' (line 3, path /a/{id}) matches all that it matches; "
      "put this one first",
      "7:22: this route is never reached: the earlier route 'd' (line 6, path /a/**) matches all that it matches; put "
      "this one first",
      "8:22: this route is never reached: the earlier route 'd' (line 6, path /a/**) matches all that it matches; put "
      "this one first",
      "11:22: this route is never reached: the earlier route 'g' (line 9, path /b) matches all that it matches; put "
      "this one first"}},
    {"a listener's routes hide no others",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
listeners: [{ address: 127.0.0.1:1 }, { address: 127.0.0.1:2, name: e }]
routes:
  - { name: a, path: /**, listener: e }
  - { name: b, path: /** }
  - { name: c, path: /c, listener: e }
)",
     {"6:22: this route is never reached: the earlier route 'a' (line 4, path /**) matches all that it matches; put "
      "this one first"}},
};

}  // namespace

TEST_CASE("each mistake is told with its place and what would be right: routes") {
  for (const WrongFile& file : wrong_files) {
    CAPTURE(file.name);
    const Loaded loaded = load(file.yaml);
    CHECK_FALSE(loaded.config.has_value());
    CHECK(joined(errors_of(loaded)) == joined(file.expected));
  }
}
