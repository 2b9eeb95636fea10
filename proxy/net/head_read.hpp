// Reading what a client sends next with one system call a request. For client sessions.
//
// Sockets are watched for changes (epoll's edges), so a socket has to be read until it is empty, the end of the stream
// included. Asio finds that out by another read, which fails. Linux can say with each read of TCP whether anything is
// left behind it, the end too (TCP_INQ); where it says that nothing is, there is no other read. Where it says nothing,
// as on Unix sockets, all is as Asio does it.
//
// And a read that waits has no memory: it is asked for when the socket has something, so that idle connections take
// none.
//
// Asio decides both in the base class of its receive operation, by the type of the buffers; here is that base for a
// type of our own.
//
// Of a reset that came in one event with data TCP_INQ says nothing. A send tells of it; so what follows such a read
// is either a send or a plain read (ClientSession::read_some()).
#pragma once

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/detail/reactive_socket_recv_op.hpp>
#include <cerrno>
#include <cstring>

#include "net/async.hpp"
#include "net/client_session.hpp"

namespace pillion {

#ifdef BOOST_ASIO_HAS_IO_URING_AS_DEFAULT
#error "reads of heads need Asio's reactor"
#endif

/// A buffer for one read by an idle session, which has none before there is something to read. The session outlives
/// the read.
class HeadBuffer : public asio::mutable_buffer {
 public:
  // Asio completes a read into nothing at once, so it doesn't look empty.
  explicit HeadBuffer(ClientSession& session) noexcept : mutable_buffer(&session, 1), session_(&session) {}
  /// Where to read to. Empty: there is no memory.
  asio::mutable_buffer room() const noexcept { return session_->idle_room(); }
  /// There was nothing to read.
  void put_back() const noexcept { session_->put_away(); }
  /// Each read tells what is left behind it.
  bool tells() const noexcept { return session_->tells_what_is_left_; }

 private:
  ClientSession* session_;
};

/// Once for a socket, before HeadBuffer is of use with it. False where it can't.
inline bool tell_what_is_left(Socket& socket) noexcept {
  const int on = 1;
  return ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_INQ, &on, sizeof on) == 0;
}

}  // namespace pillion

namespace boost::asio::detail {

template <>
class reactive_socket_recv_op_base<pillion::HeadBuffer> : public reactor_op {
 public:
  reactive_socket_recv_op_base(const boost::system::error_code& success, socket_type socket, socket_ops::state_type,
                               const pillion::HeadBuffer& buffer, socket_base::message_flags flags, func_type complete)
      : reactor_op(success, &reactive_socket_recv_op_base::do_perform, complete),
        socket_(socket),
        buffer_(buffer),
        flags_(flags) {}

  static status do_perform(reactor_op* base) {
    auto& op = *static_cast<reactive_socket_recv_op_base*>(base);
    const asio::mutable_buffer room = op.buffer_.room();
    if (room.size() == 0) {
      op.ec_ = asio::error::no_memory;
      return done;
    }
    iovec part{room.data(), room.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    // On a Unix socket a client may send open files along. Without room for them they are closed.
    if (op.buffer_.tells()) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
    }
    ssize_t size;
    do size = ::recvmsg(op.socket_, &message, op.flags_);
    while (size < 0 && errno == EINTR);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      op.buffer_.put_back();
      return not_done;
    }
    op.bytes_transferred_ = size > 0 ? static_cast<std::size_t>(size) : 0;
    op.ec_ = {};
    if (size < 0) op.ec_.assign(errno, boost::system::system_category());
    if (size == 0) op.ec_ = boost::asio::error::eof;
    return size == 0 || (size > 0 && is_empty(message)) ? done_and_exhausted : done;
  }

 private:
  static bool is_empty(msghdr& message) noexcept {
    const cmsghdr* said = CMSG_FIRSTHDR(&message);
    if (!said || said->cmsg_level != IPPROTO_TCP || said->cmsg_type != TCP_CM_INQ) return false;
    int left = 0;
    std::memcpy(&left, CMSG_DATA(said), sizeof left);
    return left == 0;
  }

  socket_type socket_;
  pillion::HeadBuffer buffer_;
  socket_base::message_flags flags_;
};

}  // namespace boost::asio::detail
