// listeners, admin, metrics and upstreams.
#include <algorithm>
#include <iterator>

#include "config/certificates.hpp"
#include "config/draft.hpp"

namespace pillion::config {

namespace {

constexpr std::size_t max_listeners = 64;
constexpr std::size_t max_upstreams = 256;
constexpr std::size_t max_request_headers = 32;
constexpr Milliseconds max_lease{3'600'000};

/// Unset where what is written is no address, so that it clashes with no other.
void read_address(Context& context, const Node& node, Address& into) {
  into = {};
  read_value(context, node, into, parse_address);
}

constexpr Word<bool> h2c_words[] = {{"tunnel", true}};

/// The files of a listener's certificate and key, and what they hold.
struct ListenerTls {
  Listener::Tls files;
  std::string certificate, key;
};
constexpr Key<ListenerTls> listener_tls_keys[] = {
    {"certificate",
     [](Context& c, const Node& n, ListenerTls& t) {
       t.certificate = read_certificates(c, n, t.files.certificate);
       if (t.certificate.empty()) return;
       CertificateProblem problem = check_certificate(t.certificate);
       if (!problem.wrong.empty()) c.error(n.at, quoted(t.files.certificate) + problem.wrong);
       if (!problem.doubtful.empty()) c.warn(n.at, quoted(t.files.certificate) + problem.doubtful);
       if (!problem.wrong.empty()) t.certificate.clear();
     }},
    {"key",
     [](Context& c, const Node& n, ListenerTls& t) {
       t.key = read_private_key(c, n, t.files.key);
       if (t.key.empty()) return;
       const std::string wrong = check_private_key(t.key);
       if (!wrong.empty()) c.error(n.at, quoted(t.files.key) + wrong);
       if (!wrong.empty()) t.key.clear();
     }},
};

void read_listener_tls(Context& context, const Node& node, Listener& listener) {
  ListenerTls tls;
  read_map(context, node, "tls of a listener", listener_tls_keys, tls);
  if (node.kind != Node::Kind::map) return;
  for (const char* needed : {"certificate", "key"}) {
    if (node.find(needed) == nullptr) {
      context.error(node.at, quoted(needed) + " is missing: write { certificate: tls.crt, key: tls.key }");
    }
  }
  if (!tls.certificate.empty() && !tls.key.empty() && !fit_together(tls.certificate, tls.key)) {
    context.error(node.find("key")->at,
                  quoted(tls.files.key) + " is not the key of the certificate in " + quoted(tls.files.certificate));
  }
  listener.tls = std::move(tls.files);
}

constexpr Key<Listener> listener_keys[] = {
    {"address", [](Context& c, const Node& n, Listener& l) { read_address(c, n, l.address); }},
    {"name", [](Context& c, const Node& n, Listener& l) { read_value(c, n, l.name, parse_name); }},
    {"mode", [](Context& c, const Node& n, Listener& l) { read_value(c, n, l.mode, parse_mode); }},
    {"h2c", [](Context& c, const Node& n, Listener& l) { read_word(c, n, h2c_words, l.h2c_tunnel); }},
    {"tls", read_listener_tls},
};

constexpr Key<Admin> admin_keys[] = {
    {"address", [](Context& c, const Node& n, Admin& a) { read_address(c, n, a.address); }},
    {"token_file",
     [](Context& c, const Node& n, Admin& a) {
       read_path(c, n, a.token_file);
       if (a.token_file.empty()) return;
       read_secret(c, n.at, a.token_file, a.token);
       if (!is_visible_ascii(a.token)) {
         c.error(n.at, quoted(a.token_file) + " must hold one word of visible ASCII characters");
       }
     }},
};

constexpr Key<Address> metrics_keys[] = {
    {"address", [](Context& c, const Node& n, Address& a) { read_address(c, n, a); }},
};

constexpr Key<QueryCache> query_cache_keys[] = {
    {"address", [](Context& c, const Node& n, QueryCache& q) { read_address(c, n, q.address); }},
    {"mode", [](Context& c, const Node& n, QueryCache& q) { read_value(c, n, q.mode, parse_mode); }},
    {"lease",
     [](Context& c, const Node& n, QueryCache& q) {
       read_deadline(c, n, q.lease);
       if (q.lease > max_lease) c.error(n.at, "a lease is 1h at most: a loader that died would be waited for so long");
     }},
};

constexpr Key<Upstream> connection_keys[] = {
    {"max", [](Context& c, const Node& n, Upstream& u) { read_count(c, n, u.max_connections, 1, 65536); }},
    {"idle", [](Context& c, const Node& n, Upstream& u) { read_duration(c, n, u.idle); }},
    {"waiting", [](Context& c, const Node& n, Upstream& u) { read_count(c, n, u.max_waiting, 0, 1'000'000); }},
    {"wait", [](Context& c, const Node& n, Upstream& u) { read_duration(c, n, u.max_wait); }},
    {"age", [](Context& c, const Node& n, Upstream& u) { read_deadline(c, n, u.age); }},
};

constexpr Key<Upstream> breaker_keys[] = {
    {"failures", [](Context& c, const Node& n, Upstream& u) { read_count(c, n, u.breaker_failures, 1, 1'000'000); }},
    {"open", [](Context& c, const Node& n, Upstream& u) { read_deadline(c, n, u.breaker_open); }},
};

void read_breaker(Context& context, const Node& node, Upstream& upstream) {
  if (node.kind != Node::Kind::scalar) return read_map(context, node, "breaker", breaker_keys, upstream);
  const auto on = parse_switch(node.text);
  if (!on.value) context.error(node.at, on.wrong + ", nor { failures: 5, open: 1s }");
  if (on.value && !*on.value) upstream.breaker_failures = 0;
}

constexpr Key<Upstream> upstream_timeout_keys[] = {
    {"connect", [](Context& c, const Node& n, Upstream& u) { read_deadline(c, n, u.connect_timeout); }},
    {"response", [](Context& c, const Node& n, Upstream& u) { read_deadline(c, n, u.response_timeout); }},
    {"silence", [](Context& c, const Node& n, Upstream& u) { read_deadline(c, n, u.silence_timeout); }},
};

constexpr Key<Upstream> upstream_tls_keys[] = {
    {"ca",
     [](Context& c, const Node& n, Upstream& u) { u.tls_ca_stamp = stamp_of(read_certificates(c, n, u.tls_ca)); }},
    {"verify", [](Context& c, const Node& n, Upstream& u) { read_switch(c, n, u.tls_verify); }},
};

constexpr Key<Upstream::RequestHeader> header_file_keys[] = {
    {"file",
     [](Context& c, const Node& n, Upstream::RequestHeader& h) {
       read_path(c, n, h.file);
       if (!h.file.empty()) read_secret(c, n.at, h.file, h.value);
     }},
};

constexpr Word<bool> host_words[] = {{"upstream", true}};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// Fields that frame a message or belong to one connection: Pillion writes them itself.
bool is_pillions_own(std::string_view name) {
  constexpr std::string_view own[] = {"host",    "connection", "content-length", "transfer-encoding", "te",
                                      "trailer", "upgrade",    "keep-alive",     "proxy-connection",  "expect"};
  return std::find(std::begin(own), std::end(own), lower(name)) != std::end(own);
}

void read_request_headers(Context& context, const Node& node, Upstream& upstream) {
  upstream.request_headers.clear();
  if (!expect(context, node, Node::Kind::map, "request_headers")) return;
  if (node.entries.size() > max_request_headers) {
    context.error(node.at, "these are too many headers: " + std::to_string(max_request_headers) + " at most");
    return;
  }
  for (const Node::Entry& entry : node.entries) {
    const auto name = parse_field_name(entry.key);
    if (!name.value) {
      context.error(entry.key_at, name.wrong);
      continue;
    }
    const bool twice = std::any_of(upstream.request_headers.begin(), upstream.request_headers.end(),
                                   [&](const auto& before) { return lower(before.name) == lower(entry.key); });
    if (twice) context.error(entry.key_at, quoted(entry.key) + " stands here twice");
    if (is_pillions_own(entry.key)) {
      context.error(entry.key_at, quoted(entry.key) + " can't be set: Pillion writes it for each connection");
    }
    Upstream::RequestHeader header{*name.value, {}, {}};
    if (entry.value.kind == Node::Kind::map) {
      read_map(context, entry.value, "a header's value", header_file_keys, header);
      if (entry.value.find("file") == nullptr)
        context.error(entry.value.at, "'file' is missing: write { file: /path }");
    } else if (const std::string* text = scalar(context, entry.value, "a header's value")) {
      header.value = *text;
      if (text->find_first_not_of(" \t") != 0 || text->find_last_not_of(" \t") + 1 != text->size()) {
        context.error(entry.value.at, "a header's value must not be empty, nor begin or end with white space");
      }
    }
    upstream.request_headers.push_back(std::move(header));
  }
}

void read_url(Context& context, const Node& node, Upstream& upstream) {
  Upstream parsed;
  if (!read_value(context, node, parsed, parse_upstream_url)) return;
  upstream.url = parsed.url;
  upstream.tls = parsed.tls;
  upstream.address = parsed.address;
  upstream.authority = parsed.authority;
}

void read_max_in_flight(Context& context, const Node& node, Upstream& upstream) {
  if (node.kind == Node::Kind::scalar && node.text == "none") {
    upstream.max_in_flight.reset();
    return;
  }
  read_value(context, node, upstream.max_in_flight, [](std::string_view text) {
    auto number = parse_number(text, 1, 1'000'000);
    if (!number.value) number.wrong += ", nor none";
    return number;
  });
}

constexpr Key<Upstream> upstream_keys[] = {
    {"url", read_url},
    {"connections", [](Context& c, const Node& n, Upstream& u) { read_map(c, n, "connections", connection_keys, u); }},
    {"request_headers", read_request_headers},
    {"timeouts", [](Context& c, const Node& n,
                    Upstream& u) { read_map(c, n, "timeouts of an upstream", upstream_timeout_keys, u); }},
    {"tls", [](Context& c, const Node& n, Upstream& u) { read_map(c, n, "tls", upstream_tls_keys, u); }},
    {"host", [](Context& c, const Node& n, Upstream& u) { read_word(c, n, host_words, u.send_own_host); }},
    {"max_in_flight", read_max_in_flight},
    {"breaker", read_breaker},
};

}  // namespace

void read_listeners(Context& context, const Node& node, Draft& draft) {
  draft.listeners = &node;
  if (node.kind == Node::Kind::null || !expect(context, node, Node::Kind::list, "listeners")) return;
  if (node.items.empty()) context.error(node.at, "at least one listener is needed: - address: 127.0.0.1:8080");
  if (node.items.size() > max_listeners) {
    context.error(node.at, "these are too many listeners: " + std::to_string(max_listeners) + " at most");
    return;
  }
  for (const Node& item : node.items) {
    Listener listener;
    read_map(context, item, "a listener", listener_keys, listener);
    if (item.kind == Node::Kind::map && item.find("address") == nullptr) {
      context.error(item.at, "a listener needs an address: 127.0.0.1:8080, [::]:8080 or unix:/path");
    }
    if (const Node* mode = item.find("mode"); mode != nullptr && !listener.address.is_unix()) {
      context.error(mode->at, "mode is for Unix sockets: leave it out");
    }
    draft.config.listeners.push_back(std::move(listener));
    draft.listener_nodes.push_back(&item);
  }
}

void read_admin(Context& context, const Node& node, Draft& draft) {
  draft.admin = &node;
  if (node.kind != Node::Kind::null) read_map(context, node, "admin", admin_keys, draft.config.admin);
}

void read_metrics(Context& context, const Node& node, Draft& draft) {
  draft.metrics = &node;
  if (node.kind == Node::Kind::null) return;
  Address address;
  read_map(context, node, "metrics", metrics_keys, address);
  if (node.kind == Node::Kind::map && node.find("address") == nullptr) {
    context.error(node.at, "metrics needs an address: 0.0.0.0:9903");
  }
  draft.config.metrics = std::move(address);
}

void read_query_cache(Context& context, const Node& node, Draft& draft) {
  draft.query_cache = &node;
  QueryCache query_cache;
  if (node.kind != Node::Kind::null) read_map(context, node, "query_cache", query_cache_keys, query_cache);
  if (const Node* mode = node.find("mode"); mode != nullptr && !query_cache.address.is_unix()) {
    context.warn(mode->at, "mode has no effect: the address is not a Unix socket");
  }
  draft.config.query_cache = std::move(query_cache);
}

void read_upstreams(Context& context, const Node& node, Draft& draft) {
  draft.upstreams = &node;
  if (node.kind == Node::Kind::null || !expect(context, node, Node::Kind::map, "upstreams")) return;
  if (node.entries.size() > max_upstreams) {
    context.error(node.at, "these are too many upstreams: " + std::to_string(max_upstreams) + " at most");
    return;
  }
  for (const Node::Entry& entry : node.entries) {
    const auto name = parse_name(entry.key);
    if (!name.value) context.error(entry.key_at, name.wrong);
    Upstream upstream;
    upstream.name = entry.key;
    if (entry.value.kind == Node::Kind::scalar) {
      read_url(context, entry.value, upstream);
    } else {
      read_map(context, entry.value, "an upstream", upstream_keys, upstream);
      if (entry.value.kind == Node::Kind::map && entry.value.find("url") == nullptr) {
        context.error(entry.key_at, "an upstream needs a url: http://127.0.0.1:8000");
      }
    }
    if (const Node* tls = entry.value.find("tls"); tls != nullptr && !upstream.tls && !upstream.url.empty()) {
      context.warn(tls->at, "tls has no effect: the url is not https://");
    }
    draft.config.upstreams.push_back(std::move(upstream));
  }
}

void append_section_keys(std::vector<KeyList>& lists) {
  lists.push_back(list_keys("listeners.*", listener_keys));
  lists.push_back(list_keys("listeners.*.tls", listener_tls_keys));
  lists.push_back(list_keys("admin", admin_keys));
  lists.push_back(list_keys("metrics", metrics_keys));
  lists.push_back(list_keys("query_cache", query_cache_keys));
  lists.push_back(list_keys("upstreams.*", upstream_keys));
  lists.push_back(list_keys("upstreams.*.connections", connection_keys));
  lists.push_back(list_keys("upstreams.*.breaker", breaker_keys));
  lists.push_back(list_keys("upstreams.*.request_headers.*", header_file_keys));
  lists.push_back(list_keys("upstreams.*.timeouts", upstream_timeout_keys));
  lists.push_back(list_keys("upstreams.*.tls", upstream_tls_keys));
}

}  // namespace pillion::config
