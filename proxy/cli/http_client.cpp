#include "cli/http_client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
#include <tuple>
#include <utility>

#include "core/headers.hpp"
#include "net/async.hpp"

namespace pillion::cli {
namespace {

namespace http = boost::beast::http;
using Answer = http::response<http::string_body>;

constexpr std::uint64_t max_body = 16u << 20;
constexpr std::uint64_t max_pieces = 1u << 30;

awaitable<error_code> connect(Socket& socket, const config::Address& address) {
  if (address.is_unix()) {
    if (address.unix_path.size() >= 108) co_return error_code(ENAMETOOLONG, boost::system::system_category());
    auto [error] = co_await socket.async_connect(asio::local::stream_protocol::endpoint(address.unix_path), no_throw);
    co_return error;
  }
  asio::ip::tcp::resolver resolver(socket.get_executor());
  auto [error, found] = co_await resolver.async_resolve(address.host, std::to_string(address.port), no_throw);
  if (error) co_return error;
  for (const auto& entry : found) {
    error_code ignored;
    socket.close(ignored);
    auto [failed] = co_await socket.async_connect(entry.endpoint(), no_throw);
    error = failed;
    if (!error) break;
  }
  co_return error;
}

http::request<http::string_body> make_request(const config::Address& address, const HttpRequest& request) {
  http::request<http::string_body> out;
  out.method_string(request.method);
  out.target(request.target);
  out.version(11);
  out.set(http::field::host, address.is_unix() ? "localhost" : address.to_string());
  for (const auto& [name, value] : request.headers) out.set(name, value);
  out.set(http::field::connection, "close");
  out.body() = request.body;
  if (!request.body.empty()) out.prepare_payload();
  return out;
}

using Parser = http::response_parser<http::string_body>;

// The body of a 200 piece by piece; of anything else it is collected.
awaitable<error_code> read_pieces(Socket& socket, boost::beast::flat_buffer& buffer, Parser& parser,
                                  const HttpRequest& request, const std::function<void()>& go_on) {
  parser.body_limit(max_pieces);
  const auto [error, head] = co_await http::async_read_header(socket, buffer, parser, no_throw);
  if (error) co_return error;
  const bool passes_on = parser.get().result() == http::status::ok;
  while (!parser.is_done()) {
    go_on();
    const auto [failed, n] = co_await http::async_read_some(socket, buffer, parser, no_throw);
    if (failed) co_return failed;
    std::string& body = parser.get().body();
    if (passes_on && !body.empty()) request.on_body(std::exchange(body, {}));
    if (body.size() > max_body) co_return http::make_error_code(http::error::body_limit);
  }
  co_return error_code{};
}

awaitable<void> exchange(Socket& socket, const config::Address& address, const HttpRequest& request, HttpAnswer& out,
                         asio::steady_timer& timer, const std::function<void()>& go_on) {
  error_code error = co_await connect(socket, address);
  Parser parser;
  parser.body_limit(max_body);
  if (request.method == "HEAD") parser.skip(true);
  if (!error) {
    const auto wire = make_request(address, request);
    http::request_serializer<http::string_body> serializer(wire);
    // A server may answer and close before it has read the whole body: its answer counts, not the broken pipe.
    const auto [unsent, sent] = co_await http::async_write(socket, serializer, no_throw);
    boost::beast::flat_buffer buffer;
    error_code unread;
    if (request.on_body) {
      unread = co_await read_pieces(socket, buffer, parser, request, go_on);
    } else {
      unread = std::get<0>(co_await http::async_read(socket, buffer, parser, no_throw));
    }
    error = unread ? (unsent ? unsent : unread) : error_code{};
  }
  timer.cancel();
  if (error) {
    out.error = error == http::error::end_of_stream || error == http::error::partial_message
                    ? "the connection was closed before the answer was complete"
                    : error.message();
    co_return;
  }
  const Answer& answer = parser.get();
  out.status = answer.result_int();
  out.body = answer.body();
  for (const auto& field : answer) out.headers.emplace_back(field.name_string(), field.value());
}

}  // namespace

std::string HttpAnswer::header(std::string_view name) const {
  for (const auto& [have, value] : headers)
    if (iequals(have, name)) return value;
  return {};
}

ParsedUrl parse_server_url(std::string_view url) {
  const ParsedUrl wrong{{}, "`" + std::string(url) + "` is not an address: write http://127.0.0.1:9901 or unix:/path"};
  ParsedUrl out;
  if (url.starts_with("unix:")) {
    url.remove_prefix(5);
    if (url.starts_with("//")) url.remove_prefix(2);
    if (url.size() < 2 || url.front() != '/') return wrong;
    out.address.unix_path = url;
    return out;
  }
  const auto parsed = boost::urls::parse_uri(url);
  if (!parsed || parsed->scheme_id() != boost::urls::scheme::http || parsed->encoded_host().empty() ||
      parsed->has_userinfo() || parsed->has_query() || parsed->has_fragment() ||
      (!parsed->encoded_path().empty() && parsed->encoded_path() != "/"))
    return wrong;
  out.address.host = parsed->host_address();  // without the brackets of an IPv6 address
  out.address.port = 80;
  if (const auto port = parsed->port(); !port.empty()) {  // Boost.URL's port_number() wraps around
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.address.port);
    if (error != std::errc() || out.address.port == 0) return wrong;
  }
  return out;
}

HttpAnswer fetch(const config::Address& address, const HttpRequest& request) {
  HttpAnswer answer;
  bool late = false;
  try {
    asio::io_context context(1);
    Socket socket(context);
    asio::steady_timer timer(context);
    const std::function<void()> go_on = [&] {
      timer.expires_after(request.time_limit);
      timer.async_wait([&](error_code error) {
        if (error) return;
        late = true;
        context.stop();
      });
    };
    go_on();
    asio::co_spawn(context, exchange(socket, address, request, answer, timer, go_on), asio::detached);
    context.run();
  } catch (const std::exception& e) {
    answer = {};
    answer.error = e.what();
  }
  if (late && answer.status == 0)
    answer.error = "no answer within " + std::to_string(request.time_limit.count()) + " ms";
  if (!answer.error.empty()) answer.error = address.to_string() + ": " + answer.error;
  return answer;
}

}  // namespace pillion::cli
