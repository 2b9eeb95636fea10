#include "config/loader.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <system_error>

#include "config/draft.hpp"

namespace pillion::config {

namespace {

constexpr Key<Draft> top_keys[] = {
    {"listeners", read_listeners},
    {"canonical_host",
     [](Context& c, const Node& n, Draft& d) { read_value(c, n, d.config.canonical_host, parse_authority); }},
    {"admin", read_admin},
    {"metrics", read_metrics},
    {"query_cache", read_query_cache},
    {"upstreams", read_upstreams},
    {"store", read_store},
    {"ttl", read_ttl},
    {"defaults", [](Context&, const Node& n, Draft& d) { d.defaults = &n; }},
    {"routes", [](Context&, const Node& n, Draft& d) { d.routes = &n; }},
    {"trusted_proxies", read_trusted_proxies},
    {"limits", read_limits},
    {"timeouts", read_timeouts},
    {"drain", read_drain},
    {"workers", read_workers},
    {"log", read_log},
    {"warm", read_warm},
};

Loaded finish(Context& context, Draft& draft) {
  Loaded loaded;
  if (!context.failed()) loaded.config = std::move(draft.config);
  loaded.problems = context.take_problems();
  return loaded;
}

Loaded one_problem(std::string message) {
  Loaded loaded;
  loaded.problems.push_back({1, 1, std::move(message), false});
  return loaded;
}

/// A value as YAML in double quotes, variables kept from being filled in.
std::string yaml_value(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (text.substr(i).starts_with("${")) out += '$';
    if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') {
      out += "\\x";
      out += hex[c >> 4];
      out += hex[c & 15];
    } else {
      out += text[i];
    }
  }
  return out + "\"";
}

}  // namespace

Loaded load_text(std::string_view yaml, const Environment& env, const FileReader& read_file) {
  Context context(env, read_file);
  const Node root = parse_tree(yaml, context);
  Draft draft;
  draft.config.trusted_proxies = private_networks();
  if (root.broken) return finish(context, draft);
  if (root.kind == Node::Kind::null) {
    context.error({}, "the file is empty: begin with upstreams: { app: http://127.0.0.1:8000 }");
    return finish(context, draft);
  }
  read_map(context, root, "the file", top_keys, draft);
  if (root.kind == Node::Kind::map) {
    if (draft.listener_nodes.empty()) draft.config.listeners = {Listener{}};
    read_routes(context, draft);
    check_all(context, draft);
  }
  return finish(context, draft);
}

FileContent read_small_file(const std::string& path) {
  errno = 0;
  const auto why = [] { return std::string(errno != 0 ? std::strerror(errno) : "it can't be read"); };
  std::ifstream file(path, std::ios::binary);
  if (!file) return {{}, why()};
  std::string text(max_file_size + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  // libstdc++ opens a directory and fails at the read.
  if (file.bad()) return {{}, why()};
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > max_file_size) return {{}, "it is over 1 MiB"};
  return {std::move(text), {}};
}

Loaded load_file(const std::string& path) {
  const FileContent content = read_small_file(path);
  if (!content.text) return one_problem("can't read the file: " + content.error);
  const Environment env = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  return load_text(*content.text, env, read_small_file);
}

Loaded default_config(std::string_view upstream_url, std::string_view listen, std::string_view admin,
                      std::string_view redis, std::string_view ttl) {
  // One line an option, so that a problem's line tells whose it is. A value that isn't given takes the empty line.
  const char* const options[] = {"--upstream", "--listen", "--admin", "--redis", "--ttl"};
  std::string yaml = "upstreams: { app: " + yaml_value(upstream_url) + " }\n";
  if (!listen.empty()) yaml += "listeners: [{ address: " + yaml_value(listen) + " }]";
  yaml += "\n";
  if (!admin.empty()) yaml += "admin: { address: " + yaml_value(admin) + " }";
  yaml += "\n";
  if (!redis.empty()) yaml += "store: { redis: { url: " + yaml_value(redis) + " } }";
  yaml += "\nroutes: [{ name: all, path: /**, cache: on" + (ttl.empty() ? "" : ", ttl: " + yaml_value(ttl)) + " }]\n";
  Loaded loaded = load_text(yaml, {}, {});
  for (Problem& problem : loaded.problems) {
    if (problem.line >= 1 && problem.line <= 5)
      problem.message = std::string(options[problem.line - 1]) + ": " + problem.message;
    problem.line = problem.column = 1;
  }
  return loaded;
}

std::string format(const std::string& file, const Problem& problem) {
  return file + ":" + std::to_string(problem.line) + ":" + std::to_string(problem.column) + ": " +
         (problem.warning ? "warning: " : "") + problem.message;
}

std::vector<KeyList> key_lists() {
  std::vector<KeyList> lists;
  lists.push_back(list_keys("", top_keys));
  append_section_keys(lists);
  append_setting_keys(lists);
  append_route_keys(lists);
  return lists;
}

}  // namespace pillion::config
