// Wrong configurations and what is said about them, word for word: the shape of the file: unknown keys, wrong kinds,
// YAML itself.
#include <doctest/doctest.h>

#include "unit/config/loading.hpp"

using namespace pillion::config;

namespace {

const WrongFile wrong_files[] = {
    {"an unknown section",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
rotues: []
)",
     {"2:1: 'rotues' is unknown in the file: did you mean 'routes'?"}},
    {"an unknown key of a limit",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
limits: { heads: 1KiB }
)",
     {"2:11: 'heads' is unknown in limits: did you mean 'head'?"}},
    {"an unknown key of a route",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, tll: 5m }
)",
     {"3:26: 'tll' is unknown in a route: did you mean 'ttl'?"}},
    {"a swapped pair of letters",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store: { memory: { szie: 1MiB } }
)",
     {"2:20: 'szie' is unknown in memory: did you mean 'size'?"}},
    {"a key that stands twice",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
drain: {}
drain: { delay: 1s }
)",
     {"3:1: 'drain' stands here twice: line 2 has it already"}},
    {"a key of a flow map that stands twice",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
drain: { delay: 1s, delay: 2s }
)",
     {"2:21: 'delay' stands here twice: line 2 has it already"}},
    {"values of the wrong kind",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
listeners: 127.0.0.1:80
routes: { a: b }
ttl: [1s]
drain: 5s
log: [all]
canonical_host: [a]
trusted_proxies: 10.0.0.0/8
)",
     {"2:12: listeners must be a list, and here is a single value",
      "3:9: routes must be a list, and here is a map of keys", "4:6: ttl must be a map of keys, and here is a list",
      "5:8: drain must be a map of keys, and here is a single value",
      "6:6: log must be a map of keys, and here is a list", "7:17: a single value belongs here, and this is a list",
      "8:18: trusted_proxies must be a list, and here is a single value"}},
    {"items of the wrong kind",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
listeners: [127.0.0.1:80]
routes: [/a]
)",
     {"2:13: a listener must be a map of keys, and here is a single value",
      "3:10: a route must be a map of keys, and here is a single value"}},
    {"a list where a value belongs, and nothing where a value belongs",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
drain: { delay: [1s], timeout: }
)",
     {"2:17: a single value belongs here, and this is a list",
      "2:23: a single value belongs here, and this is nothing"}},
    {"a key that is a list",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
? [a]
: 1
)",
     {"2:3: a key must be a plain word"}},
    {"tags, anchors and aliases",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
drain: &d { delay: !!str 1s }
timeouts: *d
)",
     {"2:8: anchors are not known here: write the value where it is needed",
      "2:20: tags such as 'tag:yaml.org,2002:str' are not known here: leave it out",
      "3:11: aliases are not known here: write the value where it is needed"}},
    {"a merge key",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
drain: &d { delay: 1s }
timeouts:
  <<: *d
)",
     {"2:8: anchors are not known here: write the value where it is needed",
      "4:3: '<<' is unknown in timeouts: did you mean 'head'?",
      "4:7: aliases are not known here: write the value where it is needed"}},
    {"an alias of nothing",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
timeouts: *d
)",
     {"2:11: this is not valid YAML: the referenced anchor is not defined"}},
    {"a second document",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
---
drain: {}
)",
     {"3:1: a second YAML document begins here: a configuration is one"}},
    {"broken YAML",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
drain: { delay: 1s
log: {}
)",
     {"3:4: this is not valid YAML: end of map flow not found"}},
    {"a tab for indentation",
     "upstreams: { app: http://127.0.0.1:8000 }\ndrain:\n\tdelay: 1s\n",
     {"3:7: this is not valid YAML: illegal map value (indent with spaces, not with tabs)"}},
    {"a control character",
     "upstreams: { app: http://127.0.0.1:8000 }\ncanonical_host: a\x04"
     "b\n",
     {"2:18: a control character stands here: remove it"}},
    {"bytes that are no UTF-8",
     "upstreams: { app: http://127.0.0.1:8000 }\ncanonical_host: a\xff"
     "\n",
     {"2:18: this is not UTF-8 text"}},
    {"an escaped line break in a value",
     R"(
upstreams:
  app: { url: http://h, request_headers: { A: "b\r\nC: d" } }
)",
     {"2:47: this holds a line break or another control character"}},
    {"a value of several lines",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
canonical_host: |
  a
  b
)",
     {"2:17: this holds a line break or another control character"}},
};

}  // namespace

TEST_CASE("each mistake is told with its place and what would be right: the shape of the file") {
  for (const WrongFile& file : wrong_files) {
    CAPTURE(file.name);
    const Loaded loaded = load(file.yaml);
    CHECK_FALSE(loaded.config.has_value());
    CHECK(joined(errors_of(loaded)) == joined(file.expected));
  }
}
