// An HTTP/1.1 server whose every answer a test writes. It checks each request it receives against a strict grammar
// and fails the test where one is not as a careful proxy would write it. For tests; a thread for each connection.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/deadline.hpp"
#include "support/http.hpp"
#include "support/socket.hpp"

namespace pillion::support {

struct ReceivedRequest {
  std::string head;  ///< exact bytes
  std::string method;
  std::string target;
  Fields fields;
  std::string body;              ///< decoded; its first MiB
  std::uint64_t body_bytes = 0;  ///< decoded, all of it
  Fields trailers;
  bool complete = false;  ///< the whole body arrived
  bool chunked = false;
  int connection = 0;  ///< which connection brought it, from 1
};

class ScriptedUpstream;

/// One request and the means to answer it. Lives in the handler's thread.
class Exchange {
 public:
  const ReceivedRequest& request() const { return *request_; }
  /// From 1: how many requests of this connection there were, this one included.
  int number_on_connection() const { return number_; }

  /// The next piece of the body; empty at its end. Throws ConnectionClosed where it is cut.
  std::string read_some(Deadline deadline = {});
  /// The whole body, or what there is of it when it is cut (`request().complete` says which). Kept to its first MiB.
  void read_body(Deadline deadline = {});

  /// Bytes as they are. Throws ConnectionClosed where the proxy has gone.
  void write(std::string_view bytes, Deadline deadline = {}) { stream_->write(bytes, deadline); }
  /// A response with Content-Length (unless `fields` frames it); the body is left out in answers to HEAD.
  void respond(int status, const Fields& fields = {}, std::string_view body = {});
  /// Closes in good order, or with RST.
  void close();
  void reset();
  /// True once the proxy closes its side, whatever it sends before.
  bool wait_for_close(Deadline deadline = {});
  Stream& stream() { return *stream_; }

 private:
  friend class ScriptedUpstream;
  std::shared_ptr<ReceivedRequest> request_;
  BodyReader body_;
  Stream* stream_ = nullptr;
  ScriptedUpstream* upstream_ = nullptr;
  int number_ = 0;
};

using Handler = std::function<void(Exchange&)>;

class ScriptedUpstream {
 public:
  /// Answers every request with `handler`; without one 200 and the target as its body.
  explicit ScriptedUpstream(Handler handler = {});
  /// Opens its gates, closes everything, and fails the test where a request was malformed.
  ~ScriptedUpstream();
  ScriptedUpstream(const ScriptedUpstream&) = delete;
  ScriptedUpstream& operator=(const ScriptedUpstream&) = delete;

  Endpoint endpoint() const { return {"127.0.0.1", port_, {}}; }
  std::string url() const { return endpoint().url(); }
  /// For requests that come from now on.
  void answer(Handler handler);
  /// For requests whose target begins with `prefix`; the longest wins over the others and over the general one.
  void answer(const std::string& prefix, Handler handler);
  /// A gate that opens by itself when the upstream goes, so that no handler hangs after a failed test.
  Gate& gate();

  /// Requests so far (heads; bodies are as far as they have been read), in order of arrival.
  std::vector<ReceivedRequest> requests() const;
  std::vector<ReceivedRequest> requests(std::string_view target) const;
  std::size_t count() const;
  std::size_t count(std::string_view target) const;
  /// False where fewer came in time.
  bool wait_for_requests(std::size_t n, Deadline deadline = {}) const;
  bool wait_for_requests(std::string_view target, std::size_t n, Deadline deadline = {}) const;
  /// Connections accepted so far, and those open now.
  int connections() const;
  int open_connections() const;
  bool wait_for_open_connections(int n, Deadline deadline = {}) const;

  /// Refuses connections (and closes those it has) until start(); the port stays its own.
  void stop();
  void start();
  /// Closes the connections that wait for a next request, as a server's keep-alive timeout does.
  void close_idle();

  /// What was wrong with requests so far, and forgets it: for tests of this class.
  std::vector<std::string> take_violations();
  /// Connections may begin with anything; `take` gets each as it comes, before any reading, and owns its course.
  void answer_connections(std::function<void(Stream&)> take);

 private:
  friend class Exchange;
  struct Connection;
  void accept_all();
  void serve(Connection& connection);
  bool serve_one(Connection& connection, int number);
  Handler handler_for(const std::string& target) const;
  void violation(const std::string& what);
  void changed() const;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Handler handler_;
  std::map<std::string, Handler> by_prefix_;
  std::function<void(Stream&)> take_;
  std::vector<std::shared_ptr<ReceivedRequest>> requests_;
  std::vector<std::string> violations_;
  std::deque<Gate> gates_;
  std::deque<std::unique_ptr<Connection>> connections_;
  std::uint16_t port_ = 0;
  Fd listener_;
  std::thread acceptor_;
};

/// A port of 127.0.0.1 that refuses connections, kept from everyone else.
class RefusingPort {
 public:
  RefusingPort() : fd_(bind_loopback(0, -1)) {}
  Endpoint endpoint() const { return {"127.0.0.1", port_of(fd_), {}}; }

 private:
  Fd fd_;
};

/// A port that neither accepts nor refuses: its queue is full, so that connecting takes for ever.
class SilentPort {
 public:
  SilentPort();
  Endpoint endpoint() const { return {"127.0.0.1", port_of(fd_), {}}; }

 private:
  Fd fd_;
  std::vector<Fd> fillers_;
};

}  // namespace pillion::support
