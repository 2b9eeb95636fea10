// proxy.yaml.example, the schema and the loader: the example loads as it is and says what the application's table
// says, its commented lines are right, and the three know the same keys.
#include <doctest/doctest.h>

#include <boost/json/parse.hpp>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

#include "config/keys.hpp"
#include "config/tree.hpp"
#include "unit/config/loading.hpp"

using namespace pillion::config;
using namespace std::chrono_literals;

namespace {

std::string read(const std::string& name) {
  std::ifstream file(std::string(PILLION_SOURCE_DIR) + "/" + name, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

const Route& route_of(const Config& config, std::string_view name) {
  for (const Route& route : config.routes) {
    if (route.name == name) return route;
  }
  FAIL("no such route");
  return config.routes.front();
}

FileContent any_file(const std::string& path) {
  if (path.ends_with(".crt")) return {good_certificate, {}};
  if (path.ends_with(".key")) return {good_key, {}};
  if (path.ends_with("-key.pem")) return {"-----BEGIN PRIVATE KEY-----\n", {}};
  return {path.ends_with(".pem") ? "-----BEGIN CERTIFICATE-----\n" : "secret\n", {}};
}

/// The example with every setting that is commented out put to use: `#key` is one, `# text` is prose. Where
/// `alternatives` are asked for, `#|key` is one too.
std::string uncommented(bool alternatives = false) {
  std::istringstream lines(read("proxy.yaml.example"));
  std::string out, line;
  const std::regex setting("^( *)#([^ #|].*)$"), alternative("^( *)#\\|(.*)$");
  while (std::getline(lines, line)) {
    if (alternatives) line = std::regex_replace(line, alternative, "$1$2");
    out += std::regex_replace(line, setting, "$1$2") + "\n";
  }
  return out;
}

/// Less this setting of store.redis, by its beginning, with what stands below it.
std::string without(const std::string& text, const std::string& begin) {
  return std::regex_replace(text, std::regex("\n    " + begin + "[^\n]*(\n      [^\n]*)*"), "");
}

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  std::istringstream stream(path);
  for (std::string part; std::getline(stream, part, '.');) parts.push_back(part);
  return parts;
}

std::set<std::string> keys_at(const Node& root, const std::string& path) {
  std::vector<const Node*> nodes{&root};
  for (const std::string& part : parts_of(path)) {
    std::vector<const Node*> next;
    for (const Node* node : nodes) {
      for (const Node& item : node->items) {
        if (part == "*") next.push_back(&item);
      }
      for (const auto& entry : node->entries) {
        if (part == "*" || part == entry.key) next.push_back(&entry.value);
      }
    }
    nodes = next;
  }
  std::set<std::string> keys;
  for (const Node* node : nodes) {
    for (const auto& entry : node->entries) keys.insert(entry.key);
  }
  return keys;
}

std::string one_text(const std::set<std::string>& keys) { return joined({keys.begin(), keys.end()}); }

/// Subschemas of one: itself, and what anyOf offers.
std::vector<const boost::json::object*> branches(const boost::json::value& schema) {
  std::vector<const boost::json::object*> out{&schema.as_object()};
  if (const auto* any = schema.as_object().if_contains("anyOf")) {
    for (const auto& branch : any->as_array()) out.push_back(&branch.as_object());
  }
  return out;
}

std::set<std::string> schema_keys_at(const boost::json::value& root, const std::string& path) {
  std::vector<const boost::json::object*> nodes = branches(root);
  for (const std::string& part : parts_of(path)) {
    std::vector<const boost::json::object*> next;
    const auto add = [&](const boost::json::value* child) {
      if (child == nullptr || !child->is_object()) return;
      for (const auto* branch : branches(*child)) next.push_back(branch);
    };
    for (const auto* node : nodes) {
      if (part == "*") {
        add(node->if_contains("items"));
        add(node->if_contains("additionalProperties"));
      } else if (const auto* properties = node->if_contains("properties")) {
        add(properties->as_object().if_contains(part));
      }
    }
    nodes = next;
  }
  std::set<std::string> keys;
  for (const auto* node : nodes) {
    const auto* properties = node->if_contains("properties");
    if (properties == nullptr) continue;
    CHECK(node->at("additionalProperties") == false);
    for (const auto& [key, schema] : properties->as_object()) {
      keys.insert(std::string(key));
      CAPTURE(std::string(key));
      CHECK(schema.as_object().contains("description"));
    }
  }
  return keys;
}

}  // namespace

TEST_CASE("the example loads as it is, without a warning, and says what the application's table says") {
  const Loaded loaded = load_text(read("proxy.yaml.example"), {}, {});
  CHECK(joined(lines_of(loaded)) == "");
  REQUIRE(loaded.config.has_value());
  const Config& config = *loaded.config;

  struct {
    const char *route, *path, *key;
    Milliseconds ttl;
  } const table[] = {
      {"character", "/api/characters/{character_id}", "character:{character_id}", 5min},
      {"characters", "/api/characters", "api:characters", 5min},
      {"content_item", "/api/content/{content_id}", "content:{content_id}", 10min},
      {"content", "/api/content", "api:content", 10min},
      {"platforms", "/api/platforms/**", "api:platforms", 1min},
      {"analytics", "/api/analytics/**", "api:analytics", 15min},
      {"status", "/api/status", "api:status", 5s},
      {"api", "/api/{endpoint}/**", "api:{endpoint}", 1min},
      {"checkpoints", "/comfyui/checkpoints", "api:checkpoints", 1min},
      {"samplers", "/comfyui/samplers", "api:samplers", 1min},
      {"schedulers", "/comfyui/schedulers", "api:schedulers", 1min},
  };
  for (const auto& row : table) {
    CAPTURE(row.route);
    const Route& route = route_of(config, row.route);
    CHECK(route.path == row.path);
    CHECK(route.key == row.key);
    CHECK(route.ttl == row.ttl);
    CHECK(route.cache == CacheMode::on);
  }
  for (const char* name : {"checkpoints", "samplers", "schedulers"}) {
    const Route& route = route_of(config, name);
    CHECK(route.upstream == "comfyui");
    CHECK(route.listener == "egress");
    CHECK(route.store_memory);
    CHECK_FALSE(route.store_redis);
  }
  CHECK(config.ttl.size() == 9);
  CHECK(config.redis.address.to_string() == "127.0.0.1:6379");
  CHECK(config.routes.back().name == "rest");
  CHECK(config.routes.back().path == "/**");
  CHECK(config.routes.back().cache == CacheMode::off);
}

TEST_CASE("in the example an update of a character or of content is followed by what shows it") {
  const Loaded loaded = load_text(read("proxy.yaml.example"), {}, {});
  REQUIRE(loaded.config.has_value());
  const Route& character = route_of(*loaded.config, "character");
  CHECK(character.tags == std::vector<std::string>{"character:{character_id}", "characters"});
  REQUIRE(character.invalidate.size() == 1);
  CHECK(character.invalidate[0] ==
        InvalidateRule{{"PUT", "PATCH", "DELETE"}, {"character:{character_id}"}, {"api:characters:*"}, {}});
  const Route& characters = route_of(*loaded.config, "characters");
  CHECK(characters.tags == std::vector<std::string>{"characters"});
  CHECK(characters.invalidate.at(0) == InvalidateRule{{}, {"characters"}, {}, {}});
  const Route& content = route_of(*loaded.config, "content_item");
  CHECK(content.invalidate.at(0) ==
        InvalidateRule{{"PUT", "PATCH", "DELETE"}, {"content:{content_id}"}, {"api:content:*"}, {}});
  CHECK(route_of(*loaded.config, "api").invalidate.at(0) == InvalidateRule{{}, {}, {"api:{endpoint}:*"}, {}});
}

TEST_CASE("the example's addresses can be chosen by the environment") {
  const Environment env = [](const std::string& name) -> std::optional<std::string> {
    const std::map<std::string, std::string> set = {
        {"PILLION_LISTEN", "0.0.0.0:1"},    {"PILLION_EGRESS", "0.0.0.0:2"}, {"PILLION_ADMIN", "127.0.0.1:3"},
        {"PILLION_QUERY_CACHE", "[::1]:7"}, {"APP_URL", "http://app:4"},     {"COMFYUI_URL", "https://comfyui:5"},
        {"REDIS_URL", "redis://redis:6"}};
    const auto found = set.find(name);
    return found == set.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
  const Loaded loaded = load_text(read("proxy.yaml.example"), env, {});
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.config->listeners[0].address.port == 1);
  CHECK(loaded.config->listeners[1].address.port == 2);
  CHECK(loaded.config->admin.address.port == 3);
  CHECK(loaded.config->upstreams[0].address.port == 4);
  CHECK(loaded.config->upstreams[1].address.port == 5);
  CHECK(loaded.config->redis.address.port == 6);
  CHECK(loaded.config->query_cache.value().address.port == 7);
}

TEST_CASE("the example's commented settings are right too") {
  const std::string all = without(uncommented(true), "url: .\\$\\{REDIS_URL");
  for (const std::string& text : {uncommented(), without(all, "cluster:"), without(all, "sentinel:")}) {
    const Loaded loaded = load_text(text, {}, any_file);
    CHECK(joined(errors_of(loaded)) == "");
    CHECK(loaded.config.has_value());
  }
}

TEST_CASE("loader, schema and example know the same keys") {
  const Environment env;
  const FileReader files;
  Context context(env, files);
  const Node example = parse_tree(uncommented(true), context);
  const boost::json::value schema = boost::json::parse(read("config/proxy.schema.json"));
  for (const KeyList& list : key_lists()) {
    CAPTURE(list.path);
    const std::set<std::string> known(list.known.begin(), list.known.end());
    CHECK_FALSE(known.empty());
    CHECK(one_text(schema_keys_at(schema, list.path)) == one_text(known));
    // defaults: takes what routes take; the example shows it there.
    if (list.path.starts_with("defaults")) continue;
    CHECK(one_text(keys_at(example, list.path)) == one_text(known));
  }
}

TEST_CASE("defaults take every setting of a route but name, path, key and invalidate") {
  std::set<std::string> routes, defaults;
  for (const KeyList& list : key_lists()) {
    if (list.path == "routes.*") routes = {list.known.begin(), list.known.end()};
    if (list.path == "defaults") defaults = {list.known.begin(), list.known.end()};
  }
  for (const char* own : {"name", "path", "key", "invalidate"}) CHECK(routes.erase(own) == 1);
  CHECK(defaults == routes);
}
