// Reading what a client sends next with one system call a request. For client sessions.
//
// Sockets are watched for changes (epoll's edges), so a socket has to be read until it is empty, the end of the stream
// included. Asio finds that out by another read, which fails. Linux can say with each read of TCP whether anything is
// left behind it, the end too (TCP_INQ); where it says that nothing is, there is no other read. Where it says nothing,
// as on Unix sockets, all is as Asio does it.
//
// Asio decides this in the base class of its receive operation, by the type of the buffers; here is that base for a
// type of our own. Should an Asio not have such a base, it isn't used, and the other read is back.
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

namespace pillion {

/// Where a read puts what comes.
class HeadBuffer : public asio::mutable_buffer {
 public:
  using asio::mutable_buffer::mutable_buffer;
};

/// Once for a socket, before HeadBuffer is of use with it.
inline void tell_what_is_left(Socket& socket) noexcept {
  const int on = 1;
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_INQ, &on, sizeof on);
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
    iovec part{op.buffer_.data(), op.buffer_.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t size;
    do size = ::recvmsg(op.socket_, &message, op.flags_);
    while (size < 0 && errno == EINTR);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return not_done;
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
