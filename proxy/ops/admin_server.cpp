#include "ops/admin_server.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <unordered_set>
#include <utility>

namespace pillion {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Protocol = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Protocol, asio::io_context::executor_type>;
using Stream = beast::basic_stream<Protocol, asio::any_io_executor>;

constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);
// Who waits for its answer (a receipt may take 30 s) must not keep health probes out.
constexpr std::size_t max_connections = 64, max_answering = 512;
constexpr std::uint32_t max_head = 8u << 10;
constexpr std::uint64_t max_body = 1u << 20;
constexpr std::chrono::seconds time_limit{10};

Protocol::endpoint endpoint_of(const config::Address& address) {
  if (address.is_unix()) return asio::local::stream_protocol::endpoint(address.unix_path);
  error_code error;
  const auto ip = asio::ip::make_address(address.host, error);
  if (!error) return asio::ip::tcp::endpoint(ip, address.port);
  asio::io_context local;
  asio::ip::tcp::resolver resolver(local);
  const auto found = resolver.resolve(address.host, std::to_string(address.port));
  return found.begin()->endpoint();
}

/// Removes a socket file that a process left behind: one that refuses connections. Anything else stays.
void remove_dead_socket(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  asio::io_context local;
  asio::local::stream_protocol::socket probe(local);
  error_code error;
  probe.connect(asio::local::stream_protocol::endpoint(path), error);
  if (error == asio::error::connection_refused) ::unlink(path.c_str());
}

config::Address address_of(const Protocol::endpoint& endpoint, config::Address asked) {
  if (asked.is_unix()) return asked;
  asio::ip::tcp::endpoint ip;
  if (endpoint.size() > ip.capacity()) return asked;
  std::memcpy(ip.data(), endpoint.data(), endpoint.size());
  asked.port = ip.port();
  return asked;
}

using Response = http::response<http::string_body>;

template <typename Message>
Message make_head(const AdminResponse& answer, unsigned version, bool keep_alive) {
  Message response(http::int_to_status(answer.status), version);
  response.set(http::field::content_type, answer.content_type);
  response.set(http::field::cache_control, "no-store");
  response.set("X-Content-Type-Options", "nosniff");
  if (!answer.allow.empty()) response.set(http::field::allow, answer.allow);
  if (answer.authenticate) response.set(http::field::www_authenticate, "Bearer");
  response.keep_alive(keep_alive);
  return response;
}

Response make_response(const AdminResponse& answer, unsigned version, bool keep_alive) {
  Response response = make_head<Response>(answer, version, keep_alive);
  response.content_length(answer.body.size());
  response.body() = answer.body;
  return response;
}

/// Writes an answer that comes piece by piece; one piece may be long in coming. False where the peer is gone, or takes
/// nothing.
asio::awaitable<bool> write_pieces(Stream& stream, const AdminResponse& answer, unsigned version, bool keep_alive) {
  const bool chunked = version >= 11;  // else the end of the connection ends it
  auto head = make_head<http::response<http::empty_body>>(answer, version, keep_alive && chunked);
  if (chunked) head.chunked(true);
  http::response_serializer<http::empty_body> serializer(head);
  stream.expires_after(time_limit);
  if (const auto [failed, n] = co_await http::async_write_header(stream, serializer, no_throw); failed) co_return false;
  for (;;) {
    const std::string piece = co_await answer.more();
    if (piece.empty()) break;
    stream.expires_after(time_limit);
    const auto bytes = asio::buffer(piece);
    const auto [failed, n] = chunked ? co_await asio::async_write(stream, http::make_chunk(bytes), no_throw)
                                     : co_await asio::async_write(stream, bytes, no_throw);
    if (failed) co_return false;
  }
  if (!chunked) co_return false;
  stream.expires_after(time_limit);
  const auto [failed, n] = co_await asio::async_write(stream, http::make_chunk_last(), no_throw);
  co_return !failed && keep_alive;
}

