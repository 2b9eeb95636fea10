// When the configuration is read again, and what becomes of it: by SIGHUP, the admin server, or a file that changed.
// For server.cpp; what a reload reads and refuses is reload.cpp's.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "background.hpp"
#include "flow/context.hpp"
#include "ops/control.hpp"
#include "ops/file_watch.hpp"
#include "reload.hpp"

namespace pillion {

/// On the control thread, but for what it does in the background; made before that thread is.
class Reloader {
 public:
  using WhenReloaded = std::function<void(ReloadOutcome)>;
  /// What it does with what it has read; on the control thread.
  struct Effects {
    /// `prefixes`: what is to be watched of Redis, where there is one.
    std::function<void(SnapshotPtr, const std::vector<std::string>& prefixes)> put_in_force;
    std::function<void(ReloadOutcome&)> refresh_certificates;
  };

  /// `path` of the configuration file; empty: there is none, and nothing is reloaded. `first` is in force.
  Reloader(boost::asio::any_io_executor control, Background& background, Counters& counters, Log& log, std::string path,
           ConfigPtr first, Effects effects);
  Reloader(const Reloader&) = delete;

  /// `told` (which may be empty) is called with what became of it, there and then or later. One at a time: whoever asks
  /// while one is under way gets what the next one says, since the file may have changed meanwhile.
  void reload(WhenReloaded told);
  /// All is ending: from now on nothing is read or put in force.
  void end() { ending_ = true; }
  /// Watches no files any more.
  void stop();

 private:
  // A configuration that has been read again, with what is worked out from it. One that was refused too, where files
  // that the old one names hold something else now: then it is the old one with that.
  struct Prepared {
    ReloadOutcome outcome;
    SnapshotPtr snapshot;  // null where nothing changes
    std::vector<std::string> prefixes;
  };
  void begin();
  Prepared prepare(const config::Config& current);
  void finish(Prepared prepared, const std::vector<WhenReloaded>& asked);

  boost::asio::any_io_executor control_;
  Background& background_;
  Counters& counters_;
  Log& log_;
  const std::string path_;
  ConfigPtr config_;  // in force
  Effects effects_;
  std::unique_ptr<FileWatch> watch_, named_files_watch_;
  bool ending_ = false;
  bool reloading_ = false;
  std::vector<WhenReloaded> asked_;  // since the one under way began
};

}  // namespace pillion
