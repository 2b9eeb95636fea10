// The README's get_cached_query() in Python and JavaScript, as printed there, against the real binary.
#include <algorithm>

#include "integration.hpp"
#include "query.hpp"
#include "support/files.hpp"
#include "support/process.hpp"

namespace {

/// The example in that language: what stands between the fences in the README's section on the query cache.
std::string example(const std::string& language) {
  const std::string readme = read_file(source_folder() + "/README.md");
  const auto section = readme.find("\n## Query cache\n");
  REQUIRE(section != std::string::npos);
  const std::string fence = "```" + language + "\n";
  const auto begin = readme.find(fence, section);
  REQUIRE(begin < readme.find("\n## ", section + 1));
  return readme.substr(begin + fence.size(), readme.find("```", begin + 3) - begin - fence.size());
}

long lines_of(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

/// Runs a program that is given the cache's URL and that of an address where nobody listens.
std::string run_with(const std::string& interpreter, const TempDir& folder, const std::string& name, Pillion& proxy) {
  const Finished finished = run({interpreter, folder / name, proxy.queries().url(), "http://127.0.0.1:1"});
  CAPTURE(finished.err);
  CHECK(finished.exit.code == 0);
  return finished.out;
}

constexpr std::string_view settings = "query_cache: { address: 127.0.0.1:0 }\nttl: { character: 1h }\n";

}  // namespace

TEST_CASE("query: the README's Python runs as it is printed") {
  constexpr std::string_view use = R"(
import sys
cache, nowhere = sys.argv[1:]
calls = 0
value = {"name": "\u00e4", "parts": [1, None, "x"]}
def load():
    global calls
    calls += 1
    return value
key = "character:char/1 a:b"
assert [get_cached_query(key, load, 300, cache) for _ in range(3)] == [value] * 3
assert calls == 1
def load_old():
    urllib.request.urlopen(urllib.request.Request(f"{cache}/query/character/2", method="DELETE")).close()
    return "old"
assert get_cached_query("character:2", load_old, 300, cache) == "old"
assert get_cached_query("character:2", lambda: "new", 300, cache) == "new"
assert get_cached_query("character:2", load, 300, cache) == "new"
assert get_cached_query(key, load, 300, nowhere) == value
try:
    get_cached_query("none:1", load, 300, cache)
    assert False
except urllib.error.HTTPError as wrong:
    assert wrong.code == 400
print(calls)
)";
  const std::string code = example("python");
  CHECK(lines_of(code) < 25);
  CHECK(code.find("def get_cached_query(key, loader, ttl") != std::string::npos);
  ScriptedUpstream upstream;
  Pillion proxy(config_for(upstream.endpoint(), settings));
  TempDir folder;
  folder.write("use.py", code + std::string(use));
  CHECK(run_with("python3", folder, "use.py", proxy) == "2\n");
  CHECK(proxy.query("GET", "/query/character/char%2F1%20a%3Ab")["Content-Type"] == "application/json");
  CHECK(cache_status(proxy.query("GET", "/query/character/char%2F1%20a%3Ab")).ttl.value() <= 300);
}

TEST_CASE("query: the README's JavaScript runs as it is printed") {
  constexpr std::string_view use = R"(
import assert from "node:assert";
const [cache, nowhere] = process.argv.slice(2);
let calls = 0;
const value = { name: "\u00e4", parts: [1, null, "x"] };
const load = async () => { calls += 1; return value; };
const key = "character:char/1 a:b";
for (let i = 0; i < 3; ++i) assert.deepStrictEqual(await getCachedQuery(key, load, 300, cache), value);
assert.equal(calls, 1);
const loadOld = async () => {
  await fetch(`${cache}/query/character/2`, { method: "DELETE" });
  return "old";
};
assert.equal(await getCachedQuery("character:2", loadOld, 300, cache), "old");
assert.equal(await getCachedQuery("character:2", async () => "new", 300, cache), "new");
assert.equal(await getCachedQuery("character:2", load, 300, cache), "new");
assert.deepStrictEqual(await getCachedQuery(key, load, 300, nowhere), value);
await assert.rejects(getCachedQuery("none:1", load, 300, cache), /no such type/);
console.log(calls);
)";
  const std::string code = example("javascript");
  CHECK(lines_of(code) < 25);
  CHECK(code.find("getCachedQuery(key, loader, ttl") != std::string::npos);
  ScriptedUpstream upstream;
  Pillion proxy(config_for(upstream.endpoint(), settings));
  TempDir folder;
  folder.write("use.mjs", code + std::string(use));
  CHECK(run_with("node", folder, "use.mjs", proxy) == "2\n");
  CHECK(cache_status(proxy.query("GET", "/query/character/char%2F1%20a%3Ab")).ttl.value() <= 300);
}

TEST_CASE("query: the README's Go is as short") {
  const std::string code = example("go");
  CHECK(lines_of(code.substr(code.find("func GetCachedQuery"))) < 25);
}