/// The answer to what could not be read as a request; status 0: none, the peer just went.
AdminResponse answer_to_unreadable(const error_code& error) {
  if (error == http::error::header_limit) return admin_error(431, "the head is over 8 KiB");
  if (error == http::error::body_limit) return admin_error(413, "the body is over 1 MiB");
  if (error.category() == http::make_error_code(http::error::bad_method).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message)
    return admin_error(400, "not a well-formed HTTP/1.1 request");
  AdminResponse none;
  none.status = 0;
  return none;
}

/// Reads on for a moment after the last answer: closing over unread bytes would reset the connection, and the peer
/// would lose the answer that tells it why.
asio::awaitable<void> linger(Stream& stream) {
  error_code ignored;
  stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
  stream.expires_after(std::chrono::seconds(1));
  std::array<char, 4096> waste;
  for (std::size_t total = 0; total < 4 * max_body;) {
    const auto [error, n] = co_await stream.async_read_some(asio::buffer(waste), no_throw);
    if (error) break;
    total += n;
  }
}

}  // namespace

struct AdminServer::State : std::enable_shared_from_this<State> {
  State(asio::io_context& io, Control& c, AdminFlavour f)
      : context(io), control(c), flavour(f), acceptor(io.get_executor()), room(io) {}

  asio::io_context& context;
  Control& control;
  const AdminFlavour flavour;
  Acceptor acceptor;
  asio::steady_timer room;  // woken when a connection ends
  std::unordered_set<Stream*> streams;
  std::size_t connections = 0;  // all
  std::size_t answering = 0;    // of those the ones whose request has been read and not yet answered
  std::function<void()> on_idle;
  config::Address address;
  bool stopped = false;

  struct BeingAnswered;
  void open(const config::Address& asked);
  void close();
  asio::awaitable<void> wait_for_room();
  asio::awaitable<void> accept_all(std::shared_ptr<State> self);
  asio::awaitable<void> serve(std::shared_ptr<State> self, Protocol::socket socket);
  asio::awaitable<bool> serve_one(Stream& stream, beast::flat_buffer& buffer);
  asio::awaitable<AdminResponse> answer(const http::request<http::string_body>& request);
};

/// A request from when it has been read until its answer is written.
struct AdminServer::State::BeingAnswered {
  explicit BeingAnswered(State& s) : state(s) {
    ++state.answering;
    state.room.cancel();
  }
  ~BeingAnswered() {
    if (--state.answering == 0 && state.on_idle) std::exchange(state.on_idle, nullptr)();
  }
  BeingAnswered(const BeingAnswered&) = delete;
  State& state;
};

void AdminServer::State::open(const config::Address& asked) {
  try {
    const Protocol::endpoint endpoint = endpoint_of(asked);
    if (asked.is_unix()) remove_dead_socket(asked.unix_path);
    acceptor.open(endpoint.protocol());
    if (!asked.is_unix()) acceptor.set_option(asio::socket_base::reuse_address(true));
    acceptor.bind(endpoint);
    if (asked.is_unix() && ::chmod(asked.unix_path.c_str(), 0660) != 0)
      throw boost::system::system_error(error_code(errno, boost::system::system_category()));
    acceptor.listen();
    address = address_of(acceptor.local_endpoint(), asked);
  } catch (const boost::system::system_error& e) {
    throw std::runtime_error(asked.to_string() + ": " + e.code().message());
  }
}

void AdminServer::State::close() {
  stopped = true;
  on_idle = nullptr;
  error_code ignored;
  if (acceptor.is_open() && address.is_unix()) ::unlink(address.unix_path.c_str());
  acceptor.close(ignored);
  room.cancel();
  for (Stream* stream : streams) stream->close();
}

// The rest wait in the kernel's queue; each connection here ends within its deadlines.
asio::awaitable<void> AdminServer::State::wait_for_room() {
  while (!stopped && (connections - answering >= max_connections || answering >= max_answering)) {
    room.expires_after(time_limit);
    co_await room.async_wait(no_throw);
  }
}

