// What is to be sent to a client: pieces of stored responses, pinned without a copy, and bytes made for this answer.
// Worker-local.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/stored_response.hpp"
#include "net/async.hpp"
#include "net/deadline.hpp"

namespace pillion {

class TlsSession;

class OutputQueue {
 public:
  /// Copies.
  void put(std::string_view bytes);
  /// The queue's own scratch: append to it, then call end_scratch().
  std::string& scratch() noexcept { return scratch_; }
  void end_scratch();
  /// Refers to bytes that the caller keeps alive until flush() returns.
  void refer(std::string_view bytes);
  /// Refers to bytes of `response`, which stays alive.
  void pin(StoredResponsePtr response) { pins_.push_back(std::move(response)); }

  bool empty() const noexcept { return pieces_.empty(); }
  /// Enough for one write: pipelined answers are gathered up to here.
  bool is_full() const noexcept { return pieces_.size() >= 60 || scratch_.size() >= (32u << 10); }
  std::uint64_t total() const noexcept { return total_; }

  /// Sends what the socket takes at once, without a coroutine: nearly always all, which is what true says. Otherwise
  /// flush() goes on.
  bool flush_now(Socket& socket);
  /// Sends all in as few writes as the kernel takes.
  awaitable<error_code> flush(Socket& socket, Deadline& deadline, std::chrono::milliseconds timeout);
  /// Never after a flush_now().
  awaitable<error_code> flush(TlsSession& tls, Deadline& deadline, std::chrono::milliseconds timeout);
  void clear() noexcept;

 private:
  struct Piece {
    const char* data;  // nullptr: `offset` into scratch_
    std::size_t offset, size;
  };
  std::vector<Piece> pieces_;
  std::vector<asio::const_buffer> buffers_;
  std::vector<StoredResponsePtr> pins_;
  std::string scratch_;
  const char* bytes_of(const Piece& piece) const noexcept {
    return piece.data ? piece.data : scratch_.data() + piece.offset;
  }
  void gather();
  std::size_t scratch_used_ = 0;
  std::size_t sent_ = 0;  // by a flush_now() that did not get all out
  std::uint64_t total_ = 0;
};

}  // namespace pillion
