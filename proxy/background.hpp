// One thread for work that may take its time: reading a configuration of thousands of routes, destroying an old one. It
// has a lower priority than the workers, so that no request in flight waits for it. Used by server.cpp and
// reloader.cpp.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <thread>
#include <utility>

#include "net/event_loop.hpp"

namespace pillion {

class Background {
 public:
  Background() = default;
  ~Background() { stop(); }
  Background(const Background&) = delete;

  void start();
  /// From any thread; done in order.
  template <typename Work>
  void post(Work&& work) {
    boost::asio::post(loop_, std::forward<Work>(work));
  }
  /// Shares a value that is destroyed there, whoever lets go of it last.
  template <typename T>
  std::shared_ptr<T> share(std::unique_ptr<T> value) {
    return std::shared_ptr<T>(value.release(), [this](T* last) {
      std::unique_ptr<T> owned(last);
      if (!stopped_) post([owned = std::move(owned)] {});
    });
  }
  /// Ends it once what is being done is done; what waits is dropped.
  void stop();

 private:
  void run();
  EventLoop loop_;
  boost::asio::executor_work_guard<EventLoop::executor_type> guard_{loop_.get_executor()};
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

}  // namespace pillion
