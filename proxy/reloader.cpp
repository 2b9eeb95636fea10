#include "reloader.hpp"

#include <boost/asio/post.hpp>
#include <exception>
#include <utility>

#include "core/watched_prefixes.hpp"
#include "named_files.hpp"

namespace pillion {

namespace {
constexpr const char* is_ending = "this is ending: nothing is reloaded any more";
}

Reloader::Reloader(boost::asio::any_io_executor control, Background& background, Counters& counters, Log& log,
                   std::string path, ConfigPtr first, Effects effects)
    : control_(std::move(control)),
      background_(background),
      counters_(counters),
      log_(log),
      path_(std::move(path)),
      config_(std::move(first)),
      effects_(std::move(effects)) {
  if (path_.empty()) return;
  const auto changed = [this] { reload({}); };
  watch_ = std::make_unique<FileWatch>(control_, std::vector{path_}, changed);
  named_files_watch_ = std::make_unique<FileWatch>(control_, named_files(*config_), changed);
}

void Reloader::stop() {
  watch_.reset();
  named_files_watch_.reset();
}

void Reloader::reload(WhenReloaded told) {
  const char* cannot = path_.empty() ? "there is no configuration file: this was started with options alone"
                       : ending_     ? is_ending
                                     : nullptr;
  if (cannot != nullptr) {
    if (told) told({.refused = cannot});
    return;
  }
  asked_.push_back(std::move(told));
  if (!reloading_) begin();
}

// All that takes its time is done, and undone, in the background.
void Reloader::begin() {
  reloading_ = true;
  background_.post([this, current = config_, asked = std::exchange(asked_, {})]() mutable {
    Prepared prepared;
    try {
      prepared = prepare(*current);
    } catch (const std::exception& error) {
      prepared.outcome.refused = std::string("the configuration could not be read: ") + error.what();
    }
    boost::asio::post(control_, [this, prepared = std::move(prepared), asked = std::move(asked)]() mutable {
      finish(std::move(prepared), asked);
    });
  });
}

Reloader::Prepared Reloader::prepare(const config::Config& current) {
  Reloaded fresh = read_again(path_, current);
  Prepared prepared{std::move(fresh.outcome), nullptr, {}};
  if (!prepared.outcome.refused.empty()) {
    // Secrets and authorities are renewed all the same.
    Reread files = reread_files(current);
    auto& errors = prepared.outcome.errors;
    errors.insert(errors.end(), files.errors.begin(), files.errors.end());
    if (files.config) fresh.config = std::make_unique<const config::Config>(std::move(*files.config));
  }
  if (!fresh.config) return prepared;
  prepared.snapshot =
      background_.share(std::make_unique<const Snapshot>(background_.share(std::move(fresh.config)), counters_));
  if (current.redis.enabled) prepared.prefixes = watched_prefixes(*prepared.snapshot->config);
  return prepared;
}

void Reloader::finish(Prepared prepared, const std::vector<WhenReloaded>& asked) {
  ReloadOutcome& outcome = prepared.outcome;
  if (ending_) {
    outcome.refused = is_ending;
    prepared.snapshot = nullptr;
  }
  if (!outcome.refused.empty()) log_.error(outcome.refused);
  for (const std::string& error : outcome.errors) log_.error(error);
  if (prepared.snapshot) {
    config_ = prepared.snapshot->config;
    effects_.put_in_force(std::move(prepared.snapshot), prepared.prefixes);
    named_files_watch_->watch(named_files(*config_));
    log_.info(outcome.refused.empty() ? "the configuration was reloaded"
                                      : "files that the configuration names were read again");
  } else if (outcome.refused.empty()) {
    log_.info("the configuration is as it was: nothing changes");
  }
  if (!ending_) effects_.refresh_certificates(outcome);
  for (const WhenReloaded& done : asked)
    if (done) done(outcome);
  reloading_ = false;
  if (!asked_.empty()) begin();
}

}  // namespace pillion
