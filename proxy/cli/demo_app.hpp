// The small application behind `pillion demo`: characters that take a while and can be changed, a status, and the list
// of samplers that ComfyUI has. In a thread of its own; nothing but the demo uses it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "config/model.hpp"

namespace pillion::cli {

class DemoApp {
 public:
  /// Listens on a free port of 127.0.0.1. Throws boost::system::system_error where that fails.
  DemoApp();
  ~DemoApp();
  DemoApp(const DemoApp&) = delete;

  config::Address address() const;
  /// Requests answered so far.
  std::uint64_t requests() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pillion::cli
