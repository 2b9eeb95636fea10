// What an application is to a history: resources that have versions, an upstream that serves and commits them, and the
// routes that a proxy needs before it. For tests; any thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "support/history.hpp"
#include "support/scripted_upstream.hpp"

namespace pillion::support {

class Versions {
 public:
  /// Each resource is of one kind: they are reused, tagged and revalidated in different ways.
  enum class Kind {
    plain,    ///< the route's lifetime and tags
    brief,    ///< a second, then stale while a refresh runs
    checked,  ///< no-cache: validated each time, by its ETag
    fleet,    ///< `collapse: fleet`
    grouped,  ///< Surrogate-Key, Cache-Tag and Cache-Groups of the response
    varied,   ///< Vary: X-V
  };
  static constexpr int kinds = 6;
  static constexpr int resources = 18;
  static constexpr int marker = resources;  ///< one more, which nothing invalidates but what names it

  explicit Versions(std::uint64_t seed) : random_(seed) {}

  static Kind kind(int resource) { return static_cast<Kind>(resource % kinds); }
  /// Three to a group; resources of all kinds but each group's are of one.
  static int group(int resource) { return resource % kinds; }
  static std::vector<int> of_group(int group);
  static std::string path(int resource);
  static std::string tag(int resource) { return "r:" + std::to_string(resource); }
  static std::string group_tag(int group) { return "g:" + std::to_string(group); }
  /// What its readable key begins with.
  static std::string key(int resource);
  /// `routes:` for a proxy.yaml. `collapse: fleet` and `stale` windows included.
  static std::string routes();

  /// Serves GET, and commits what PUT and POST (a whole group's) ask for. Answers carry X-Serial and X-Version.
  Handler handler();
  /// A commit that no proxy hears of.
  void commit(int resource);

  struct Commit {
    history::Time at;
    std::vector<int> resources;
  };
  /// What the write with this number (its X-Write) committed last; nothing where it never arrived.
  std::optional<Commit> committed(long write) const;
  std::vector<history::Fetch> fetches() const;

 private:
  void serve(Exchange& exchange, int resource);
  void write(Exchange& exchange, int resource);
  /// Some moments, mostly none: what makes requests overlap.
  void linger();
  int below(int n);

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  std::map<int, long> versions_;
  std::vector<history::Fetch> fetches_;
  std::map<long, Commit> commits_;
};

}  // namespace pillion::support
