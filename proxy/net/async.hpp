// The few Asio names that coroutines of the shell use. Include it in .cpp files and in headers of net, store and flow
// only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>

namespace pillion {

namespace asio = boost::asio;
using boost::system::error_code;
template <typename T>
using awaitable = asio::awaitable<T>;

/// Completes with a tuple whose first element is the error: nothing here throws for what a peer does.
inline constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);

/// TCP and Unix sockets alike.
using Socket = asio::generic::stream_protocol::socket;

}  // namespace pillion
