#include "support/scripted_upstream.hpp"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>

namespace pillion::support {

namespace {

constexpr std::size_t kept_body = 1u << 20;

/// What a proxy may never send on (RFC 9110 7.6.1), whatever a client sent.
void check_head(const Head& head, ReceivedRequest& request) {
  const std::string& line = head.first_line;
  auto first = line.find(' ');
  auto last = line.rfind(' ');
  if (first == std::string::npos || first == last) throw MalformedMessage("not a request line: " + line);
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  request.fields = head.fields;
  if (line.substr(last + 1) != "HTTP/1.1") throw MalformedMessage("not HTTP/1.1: " + line);
  for (char c : request.target) {
    auto u = static_cast<unsigned char>(c);
    if (u <= 0x20 || u >= 0x7f || c == '#') throw MalformedMessage("a target with odd bytes: " + line);
  }
  if (request.target != "*" && !request.target.starts_with("/")) {
    throw MalformedMessage("a target that is not in origin form: " + line);
  }
  if (head.fields.count("Host") != 1) throw MalformedMessage("not exactly one Host");
  bool upgrade = head.fields.has("Upgrade");
  for (const char* name : {"Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "HTTP2-Settings"}) {
    if (head.fields.has(name)) throw MalformedMessage(std::string("hop-by-hop field passed on: ") + name);
  }
  std::string connection = lower(head.fields["Connection"]);
  if (upgrade != (connection.find("upgrade") != std::string::npos)) {
    throw MalformedMessage("Upgrade and Connection disagree: " + connection);
  }
  static const std::set<std::string> allowed = {"", "close", "keep-alive", "upgrade", "te"};
  std::string option;
  for (char c : connection + ",") {
    if (c == ',') {
      if (!allowed.contains(option)) throw MalformedMessage("Connection names what should have stopped: " + connection);
      option.clear();
    } else if (c != ' ') {
      option += c;
    }
  }
  if (head.fields.has("TE") && lower(head.fields["TE"]) != "trailers") throw MalformedMessage("TE passed on");
}

}  // namespace

struct ScriptedUpstream::Connection {
  int number = 0;
  Stream stream;
  std::thread thread;
  std::atomic<bool> idle{false};
  std::atomic<bool> open{true};
};

std::string Exchange::read_some(Deadline deadline) {
  std::string piece = body_.next(*stream_, deadline);
  std::lock_guard lock(upstream_->mutex_);
  request_->body_bytes += piece.size();
  if (request_->body.size() < kept_body) request_->body.append(piece, 0, kept_body - request_->body.size());
  if (body_.finished()) {
    request_->complete = true;
    request_->trailers = body_.trailers();
    upstream_->changed_.notify_all();
  }
  return piece;
}

void Exchange::read_body(Deadline deadline) {
  try {
    while (!read_some(deadline).empty()) {
    }
  } catch (const ConnectionClosed&) {
  }
}

void Exchange::respond(int status, const Fields& fields, std::string_view body) {
  std::string bytes = response_bytes(status, fields, body);
  if (request_->method == "HEAD") bytes.resize(bytes.size() - body.size());
  write(bytes);
}

void Exchange::close() { stream_->shutdown(); }
void Exchange::reset() {
  std::lock_guard lock(upstream_->mutex_);  // stop() looks at streams from another thread
  stream_->reset();
}

bool Exchange::wait_for_close(Deadline deadline) {
  try {
    while (stream_->fill(deadline)) stream_->buffer().clear();
    return true;
  } catch (const ConnectionClosed&) {
    return true;
  } catch (const TimedOut&) {
    return false;
  }
}

ScriptedUpstream::ScriptedUpstream(Handler handler) : handler_(std::move(handler)) {
  listener_ = bind_loopback(0, 512);
  port_ = port_of(listener_);
  acceptor_ = std::thread([this] { accept_all(); });
}

ScriptedUpstream::~ScriptedUpstream() {
  stop();
  auto found = take_violations();
  for (const auto& what : found) ADD_FAIL_CHECK_AT(__FILE__, __LINE__, "the upstream received: " << what);
}

void ScriptedUpstream::stop() {
  {
    std::lock_guard lock(mutex_);
    for (auto& gate : gates_) gate.open();
  }
  ::shutdown(listener_.get(), SHUT_RDWR);
  if (acceptor_.joinable()) acceptor_.join();
  for (auto& connection : connections_) {
    {
      // A handler may close its stream: under the lock it is either open still, or not touched.
      std::lock_guard lock(mutex_);
      if (connection->open && connection->stream.is_open()) connection->stream.shutdown();
    }
    if (connection->thread.joinable()) connection->thread.join();
  }
  listener_ = Fd();
  listener_ = bind_loopback(port_, -1);
}

void ScriptedUpstream::start() {
  if (::listen(listener_.get(), 512) != 0) throw std::runtime_error("cannot listen again");
  acceptor_ = std::thread([this] { accept_all(); });
}

void ScriptedUpstream::close_idle() {
  std::lock_guard lock(mutex_);
  for (auto& connection : connections_) {
    if (connection->open && connection->idle) connection->stream.shutdown();
  }
}

void ScriptedUpstream::answer(Handler handler) {
  std::lock_guard lock(mutex_);
  handler_ = std::move(handler);
}
void ScriptedUpstream::answer(const std::string& prefix, Handler handler) {
  std::lock_guard lock(mutex_);
  by_prefix_[prefix] = std::move(handler);
}
void ScriptedUpstream::answer_connections(std::function<void(Stream&)> take) {
  std::lock_guard lock(mutex_);
  take_ = std::move(take);
}
Gate& ScriptedUpstream::gate() {
  std::lock_guard lock(mutex_);
  return gates_.emplace_back();
}

Handler ScriptedUpstream::handler_for(const std::string& target) const {
  std::lock_guard lock(mutex_);
  const Handler* best = &handler_;
  std::size_t longest = 0;
  for (const auto& [prefix, handler] : by_prefix_) {
    if (target.starts_with(prefix) && prefix.size() >= longest) {
      best = &handler;
      longest = prefix.size();
    }
  }
  if (*best) return *best;
  return [](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(200, {{"Content-Type", "text/plain"}}, exchange.request().target);
  };
}

void ScriptedUpstream::accept_all() {
  for (;;) {
    pollfd p{listener_.get(), POLLIN, 0};
    if (::poll(&p, 1, -1) < 0) continue;
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.is_open()) return;  // shut down
    auto connection = std::make_unique<Connection>();
    connection->stream = Stream(std::move(fd));
    Connection* raw = connection.get();
    std::lock_guard lock(mutex_);
    connections_.push_back(std::move(connection));
    raw->number = static_cast<int>(connections_.size());
    raw->thread = std::thread([this, raw] { serve(*raw); });
    changed_.notify_all();
  }
}

void ScriptedUpstream::serve(Connection& connection) {
  try {
    std::function<void(Stream&)> take;
    {
      std::lock_guard lock(mutex_);
      take = take_;
    }
    if (take) {
      take(connection.stream);
    } else {
      for (int number = 1; connection.stream.is_open() && serve_one(connection, number); ++number) {
      }
    }
  } catch (const MalformedMessage& e) {
    violation(e.what());
  } catch (const ConnectionClosed&) {
    // The proxy left in the middle: a test that minds looks at the request's `complete`.
  } catch (const std::exception& e) {
    violation(std::string("the handler failed: ") + e.what());
  }
  std::lock_guard lock(mutex_);
  connection.open = false;
  connection.stream.close();
  changed_.notify_all();
}

bool ScriptedUpstream::serve_one(Connection& connection, int number) {
  Stream& stream = connection.stream;
  connection.idle = true;
  if (stream.buffer().empty() && !stream.fill(Deadline(600s))) return false;
  connection.idle = false;
  Exchange exchange;
  exchange.request_ = std::make_shared<ReceivedRequest>();
  exchange.request_->connection = connection.number;
  exchange.request_->head = stream.read_until("\r\n\r\n");
  exchange.stream_ = &stream;
  exchange.upstream_ = this;
  exchange.number_ = number;
  try {
    check_head(Head::parse(exchange.request_->head), *exchange.request_);
    exchange.body_ = BodyReader::of_request(exchange.request_->fields);
  } catch (const MalformedMessage& e) {
    throw MalformedMessage(std::string(e.what()) + " in:\n" + exchange.request_->head);
  }
  exchange.request_->chunked = exchange.body_.framing() == BodyReader::Framing::chunked;
  exchange.request_->complete = exchange.body_.finished();
  Handler handler;
  {
    std::lock_guard lock(mutex_);
    requests_.push_back(exchange.request_);
    changed_.notify_all();
  }
  handler = handler_for(exchange.request_->target);
  handler(exchange);
  if (!stream.is_open()) return false;
  if (!exchange.body_.finished()) exchange.read_body();
  if (exchange.body_.had_extensions()) violation("chunk extensions passed on");
  return exchange.request_->complete;
}

void ScriptedUpstream::violation(const std::string& what) {
  std::lock_guard lock(mutex_);
  violations_.push_back(what);
}
std::vector<std::string> ScriptedUpstream::take_violations() {
  std::lock_guard lock(mutex_);
  return std::exchange(violations_, {});
}

std::vector<ReceivedRequest> ScriptedUpstream::requests() const {
  std::lock_guard lock(mutex_);
  std::vector<ReceivedRequest> out;
  for (const auto& request : requests_) out.push_back(*request);
  return out;
}
std::vector<ReceivedRequest> ScriptedUpstream::requests(std::string_view target) const {
  auto out = requests();
  std::erase_if(out, [&](const ReceivedRequest& r) { return r.target != target; });
  return out;
}
std::size_t ScriptedUpstream::count() const {
  std::lock_guard lock(mutex_);
  return requests_.size();
}
std::size_t ScriptedUpstream::count(std::string_view target) const {
  std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(requests_.begin(), requests_.end(), [&](const auto& r) { return r->target == target; }));
}
bool ScriptedUpstream::wait_for_requests(std::size_t n, Deadline deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline.at(), [&] { return requests_.size() >= n; });
}
bool ScriptedUpstream::wait_for_requests(std::string_view target, std::size_t n, Deadline deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline.at(), [&] {
    return static_cast<std::size_t>(std::count_if(requests_.begin(), requests_.end(),
                                                  [&](const auto& r) { return r->target == target; })) >= n;
  });
}
int ScriptedUpstream::connections() const {
  std::lock_guard lock(mutex_);
  return static_cast<int>(connections_.size());
}
int ScriptedUpstream::open_connections() const {
  std::lock_guard lock(mutex_);
  return static_cast<int>(
      std::count_if(connections_.begin(), connections_.end(), [](const auto& c) { return c->open.load(); }));
}
bool ScriptedUpstream::wait_for_open_connections(int n, Deadline deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline.at(), [&] {
    return std::count_if(connections_.begin(), connections_.end(), [](const auto& c) { return c->open.load(); }) == n;
  });
}

SilentPort::SilentPort() : fd_(bind_loopback(0, 0)) {
  // Until the queue of connections is full; from then on the kernel drops what asks to connect.
  for (int i = 0; i < 8; ++i) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_of(fd_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    fillers_.push_back(std::move(fd));
  }
}

}  // namespace pillion::support
