// store.redis: where Redis is, in which shape, and who logs in there.
#include "config/draft.hpp"

namespace pillion::config {

namespace {

constexpr std::size_t mib = 1u << 20;
constexpr std::size_t max_nodes = 64;

using Redis = RedisSettings;
using Sentinel = RedisSettings::Sentinel;
using Tls = RedisSettings::Tls;

bool is_namespace(std::string_view text) {
  return text.size() <= 64 && is_visible_ascii(text) && text.find_first_of("*?[]{}\\\"'") == std::string_view::npos;
}

/// One word for a command of Redis: a user, a master's name.
Parsed<std::string> parse_word(std::string_view text) {
  if (!text.empty() && text.size() <= 128 && is_visible_ascii(text)) return std::string(text);
  return Parsed<std::string>::error(quoted(text) + " is not a name: write up to 128 visible ASCII characters");
}

Parsed<std::string> parse_node(std::string_view text) {
  auto address = parse_address(text);
  if (!address.value) return Parsed<std::string>::error(quoted(text) + " is not a node: write host:6379");
  if (!address.value->is_unix() && address.value->port != 0) return std::string(text);
  return Parsed<std::string>::error(quoted(text) + " can't be a node: write a host and a port from 1 to 65535");
}

void read_nodes(Context& context, const Node& node, std::string_view what, std::vector<Address>& into) {
  std::vector<std::string> texts;
  read_list(context, node, what, max_nodes, texts, parse_node);
  if (node.kind == Node::Kind::list && node.items.empty()) {
    context.error(node.at, "no node is named: write at least one host:port");
  }
  into.clear();
  for (const std::string& text : texts) into.push_back(*parse_address(text).value);
}

void read_namespace(Context& context, const Node& node, Redis& redis) {
  const std::string* text = scalar(context, node, "a namespace");
  if (text == nullptr) return;
  redis.key_namespace = *text;
  if (!is_namespace(*text)) {
    context.error(node.at,
                  quoted(*text) + " is not a namespace: up to 64 visible characters without * ? [ ] { } \\ and quotes");
  } else if (text->starts_with("pillion:")) {
    context.error(node.at, "'pillion:' is reserved for Pillion's own keys: choose another namespace");
  }
}

void read_url(Context& context, const Node& node, Redis& redis) {
  Redis parsed;
  if (!read_value(context, node, parsed, parse_redis_url)) return;
  redis.url = parsed.url;
  redis.address = parsed.address;
  redis.tls.enabled = parsed.tls.enabled;
  redis.database = parsed.database;
  redis.user = parsed.user;
  // password_file may have been read before: the file's order of keys means nothing.
  if (!parsed.password.empty()) redis.password = parsed.password;
}

template <class T>
void read_password_file(Context& context, const Node& node, T& into) {
  read_path(context, node, into.password_file);
  if (!into.password_file.empty()) read_secret(context, node.at, into.password_file, into.password);
}

constexpr Key<Sentinel> sentinel_keys[] = {
    {"master", [](Context& c, const Node& n, Sentinel& s) { read_value(c, n, s.master, parse_word); }},
    {"nodes", [](Context& c, const Node& n, Sentinel& s) { read_nodes(c, n, "nodes", s.nodes); }},
    {"user", [](Context& c, const Node& n, Sentinel& s) { read_value(c, n, s.user, parse_word); }},
    {"password_file", read_password_file<Sentinel>},
};

constexpr Key<Tls> tls_keys[] = {
    {"ca", [](Context& c, const Node& n, Tls& t) { read_certificates(c, n, t.ca); }},
    {"certificate", [](Context& c, const Node& n, Tls& t) { read_certificates(c, n, t.certificate); }},
    {"key", [](Context& c, const Node& n, Tls& t) { read_private_key(c, n, t.key); }},
    {"verify", [](Context& c, const Node& n, Tls& t) { read_switch(c, n, t.verify); }},
};

constexpr Key<CompressSettings> compress_keys[] = {
    {"min", [](Context& c, const Node& n, CompressSettings& s) { read_size(c, n, s.min, 1, 512 * mib); }},
    {"level", [](Context& c, const Node& n, CompressSettings& s) { read_count(c, n, s.level, 1, 9); }},
};

void read_compress(Context& context, const Node& node, Redis& redis) {
  if (node.kind == Node::Kind::scalar) {
    read_switch(context, node, redis.compress.enabled);
  } else {
    read_map(context, node, "compress", compress_keys, redis.compress);
  }
}

// A log that nobody writes to is heard twice a second.
void read_max_silence(Context& context, const Node& node, Redis& redis) {
  read_deadline(context, node, redis.max_silence);
  if (redis.max_silence < std::chrono::seconds(1))
    context.error(node.at, "max_silence must be at least 1s: less would take each moment without news for a cut");
}

constexpr Key<Redis> redis_keys[] = {
    {"url", read_url},
    {"cluster", [](Context& c, const Node& n, Redis& r) { read_nodes(c, n, "cluster", r.cluster); }},
    {"sentinel", [](Context& c, const Node& n, Redis& r) { read_map(c, n, "sentinel", sentinel_keys, r.sentinel); }},
    {"user",
     [](Context& c, const Node& n, Redis& r) {
       std::string user;
       if (read_value(c, n, user, parse_word) && r.url.empty()) r.user = user;
     }},
    {"password_file", read_password_file<Redis>},
    {"database",
     [](Context& c, const Node& n, Redis& r) {
       unsigned database = 0;
       read_count(c, n, database, 0, 65535);
       if (r.url.empty()) r.database = database;
     }},
    {"tls", [](Context& c, const Node& n, Redis& r) { read_map(c, n, "tls", tls_keys, r.tls); }},
    {"connect_timeout", [](Context& c, const Node& n, Redis& r) { read_deadline(c, n, r.connect_timeout); }},
    {"timeout", [](Context& c, const Node& n, Redis& r) { read_deadline(c, n, r.timeout); }},
    {"namespace", read_namespace},
    {"max_object", [](Context& c, const Node& n, Redis& r) { read_size(c, n, r.max_object, 1, 512 * mib); }},
    {"max_silence", read_max_silence},
    {"compress", read_compress},
};

/// Exactly one of the three shapes.
void check_shape(Context& context, const Node& node) {
  const Node* first = nullptr;
  std::string_view first_name;
  for (const std::string_view name : {"url", "cluster", "sentinel"}) {
    const Node* shape = node.find(name);
    if (shape == nullptr) continue;
    if (first != nullptr) {
      context.error(shape->at, quoted(name) + " and " + quoted(first_name) + " say two things: keep one of them");
    } else {
      first = shape;
      first_name = name;
    }
  }
  if (first == nullptr) {
    context.error(node.at, "redis needs a url, a cluster or a sentinel, such as url: redis://127.0.0.1:6379/0");
  }
}

void check_url(Context& context, const Node& node, const Redis& redis) {
  const Node& url = *node.find("url");
  if (redis.url.empty()) return;  // told already
  const Node* password_file = node.find("password_file");
  if (hide_password(redis.url) != redis.url && password_file != nullptr) {
    context.error(password_file->at, "the url has a password already: leave one of the two out");
  }
  if (!redis.user.empty() && redis.password.empty() && password_file == nullptr) {
    context.error(url.at, "this URL has a user without a password: write user:password@, or a password_file");
  }
  if (const Node* user = node.find("user")) {
    context.error(user->at, "with a url the user stands in it: write redis://user@host:6379");
  }
  if (const Node* database = node.find("database")) {
    context.error(database->at, "with a url the database stands in it: write redis://host:6379/3");
  }
  const Node* tls = node.find("tls");
  if (tls != nullptr && !redis.tls.enabled) {
    context.error(tls->at, redis.address.is_unix() ? "a Unix socket has no TLS: leave tls out"
                                                   : "this has no effect without TLS: write rediss:// in the url");
  }
}

void check_nodes(Context& context, const Node& node, const Redis& redis) {
  const Node* database = node.find("database");
  if (node.find("cluster") != nullptr && database != nullptr && redis.database != 0) {
    context.error(database->at, "a Redis Cluster has database 0 alone: leave database out");
  }
  const Node* user = node.find("user");
  if (user != nullptr && node.find("password_file") == nullptr) {
    context.error(user->at, "this user has no password: give it a password_file");
  }
  const Node* sentinel = node.find("sentinel");
  if (sentinel == nullptr || sentinel->kind != Node::Kind::map) return;
  for (const char* needed : {"master", "nodes"}) {
    if (sentinel->find(needed) == nullptr) {
      context.error(sentinel->at,
                    quoted(needed) + " is missing: write sentinel: { master: mymaster, nodes: [s0:26379] }");
    }
  }
  const Node* sentinel_user = sentinel->find("user");
  if (sentinel_user != nullptr && sentinel->find("password_file") == nullptr) {
    context.error(sentinel_user->at, "this user has no password: give it a password_file");
  }
}

void check_tls(Context& context, const Node& node, const Redis& redis) {
  const Node* tls = node.find("tls");
  if (tls == nullptr || tls->kind != Node::Kind::map) return;
  const Node *certificate = tls->find("certificate"), *key = tls->find("key"), *ca = tls->find("ca");
  if (certificate != nullptr && key == nullptr)
    context.error(certificate->at, "this certificate needs its key: add key");
  if (key != nullptr && certificate == nullptr)
    context.error(key->at, "this key needs its certificate: add certificate");
  if (ca != nullptr && !redis.tls.verify)
    context.warn(ca->at, "this has no effect: with 'verify: false' nobody asks it");
}

}  // namespace

void read_redis(Context& context, const Node& node, Draft& draft) {
  Redis& redis = draft.config.redis;
  redis.enabled = true;
  if (!expect(context, node, Node::Kind::map, "redis")) return;
  read_map(context, node, "redis", redis_keys, redis);
  check_shape(context, node);
  if (node.find("url") != nullptr) {
    check_url(context, node, redis);
  } else {
    redis.tls.enabled = node.find("tls") != nullptr;
    check_nodes(context, node, redis);
  }
  check_tls(context, node, redis);
}

void append_redis_keys(std::vector<KeyList>& lists) {
  lists.push_back(list_keys("store.redis", redis_keys));
  lists.push_back(list_keys("store.redis.sentinel", sentinel_keys));
  lists.push_back(list_keys("store.redis.tls", tls_keys));
  lists.push_back(list_keys("store.redis.compress", compress_keys));
}

}  // namespace pillion::config
