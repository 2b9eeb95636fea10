// Notices that a file's contents changed: written in place, replaced, or swapped with the symbolic links that lead to
// it, as Kubernetes does with a ConfigMap. Used on one thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>

namespace pillion {

class FileWatch {
 public:
  /// Calls `on_change` shortly after something happened to the file or to what leads to it; contents may be the same as
  /// before.
  FileWatch(boost::asio::any_io_executor executor, std::string path, std::function<void()> on_change);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pillion
