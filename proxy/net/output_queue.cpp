#include "net/output_queue.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>

#include "net/stream.hpp"

namespace pillion {

void OutputQueue::put(std::string_view bytes) {
  scratch_.append(bytes);
  end_scratch();
}

void OutputQueue::end_scratch() {
  const std::size_t size = scratch_.size() - scratch_used_;
  if (size == 0) return;
  total_ += size;
  if (!pieces_.empty() && !pieces_.back().data && pieces_.back().offset + pieces_.back().size == scratch_used_) {
    pieces_.back().size += size;
  } else {
    pieces_.push_back({nullptr, scratch_used_, size});
  }
  scratch_used_ = scratch_.size();
}

void OutputQueue::refer(std::string_view bytes) {
  end_scratch();
  if (bytes.empty()) return;
  total_ += bytes.size();
  pieces_.push_back({bytes.data(), 0, bytes.size()});
}

void OutputQueue::clear() noexcept {
  pieces_.clear();
  pins_.clear();
  scratch_.clear();
  scratch_used_ = 0;
  sent_ = 0;
}

void OutputQueue::gather() {
  end_scratch();
  buffers_.clear();
  for (const Piece& piece : pieces_) {
    buffers_.emplace_back(bytes_of(piece), piece.size);
  }
}

bool OutputQueue::flush_now(Socket& socket) {
  if (sent_ > 0) return false;
  end_scratch();
  // A short answer is copied together: that is cheaper than having the kernel gather it.
  constexpr std::size_t short_size = 4u << 10, most_pieces = 64;
  std::size_t size = 0;
  for (const Piece& piece : pieces_) size += piece.size;
  ssize_t sent;
  if (size <= short_size) {
    char together[short_size];
    char* to = together;
    for (const Piece& piece : pieces_) to = std::copy_n(bytes_of(piece), piece.size, to);
    sent = ::send(socket.native_handle(), together, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  } else {
    std::array<iovec, most_pieces> parts;
    msghdr message{};
    message.msg_iov = parts.data();
    for (const Piece& piece : pieces_) {
      if (message.msg_iovlen == most_pieces) break;
      parts[message.msg_iovlen++] = {const_cast<char*>(bytes_of(piece)), piece.size};
    }
    sent = ::sendmsg(socket.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  // What went wrong, flush() will hear too.
  sent_ = sent > 0 ? static_cast<std::size_t>(sent) : 0;
  if (sent_ < size) return false;
  clear();
  return true;
}

awaitable<error_code> OutputQueue::flush(Socket& socket, Deadline& deadline, std::chrono::milliseconds timeout) {
  gather();
  std::span<asio::const_buffer> left(buffers_);
  for (std::size_t sent = sent_; sent > 0;) {
    const std::size_t step = std::min(sent, left.front().size());
    left.front() += step;
    sent -= step;
    if (left.front().size() == 0) left = left.subspan(1);
  }
  const error_code error = co_await write_all(socket, left, deadline, timeout);
  clear();
  co_return error;
}

awaitable<error_code> OutputQueue::flush(TlsSession& tls, Deadline& deadline, std::chrono::milliseconds timeout) {
  gather();
  const error_code error = co_await tls.write(buffers_, deadline, timeout);
  clear();
  co_return error;
}

}  // namespace pillion
