// Notices that the contents of files changed: written in place, replaced, or swapped with the symbolic links that lead
// to it, as Kubernetes does with a ConfigMap or a Secret. Used on one thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pillion {

class FileWatch {
 public:
  /// Calls `on_change` shortly after something happened to one of the files or to what leads to it; contents may be the
  /// same as before.
  FileWatch(boost::asio::any_io_executor executor, std::vector<std::string> paths, std::function<void()> on_change);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  /// These from now on.
  void watch(std::vector<std::string> paths);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pillion
