// The configuration as plain values: what proxy.yaml means once it is read. Every default stands here, once.
// Pure: no I/O, no clock. Anyone may include it; loader.cpp alone fills it from a file.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pillion::config {

using Milliseconds = std::chrono::milliseconds;

/// An address to listen on or to connect to. Exactly one of the two forms is set.
struct Address {
  std::string host;        ///< name, IPv4 or IPv6 without brackets; empty for a Unix socket
  std::uint16_t port = 0;  ///< 0 lets the kernel choose a free one (listeners only)
  std::string unix_path;   ///< absolute path of a Unix socket, else empty

  bool is_unix() const { return !unix_path.empty(); }
  /// A name that may lead elsewhere tomorrow, no IP address.
  bool has_name() const;
  bool is_set() const { return is_unix() || !host.empty(); }
  /// `host:port`, `[v6]:port` or `unix:/path`.
  std::string to_string() const;
  friend bool operator==(const Address&, const Address&) = default;
};

struct Listener {
  std::string name;  ///< empty unless routes choose it
  Address address{"127.0.0.1", 8080, {}};
  unsigned mode = 0660;     ///< file mode of a Unix socket
  bool h2c_tunnel = false;  ///< HTTP/2 with prior knowledge goes to the default upstream as it is; else it is refused
  struct Tls {
    std::string certificate, key;  ///< files in PEM form, the certificate first in its chain; both or neither
    bool enabled() const { return !certificate.empty(); }
    friend bool operator==(const Tls&, const Tls&) = default;
  };
  Tls tls;
  friend bool operator==(const Listener&, const Listener&) = default;
};

struct Admin {
  Address address{"127.0.0.1", 9901, {}};
  std::string token_file;
  std::string token;  ///< contents of token_file; required off loopback
  friend bool operator==(const Admin&, const Admin&) = default;
};

/// What memory does past `max_silence`, while the invalidations of other replicas aren't heard.
enum class WhenUnsure { serve, fetch };

/// The look-aside cache for the application's own queries. Its types are the names of `ttl:`.
struct QueryCache {
  Address address{"127.0.0.1", 9902, {}};      ///< loopback or a Unix socket
  unsigned mode = 0660;                        ///< file mode of a Unix socket
  Milliseconds lease{10000};                   ///< how long one caller may take to load a value before another may
  WhenUnsure when_unsure = WhenUnsure::serve;  ///< of `defaults`
  friend bool operator==(const QueryCache&, const QueryCache&) = default;
};

/// Where an application answers.
struct Upstream {
  std::string name;
  std::string url;  ///< as written, for messages
  bool tls = false;
  Address address;                    ///< from the URL; the port defaults to 80 or 443
  std::string authority;              ///< host[:port] as the URL has it: the Host field with `host: upstream`
  std::size_t max_connections = 256;  ///< of the whole process
  std::size_t max_waiting = 1024;
  Milliseconds max_wait{1000};
  std::optional<std::size_t> max_in_flight;  ///< requests, of the whole process; those above it wait as for connections
  Milliseconds age{60000};  ///< how long one to a host with a name serves: then its name is looked up again
  Milliseconds idle{4000};  ///< a pooled connection older than this is closed; Node and uvicorn close at 5 s
  Milliseconds connect_timeout{1000};
  Milliseconds response_timeout{30000};  ///< to the whole response head
  Milliseconds silence_timeout{60000};   ///< between two reads of a response body; none for event streams
  unsigned breaker_failures = 5;    ///< in a row without an answer between them: it isn't asked for a while; 0: never
  Milliseconds breaker_open{1000};  ///< that while; then one request is let through as a probe
  bool send_own_host = false;       ///< `host: upstream`
  /// Fields set on every request sent there; the value has been read from its file where it came from one.
  struct RequestHeader {
    std::string name;
    std::string value;
    std::string file;  ///< non-empty where the value is a secret read from a file
    /// Whether this is its name; `lower_name` is in lower case.
    bool is(std::string_view lower_name) const;
    friend bool operator==(const RequestHeader&, const RequestHeader&) = default;
  };
  std::vector<RequestHeader> request_headers;
  std::string tls_ca;              ///< file of trusted certificates; empty: the system's
  std::uint64_t tls_ca_stamp = 0;  ///< another one where the file holds something else
  bool tls_verify = true;
  friend bool operator==(const Upstream&, const Upstream&) = default;
};

struct MemorySettings {
  bool enabled = true;
  std::size_t size = 128u << 20;
  std::size_t max_object = 1u << 20;  ///< of head and body together, bytes
  friend bool operator==(const MemorySettings&, const MemorySettings&) = default;
};

