// Which route answers a request. Immutable once built; look-up time doesn't grow with the number of routes. Pure.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.hpp"

namespace pillion {

inline constexpr std::size_t max_path_parameters = 16;

/// Appends a value as keys hold it: percent-encoded octets stay, every other byte outside `A-Za-z0-9-._~` is
/// percent-encoded (upper-case hex), and a value whose encoded form is over 256 bytes is replaced by the hex of its
/// hash128.
void append_key_value(std::string_view value, std::string& out);

/// A template such as `character:{character_id}` cut into literals and parameter indexes.
class Template {
 public:
  /// `names` are the path's parameters in order. A name that is not among them, or a `{` that is not closed, throws
  /// std::invalid_argument.
  Template(std::string_view text, const std::vector<std::string>& names);
  Template() = default;
  enum class Encode { raw, key };
  /// Fills in. With Encode::key each value is made safe for a Redis key, by append_key_value().
  void append(std::string& out, const std::vector<std::string_view>& values, Encode encode) const;
  std::string fill(const std::vector<std::string_view>& values, Encode encode) const;

 private:
  struct Part {
    std::string literal;
    int parameter = -1;
  };
  std::vector<Part> parts_;
};

/// A route with its templates compiled.
struct CompiledRoute {
  config::Route settings;
  std::size_t index = 0;                ///< place in the file; also its place in counters
  std::size_t upstream = 0;             ///< index into Config::upstreams
  bool counts_hits = false;             ///< it refreshes ahead, or learns lifetimes
  std::vector<std::string> parameters;  ///< names in the order of the path
  Template key;
  Template rewrite;  ///< meaningful where settings.rewrite is non-empty
  std::vector<Template> tags;
  struct Invalidate {
    std::vector<std::string> methods;  ///< upper-case; empty: every unsafe one
    std::vector<Template> tags, patterns, urls;
  };
  std::vector<Invalidate> invalidate;
  bool compresses = false;  ///< compress_answers, and there is memory to keep what comes of it
};

struct RouteMatch {
  const CompiledRoute* route = nullptr;
  std::vector<std::string_view>
      parameters;  ///< values as received (never decoded), in the order of route->parameters; `*` has none
};

class RouteTable {
 public:
  /// Throws std::invalid_argument for what the loader refuses: a template naming a parameter that the path lacks, an
  /// upstream that isn't there.
  explicit RouteTable(const config::Config& config);
  ~RouteTable();
  RouteTable(RouteTable&&) noexcept;

  /// The first route in file order whose path, host and listener conditions hold; route is nullptr where none does.
  /// `listener` is the listener's name, empty for unnamed ones; `host` is compared without its port,
  /// case-insensitively. Segments are compared as received, never decoded; `{name}` and `*` take one non-empty segment,
  /// `/**` the rest, be it nothing. A path without a leading slash (`*`) is matched by `/**` alone.
  /// `match` is an out parameter so that its vector is reused between requests.
  void match(std::string_view listener, std::string_view host, std::string_view path, RouteMatch& match) const;

  const std::vector<CompiledRoute>& routes() const { return routes_; }

  /// Parameter names of a path pattern in order: `/a/{x}/*/{y}` -> x, y.
  static std::vector<std::string> parameter_names(std::string_view path);

 private:
  struct Trees;  // of paths, by listener and host condition
  std::vector<CompiledRoute> routes_;
  std::unique_ptr<Trees> trees_;
};

}  // namespace pillion
