// What a client session needs while something is done for it: idle ones have none. Worker-local.
#pragma once

#include <memory>
#include <vector>

#include "core/message.hpp"
#include "net/output_queue.hpp"

namespace pillion {

struct ClientParser;

struct ClientWorkspace {
  static constexpr std::size_t first_buffer = 4u << 10;

  ClientWorkspace();
  ~ClientWorkspace();
  void clear() noexcept;

  std::vector<char> buffer;  ///< at least first_buffer
  std::vector<Field> fields;
  std::unique_ptr<ClientParser> parser;
  OutputQueue out;
  ClientWorkspace* next = nullptr;  ///< for ClientWorkspaces
};

/// The workspaces of one worker's sessions. Some that aren't in use are kept for the next.
class ClientWorkspaces {
 public:
  ClientWorkspaces() = default;
  ~ClientWorkspaces();
  ClientWorkspaces(const ClientWorkspaces&) = delete;

  /// A clear one.
  std::unique_ptr<ClientWorkspace> take() {
    if (!first_) return std::make_unique<ClientWorkspace>();
    --count_;
    std::unique_ptr<ClientWorkspace> taken(first_);
    first_ = taken->next;
    return taken;
  }
  /// Takes a clear one back.
  void give_back(std::unique_ptr<ClientWorkspace> work) noexcept {
    if (count_ >= most || work->buffer.size() > 4 * ClientWorkspace::first_buffer) return;
    ++count_;
    work->next = first_;
    first_ = work.release();
  }

 private:
  static const std::size_t most;
  ClientWorkspace* first_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace pillion