/// zstd for what is stored in Redis.
struct CompressSettings {
  bool enabled = true;
  std::size_t min = 2u << 10;  ///< of head and body together, bytes: below it nothing is tried
  int level = 3;               ///< of zstd, 1 to 9: a worker has nothing else to do meanwhile
  friend bool operator==(const CompressSettings&, const CompressSettings&) = default;
};

struct RedisSettings {
  bool enabled = false;
  std::string url;  ///< as written, password included: never print it; empty with a cluster or sentinels
  Address address{"127.0.0.1", 6379, {}};  ///< of the URL, and in net of the one server meant
  std::vector<Address> cluster;            ///< nodes that are asked for the others; empty: no cluster
  struct Sentinel {
    std::string master;                         ///< the name that the sentinels know it by
    std::vector<Address> nodes;                 ///< the sentinels; empty: none
    std::string user, password, password_file;  ///< for the sentinels themselves
    friend bool operator==(const Sentinel&, const Sentinel&) = default;
  };
  Sentinel sentinel;
  struct Tls {
    bool enabled = false;          ///< rediss://, or `tls:` with a cluster or sentinels (to these too)
    std::string ca;                ///< file of trusted certificates; empty: the system's
    std::string certificate, key;  ///< files, of our own; empty: none
    bool verify = true;
    friend bool operator==(const Tls&, const Tls&) = default;
  };
  Tls tls;
  unsigned database = 0;
  std::string user;
  std::string password;       ///< from the URL or from password_file
  std::string password_file;  ///< empty where the URL has the password, or there is none
  Milliseconds connect_timeout{200};
  Milliseconds timeout{50};  ///< to the first byte of a reply
  std::string key_namespace;
  std::size_t max_object = 1u << 20;
  CompressSettings compress;
  Milliseconds max_silence{5000};  ///< how long memory is trusted without hearing the invalidation log
  friend bool operator==(const RedisSettings&, const RedisSettings&) = default;
};

/// Who decides how long a response is fresh.
enum class FreshnessFrom { origin_first, route, origin };
/// What Cache-Status says.
enum class CacheStatusMode { off, on, key };
/// What becomes of a response's Set-Cookie (product contract, "Lifetime").
enum class SetCookie { refuse, strip, store };
enum class Personal { careful, ignore, key };
/// `shadow`: decides, stores and compares, and the upstream answers all the same.
enum class CacheMode { off, on, shadow };
/// How far requests for one missing key go together: not at all, within the process, or among all replicas on one
/// Redis.
enum class Collapse { off, on, fleet };
/// What memory does while what other replicas invalidate isn't heard (RedisSettings::max_silence).

/// `query:` of a route: which parameters the key keeps.
struct QueryRule {
  std::vector<std::string> ignore;  ///< names, a trailing `*` allowed
  std::optional<std::vector<std::string>> only;
  bool sort = false;  ///< by name; values of one name keep their order
  bool changes_nothing() const { return ignore.empty() && !only && !sort; }
  friend bool operator==(const QueryRule&, const QueryRule&) = default;
};

/// What a successful unsafe request invalidates besides its own URL. Templates may name path parameters.
struct InvalidateRule {
  std::vector<std::string> methods;  ///< empty: every unsafe one
  std::vector<std::string> tags;
  std::vector<std::string> patterns;
  std::vector<std::string> urls;
  friend bool operator==(const InvalidateRule&, const InvalidateRule&) = default;
};

/// `refresh:` of a route: what is asked for much is fetched anew before it expires.
struct Refresh {
  double ahead = 0;   ///< share of a lifetime, at its end, in which that happens; 0: it doesn't
  double jitter = 0;  ///< share of a lifetime by which it is shortened at most, so that not all end together
  friend bool operator==(const Refresh&, const Refresh&) = default;
};

/// `adaptive:` of a route: between what a lifetime is learned. Off where `max` is 0.
struct Adaptive {
  Milliseconds min{0}, max{0};
  bool is_on() const { return max.count() != 0; }
  friend bool operator==(const Adaptive&, const Adaptive&) = default;
};