asio::awaitable<void> AdminServer::State::accept_all(std::shared_ptr<State> self) {
  while (!stopped) {
    co_await wait_for_room();
    if (stopped) break;
    auto [error, socket] = co_await acceptor.async_accept(no_throw);
    // An answer that was under way may have been given since.
    if (!error) co_await wait_for_room();
    if (stopped) break;
    if (error) {
      // Out of descriptors, most likely: not worth a spin.
      room.expires_after(std::chrono::milliseconds(100));
      co_await room.async_wait(no_throw);
      continue;
    }
    ++connections;
    asio::co_spawn(context, serve(self, std::move(socket)), asio::detached);
  }
}

asio::awaitable<void> AdminServer::State::serve(std::shared_ptr<State> self, Protocol::socket socket) {
  Stream stream(std::move(socket));
  streams.insert(&stream);
  beast::flat_buffer buffer(max_head + max_body);
  try {
    while (!self->stopped && co_await serve_one(stream, buffer)) {
    }
  } catch (const std::exception&) {
    // Out of memory and the like: this connection ends, the server does not.
  }
  if (!stopped) co_await linger(stream);
  streams.erase(&stream);
  --connections;
  room.cancel();
}

asio::awaitable<AdminResponse> AdminServer::State::answer(const http::request<http::string_body>& request) {
  AdminRequest wanted;
  wanted.method = request.method_string();
  wanted.target = request.target();
  wanted.authorization = request[http::field::authorization];
  wanted.content_type = request[http::field::content_type];
  wanted.body = request.body();
  std::string failure;
  try {
    co_return co_await answer_admin(control, flavour, wanted);
  } catch (const std::exception& e) {
    failure = e.what();
  }
  co_return admin_error(500, "the request failed: " + failure);
}

/// One request and its answer. False where the connection is to be closed.
asio::awaitable<bool> AdminServer::State::serve_one(Stream& stream, beast::flat_buffer& buffer) {
  http::request_parser<http::string_body> parser;
  parser.header_limit(max_head);
  parser.body_limit(max_body);
  stream.expires_after(time_limit);
  const auto [error, read] = co_await http::async_read(stream, buffer, parser, no_throw);
  AdminResponse reply;
  bool keep_alive = false;
  std::optional<BeingAnswered> being_answered;
  if (error) {
    reply = answer_to_unreadable(error);
    if (reply.status == 0) co_return false;
  } else {
    being_answered.emplace(*this);
    reply = co_await answer(parser.get());
    keep_alive = parser.get().keep_alive();
  }
  if (reply.more) co_return co_await write_pieces(stream, reply, parser.get().version(), keep_alive);
  const bool head = parser.get().method() == http::verb::head;
  Response response = make_response(reply, error ? 11 : parser.get().version(), keep_alive);
  stream.expires_after(time_limit);
  http::response_serializer<http::string_body> serializer(response);
  const auto [failed, written] = head ? co_await http::async_write_header(stream, serializer, no_throw)
                                      : co_await http::async_write(stream, serializer, no_throw);
  co_return !failed && keep_alive;
}

AdminServer::AdminServer(asio::io_context& context, Control& control, AdminFlavour flavour)
    : state_(std::make_shared<State>(context, control, flavour)) {}

AdminServer::~AdminServer() { stop(); }

void AdminServer::start(const config::Address& address) {
  state_->open(address);
  asio::co_spawn(state_->context, state_->accept_all(state_), asio::detached);
}

config::Address AdminServer::address() const { return state_->address; }

void AdminServer::when_idle(std::function<void()> done) {
  asio::post(state_->context, [state = state_, done = std::move(done)]() mutable {
    if (state->answering == 0) return done();
    state->on_idle = std::move(done);
  });
}

void AdminServer::stop() {
  asio::post(state_->context, [state = state_] { state->close(); });
}

}  // namespace pillion
