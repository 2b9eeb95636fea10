// What the admin server may ask of the running proxy. Implemented by the composition root (server.cpp) and by tests.
// Every call is safe from the admin server's own thread; awaitables run and complete on the admin server's executor.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.hpp"
#include "core/invalidation.hpp"
#include "core/message.hpp"
#include "core/reasons.hpp"
#include "core/route_table.hpp"
#include "core/stored_response.hpp"
#include "flow/bypass.hpp"
#include "flow/remembered.hpp"
#include "flow/warmed.hpp"
#include "store/memory_store.hpp"
#include "telemetry/counters.hpp"

namespace pillion {

/// What to invalidate; never empty once parsed.
struct InvalidationRequest {
  std::vector<Selector> selectors;
  bool dry_run = false;               ///< count and list examples, change nothing
  bool count = false;                 ///< count what matched in memory: a walk over all of it
  bool soft = false;                  ///< what it names may still be served where stale responses may
  std::chrono::milliseconds wait{0};  ///< for the other replicas to have applied it, at most
};

struct InvalidationReceipt {
  std::string position;                            ///< empty for a dry run
  bool counted = false;                            ///< `matched` was worked out: asked for, or a dry run
  std::size_t matched = 0;                         ///< stored responses in this replica's memory; each variant counts
  std::vector<std::string> examples;               ///< readable keys, dry run only, at most 10
  std::vector<std::string> acknowledged, waiting;  ///< names of replicas
  bool pending = false;  ///< Redis is configured but out of reach: applied here, the others have not heard it
  bool soft = false;     ///< as it was asked for
};

/// A stored response that a request would be given, or nothing.
struct StoredLookup {
  StoredResponsePtr response;
  Detail tier = Detail::none;  ///< memory or redis; none for one that was invalidated: it serves as a validator alone
  std::uint64_t hits = 0;      ///< about so many by this replica lately; 0 where it isn't among its hottest keys
};

/// What came of reading the configuration file again. With `refused` nothing has changed but what stands in files that
/// the configuration names.
struct ReloadOutcome {
  std::string refused;                ///< why it wasn't taken, in a sentence; empty: it was
  std::vector<std::string> errors;    ///< of the file, each as FILE:LINE:COLUMN: what is wrong; then of files it names
  std::vector<std::string> warnings;  ///< likewise
  std::vector<std::string> changed;   ///< sections that are others now; none: the file says what it said
};

/// A list that is being warmed. Where it goes before its end, nothing more is fetched.
class WarmStream {
 public:
  virtual ~WarmStream() = default;
  /// The next URL that is done; nullopt after the last.
  virtual boost::asio::awaitable<std::optional<WarmedUrl>> next() = 0;
};

class Control {
 public:
  virtual ~Control() = default;

  /// `starting`, `warming` or `draining`; empty: it is ready. Whatever the upstream and Redis do.
  virtual std::string_view why_not_ready() const = 0;
  bool ready() const { return why_not_ready().empty(); }
  /// The configuration in force and its routes; never null. A caller keeps the pointer for as long as it reads.
  virtual std::shared_ptr<const config::Config> config() const = 0;
  virtual std::shared_ptr<const RouteTable> routes() const = 0;
  /// Applies (or counts) and returns the receipt. Throws only what the executor throws when it is stopped.
  virtual boost::asio::awaitable<InvalidationReceipt> invalidate(InvalidationRequest request) = 0;
  /// What is stored for that request in the tiers its route uses, fresh or not, variants followed; counts as no hit.
  /// The views in `request` live until the call completes. `listener`: by which it comes.
  virtual boost::asio::awaitable<StoredLookup> find_stored(const RequestHead& request, std::string_view listener) = 0;
  /// Reads the configuration file again, as SIGHUP does; completes once what it says is in force.
  virtual boost::asio::awaitable<ReloadOutcome> reload() = 0;
  /// Begins to fetch these into the cache; nullptr where too many lists are being warmed, or all is ending.
  virtual std::unique_ptr<WarmStream> warm(std::vector<WarmTarget> targets) = 0;
  virtual Counters& counters() = 0;
  /// What this replica remembers of its requests.
  virtual boost::asio::awaitable<InsightsFound> insights(InsightsAsked asked) = 0;
  /// What each Redis server says of itself; empty without one.
  virtual boost::asio::awaitable<std::vector<RedisFigures>> redis_figures() = 0;
  virtual Bypass& bypass() = 0;
  /// All zero where there is no memory store.
  virtual MemoryStore::Figures memory_figures() const = 0;
  /// Changes by others in Redis are heard of; false without a Redis.
  virtual bool watch_up() const = 0;
  /// Lines that the access log could not take.
  virtual std::uint64_t access_log_dropped() const = 0;
};

}  // namespace pillion
