// store (its redis: redis.cpp), ttl, trusted_proxies, limits, timeouts, drain, warm, workers and log.
#include <algorithm>

#include "config/draft.hpp"
#include "config/dump.hpp"

namespace pillion::config {

namespace {

constexpr std::size_t kib = 1u << 10, mib = 1u << 20, gib = 1u << 30;
constexpr std::size_t max_ttl_names = 1000;
constexpr std::size_t max_networks = 1000;

constexpr Key<MemorySettings> memory_keys[] = {
    {"size", [](Context& c, const Node& n, MemorySettings& m) { read_size(c, n, m.size, 64 * kib, 1024 * gib); }},
    {"max_object", [](Context& c, const Node& n, MemorySettings& m) { read_size(c, n, m.max_object, 1, gib); }},
};

void read_memory(Context& context, const Node& node, Draft& draft) {
  MemorySettings& memory = draft.config.memory;
  if (node.kind == Node::Kind::scalar) {
    read_switch(context, node, memory.enabled);
    return;
  }
  read_map(context, node, "memory", memory_keys, memory);
  if (memory.max_object <= memory.size) return;
  const Node* given = node.find("max_object");
  if (given != nullptr) {
    context.error(given->at, "max_object is over the memory's whole size of " + size_text(memory.size));
  }
  memory.max_object = memory.size;
}

constexpr Key<Draft> store_keys[] = {{"memory", read_memory}, {"redis", read_redis}};

constexpr Key<Limits> limit_keys[] = {
    {"target", [](Context& c, const Node& n, Limits& l) { read_size(c, n, l.target, 256, mib); }},
    {"head", [](Context& c, const Node& n, Limits& l) { read_size(c, n, l.head, kib, 16 * mib); }},
    {"fields", [](Context& c, const Node& n, Limits& l) { read_count(c, n, l.fields, 1, 10'000); }},
    {"response_head", [](Context& c, const Node& n, Limits& l) { read_size(c, n, l.response_head, kib, 16 * mib); }},
    {"response_fields", [](Context& c, const Node& n, Limits& l) { read_count(c, n, l.response_fields, 1, 10'000); }},
    {"trailers", [](Context& c, const Node& n, Limits& l) { read_size(c, n, l.trailers, 0, mib); }},
    {"chunk_extensions", [](Context& c, const Node& n, Limits& l) { read_size(c, n, l.chunk_extensions, 0, mib); }},
    {"interim_responses", [](Context& c, const Node& n, Limits& l) { read_count(c, n, l.interim_responses, 0, 1000); }},
    {"body",
     [](Context& c, const Node& n, Limits& l) {
       if (n.kind == Node::Kind::scalar && n.text == "none") {
         l.body.reset();
       } else {
         read_value(c, n, l.body, parse_size);
       }
     }},
    {"connections", [](Context& c, const Node& n, Limits& l) { read_count(c, n, l.connections, 1, 1'000'000); }},
    {"variants", [](Context& c, const Node& n, Limits& l) { read_count(c, n, l.variants, 1, 1024); }},
};

constexpr Key<ClientTimeouts> timeout_keys[] = {
    {"head", [](Context& c, const Node& n, ClientTimeouts& t) { read_deadline(c, n, t.head); }},
    {"body", [](Context& c, const Node& n, ClientTimeouts& t) { read_deadline(c, n, t.body); }},
    {"idle", [](Context& c, const Node& n, ClientTimeouts& t) { read_deadline(c, n, t.idle); }},
};

constexpr Key<Drain> drain_keys[] = {
    {"delay", [](Context& c, const Node& n, Drain& d) { read_duration(c, n, d.delay); }},
    {"timeout", [](Context& c, const Node& n, Drain& d) { read_duration(c, n, d.timeout); }},
};

constexpr std::size_t max_warm_urls = 1000;
constexpr Key<Warm> warm_keys[] = {
    {"urls",
     [](Context& c, const Node& n, Warm& w) { read_list(c, n, "urls", max_warm_urls, w.urls, parse_request_url); }},
    {"sitemap", [](Context& c, const Node& n, Warm& w) { read_value(c, n, w.sitemap, parse_request_url); }},
    {"hottest", [](Context& c, const Node& n, Warm& w) { read_count(c, n, w.hottest, 0, 1000); }},
    {"file", [](Context& c, const Node& n, Warm& w) { read_path(c, n, w.file); }},
    {"concurrency", [](Context& c, const Node& n, Warm& w) { read_count(c, n, w.concurrency, 1, 64); }},
    {"ready_after", [](Context& c, const Node& n, Warm& w) { read_duration(c, n, w.ready_after); }},
};

constexpr Word<LogLevel> level_words[] = {
    {"debug", LogLevel::debug}, {"info", LogLevel::info}, {"warn", LogLevel::warn}, {"error", LogLevel::error}};

void read_access(Context& context, const Node& node, Log& log) {
  const std::string* text = scalar(context, node);
  if (text == nullptr) return;
  log.access_errors_only = *text == "errors";
  if (*text == "all" || *text == "on" || *text == "true" || *text == "errors") {
    log.access_share = 1.0;
  } else if (*text == "off" || *text == "false") {
    log.access_share = 0.0;
  } else if (const auto share = parse_percentage(*text); share.value) {
    log.access_share = *share.value;
  } else {
    context.error(node.at, quoted(*text) + " is unknown here: write all, off, errors or a share such as 1%");
  }
}

constexpr Key<Log> log_keys[] = {
    {"level", [](Context& c, const Node& n, Log& l) { read_word(c, n, level_words, l.level); }},
    {"access", read_access},
};

}  // namespace

void read_store(Context& context, const Node& node, Draft& draft) {
  draft.store = &node;
  if (node.kind != Node::Kind::null) read_map(context, node, "store", store_keys, draft);
}

void read_limits(Context& context, const Node& node, Draft& draft) {
  draft.limits = &node;
  if (node.kind == Node::Kind::null) return;
  Limits& limits = draft.config.limits;
  read_map(context, node, "limits", limit_keys, limits);
  const Node* target = node.find("target");
  if (target != nullptr && limits.target > limits.head) {
    context.error(target->at,
                  "target is over head (" + size_text(limits.head) + "), which holds it: lower it, or raise head");
  }
}

void read_timeouts(Context& context, const Node& node, Draft& draft) {
  if (node.kind != Node::Kind::null) read_map(context, node, "timeouts", timeout_keys, draft.config.timeouts);
}

void read_drain(Context& context, const Node& node, Draft& draft) {
  if (node.kind != Node::Kind::null) read_map(context, node, "drain", drain_keys, draft.config.drain);
}

void read_warm(Context& context, const Node& node, Draft& draft) {
  draft.warm = &node;
  if (node.kind != Node::Kind::null) read_map(context, node, "warm", warm_keys, draft.config.warm);
}

void read_workers(Context& context, const Node& node, Draft& draft) {
  if (node.kind == Node::Kind::scalar && node.text == "auto") {
    draft.config.workers = 0;
    return;
  }
  read_value(context, node, draft.config.workers, [](std::string_view text) {
    auto number = parse_number(text, 1, 1024);
    if (!number.value) number.wrong += ", nor auto";
    return number;
  });
}

void read_log(Context& context, const Node& node, Draft& draft) {
  if (node.kind != Node::Kind::null) read_map(context, node, "log", log_keys, draft.config.log);
}

std::vector<std::string> private_networks() {
  return {"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"};
}

void read_trusted_proxies(Context& context, const Node& node, Draft& draft) {
  if (node.kind == Node::Kind::null) return;
  read_list(context, node, "trusted_proxies", max_networks, draft.config.trusted_proxies, parse_network);
}

void read_ttl(Context& context, const Node& node, Draft& draft) {
  draft.ttl = &node;
  if (node.kind == Node::Kind::null || !expect(context, node, Node::Kind::map, "ttl")) return;
  if (node.entries.size() > max_ttl_names) {
    context.error(node.at, "these are too many: " + std::to_string(max_ttl_names) + " at most");
    return;
  }
  for (const Node::Entry& entry : node.entries) {
    const auto name = parse_name(entry.key);
    if (!name.value) {
      context.error(entry.key_at, name.wrong);
    } else if (entry.key.front() >= '0' && entry.key.front() <= '9') {
      context.error(entry.key_at,
                    quoted(entry.key) + " begins with a digit, so it would be taken for a duration: rename it");
    }
    Milliseconds value{0};
    read_duration(context, entry.value, value);
    // Kept even where the duration is wrong, so that routes that name it bring no second problem.
    draft.config.ttl.emplace(entry.key, value);
  }
}

void append_setting_keys(std::vector<KeyList>& lists) {
  lists.push_back(list_keys("store", store_keys));
  lists.push_back(list_keys("store.memory", memory_keys));
  append_redis_keys(lists);
  lists.push_back(list_keys("limits", limit_keys));
  lists.push_back(list_keys("timeouts", timeout_keys));
  lists.push_back(list_keys("drain", drain_keys));
  lists.push_back(list_keys("warm", warm_keys));
  lists.push_back(list_keys("log", log_keys));
}

}  // namespace pillion::config