struct Route {
  std::string name;
  std::string path;      ///< pattern: literal, {name}, *, trailing /**
  std::string host;      ///< condition; empty: any
  std::string listener;  ///< condition; empty: every listener that no route names
  std::string upstream;  ///< always filled in by the loader
  std::string rewrite;   ///< path sent instead (may name parameters); empty: unchanged
  CacheMode cache = CacheMode::off;
  std::optional<Milliseconds> ttl;
  std::map<int, Milliseconds> ttl_by_status;
  FreshnessFrom freshness = FreshnessFrom::origin_first;
  /// Where the response doesn't say: how long past its lifetime it may be used while it is refreshed in the background,
  /// and where the upstream fails (RFC 5861).
  std::optional<Milliseconds> stale_while_revalidate, stale_if_error;
  bool request_directives = true;   ///< false: Cache-Control and Pragma of requests count for nothing
  std::optional<double> heuristic;  ///< share of the time since Last-Modified (RFC 9111 4.2.2), 0.1 for 10%
  Refresh refresh;
  Adaptive adaptive;
  std::string key;  ///< template of the readable key; the loader fills in `api:{route name}`
  QueryRule query;
  std::vector<std::string> key_headers;
  bool ignore_host = false;
  std::vector<std::string>
      accept_language;  ///< what the application speaks: Accept-Language is reduced to the best of it
  std::vector<std::string> tags;
  bool ignore_no_store = false;
  bool ignore_private = false;
  bool ignore_no_cache = false;
  Personal personal_cookies = Personal::careful;
  std::vector<std::string> personal_cookie_names;  ///< with Personal::key
  Personal personal_authorization = Personal::careful;
  SetCookie set_cookie = SetCookie::refuse;
  CacheStatusMode cache_status = CacheStatusMode::on;
  Collapse collapse = Collapse::on;
  Milliseconds collapse_wait{5000};
  WhenUnsure when_unsure = WhenUnsure::serve;
  Milliseconds keep{0};  ///< how long past its use a response with a validator stays in Redis
  bool store_memory = true;
  bool store_redis = true;
  bool compress_answers = true;  ///< a stored response that proves hot is offered compressed
  bool upgrade = true;
  bool forwarded = true;  ///< Via and X-Forwarded-*
  std::vector<InvalidateRule> invalidate;
  friend bool operator==(const Route&, const Route&) = default;
};

struct Limits {
  std::size_t target = 15u << 10;
  std::size_t head = 32u << 10;
  std::size_t fields = 100;
  std::size_t response_head = 64u << 10;
  std::size_t response_fields = 200;
  std::size_t trailers = 8u << 10;
  std::size_t chunk_extensions = 4u << 10;
  unsigned interim_responses = 8;
  std::optional<std::uint64_t> body;  ///< of a request; none: streamed without a bound
  std::size_t connections = 10000;
  std::size_t variants = 64;  ///< stored of one URL (Vary); the oldest makes room
  friend bool operator==(const Limits&, const Limits&) = default;
};

struct ClientTimeouts {
  Milliseconds head{10000};
  Milliseconds body{15000};  ///< between two reads of a request body, and for a client that doesn't read
  Milliseconds idle{60000};
  friend bool operator==(const ClientTimeouts&, const ClientTimeouts&) = default;
};

struct Drain {
  Milliseconds delay{5000};
  Milliseconds timeout{25000};
  friend bool operator==(const Drain&, const Drain&) = default;
};

/// What is fetched into the cache at start, before the proxy calls itself ready.
struct Warm {
  std::vector<std::string> urls;    ///< paths with their queries, or http(s) URLs
  std::string sitemap;              ///< of the application: likewise; empty: none
  std::size_t hottest = 0;          ///< so many of the URLs that were asked for most before the last end; 0: none
  std::string file;                 ///< where these are remembered; empty: in Redis
  std::size_t concurrency = 4;      ///< fetches at a time, those of POST /warm included
  Milliseconds ready_after{20000};  ///< readiness waits so long at most
  bool any() const { return !urls.empty() || !sitemap.empty() || hottest > 0; }
  friend bool operator==(const Warm&, const Warm&) = default;
};

enum class LogLevel { debug, info, warn, error };
struct Log {
  LogLevel level = LogLevel::info;
  double access_share = 1.0;  ///< 0: off; 1: all
  bool access_errors_only = false;
  friend bool operator==(const Log&, const Log&) = default;
};

struct Config {
  std::vector<Listener> listeners;
  std::string canonical_host;  ///< empty: none
  Admin admin;
  std::optional<Address> metrics;
  std::optional<QueryCache> query_cache;
  std::vector<Upstream> upstreams;
  MemorySettings memory;
  RedisSettings redis;
  std::map<std::string, Milliseconds> ttl;
  std::vector<Route> routes;                 ///< in the file's order: the first whose conditions match serves
  std::vector<std::string> trusted_proxies;  ///< CIDR blocks; the loader fills in loopback and private ranges
  Limits limits;
  ClientTimeouts timeouts;
  Drain drain;
  Warm warm;
  std::size_t workers = 0;  ///< 0: the container's CPU quota
  Log log;
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace pillion::config
