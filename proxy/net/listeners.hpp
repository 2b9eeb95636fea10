// Who wants to be called, each on an executor of its own, when something shared changes. Shared, locks inside.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace pillion {

class Listeners {
 public:
  using Membership = std::shared_ptr<void>;
  /// `callback` is called on `executor` after each call_all(), until the membership is dropped there. Nothing is posted
  /// to the executor once that has been done. A membership may outlive this object.
  [[nodiscard]] Membership add(boost::asio::any_io_executor executor, std::function<void()> callback);
  void call_all();

 private:
  struct Listener {
    boost::asio::any_io_executor executor;
    std::function<void()> callback;
  };
  struct State {
    std::mutex mutex;
    std::vector<std::shared_ptr<Listener>> all;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace pillion
