#include "net/output_queue.hpp"

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
    buffers_.emplace_back(piece.data ? piece.data : scratch_.data() + piece.offset, piece.size);
  }
}

bool OutputQueue::flush_now(Socket& socket) {
  gather();
  error_code error;
  sent_ = socket.write_some(buffers_, error);
  if (error || sent_ < asio::buffer_size(buffers_)) return false;
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
