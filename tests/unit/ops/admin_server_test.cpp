#include "ops/admin_server.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <thread>

#include "cli/http_client.hpp"
#include "fake_control.hpp"
#include "support/files.hpp"
#include "support/json.hpp"
#include "support/socket.hpp"

using namespace pillion;
using support::Json;

namespace {

/// A server on a thread of its own, as the proxy runs it.
struct Running {
  explicit Running(const config::Address& at = {"127.0.0.1", 0, {}}, AdminFlavour flavour = AdminFlavour::full,
                   const config::Config& config = sample_config())
      : control(config), server(context, control, flavour) {
    server.start(at);
    thread = std::thread([this] { context.run(); });
  }
  ~Running() {
    server.stop();
    thread.join();  // nothing is left to do once it is stopped
  }
  support::Stream connect() const { return support::Stream::connect({"127.0.0.1", server.address().port, {}}); }
  cli::HttpAnswer fetch(cli::HttpRequest request) const { return cli::fetch(server.address(), request); }

  FakeControl control;
  boost::asio::io_context context{1};
  AdminServer server;
  std::thread thread;
};

/// The head of one answer; a body of its Content-Length is read and dropped.
std::string read_answer(support::Stream& stream) {
  std::string head = stream.read_until("\r\n\r\n");
  const std::size_t at = head.find("Content-Length: ");
  REQUIRE(at != std::string::npos);
  stream.read_exactly(std::stoul(head.substr(at + 16)));
  return head;
}

}  // namespace

TEST_CASE("requests are answered over TCP, several on one connection") {
  Running running;
  CHECK(running.server.address().port != 0);
  auto stream = running.connect();
  stream.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(read_answer(stream).starts_with("HTTP/1.1 200 OK\r\n"));
  const std::string head = read_answer(stream);
  CHECK(head.find("Content-Type: application/json\r\n") != std::string::npos);
  CHECK(head.find("Cache-Control: no-store\r\n") != std::string::npos);
  stream.write("GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(read_answer(stream).starts_with("HTTP/1.1 404 "));
  CHECK(stream.closes());
}

TEST_CASE("a HEAD has the length of the GET and no body") {
  Running running;
  auto stream = running.connect();
  stream.write("HEAD /readyz HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string head = stream.read_until("\r\n\r\n");
  const std::string get = read_answer(stream);
  CHECK(head == get);
}

TEST_CASE("405 and 401 carry the fields that they must") {
  config::Config secret = sample_config();
  secret.admin.token = "t";
  Running running({"127.0.0.1", 0, {}}, AdminFlavour::full, secret);
  CHECK(running.fetch({"PUT", "/healthz"}).header("Allow") == "GET, HEAD");
  CHECK(running.fetch({"GET", "/stats"}).header("WWW-Authenticate") == "Bearer");
  CHECK(running.fetch({"GET", "/stats", {{"Authorization", "Bearer t"}}}).status == 200);
}

TEST_CASE("an invalidation goes through the socket") {
  Running running;
  const auto answer =
      running.fetch({"POST", "/invalidate", {{"Content-Type", "application/json"}}, R"({"tags":["a"]})"});
  CHECK(answer.status == 200);
  CHECK(Json::parse(answer.body)["position"].string == "17-3");
}

TEST_CASE("a request that fails inside gets 500, and the server goes on") {
  Running running;
  running.control.fails = true;
  const auto answer = running.fetch({"POST", "/invalidate", {{"Content-Type", "application/json"}}, R"({"all":true})"});
  CHECK(answer.status == 500);
  CHECK(Json::parse(answer.body)["error"].string.find("made to fail") != std::string::npos);
  CHECK(running.fetch({"GET", "/healthz"}).status == 200);
}

TEST_CASE("heads, bodies and garbage are bounded, answered and cut off") {
  Running running;
  struct Row {
    std::string bytes;
    const char* status;
  };
  const Row rows[] = {
      {"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + std::string(9000, 'a') + "\r\n\r\n", "431"},
      {"POST /invalidate HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", "413"},
      {"\x16\x03\x01 garbage\r\n\r\n", "400"},
      {"GET /healthz HTTP/1.1\r\nbad name : x\r\n\r\n", "400"},
      {"POST /invalidate HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.bytes.substr(0, 60));
    auto stream = running.connect();
    stream.write(row.bytes);
    CHECK(read_answer(stream).starts_with(std::string("HTTP/1.1 ") + row.status));
    stream.shutdown_write();
    CHECK(stream.closes());
  }
}

TEST_CASE("one that hangs up in the middle harms nobody") {
  Running running;
  for (const char* bytes : {"", "GET /hea", "POST /invalidate HTTP/1.1\r\nContent-Length: 10\r\n\r\n{"}) {
    auto stream = running.connect();
    stream.write(bytes);
    stream.reset();
  }
  CHECK(running.fetch({"GET", "/healthz"}).status == 200);
}

TEST_CASE("the sixty-fifth connection waits until one of the others ends") {
  Running running;
  std::vector<support::Stream> open;
  for (int i = 0; i < 64; ++i) {
    open.push_back(running.connect());
    open.back().write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    read_answer(open.back());
  }
  auto late = running.connect();
  late.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(late.stays_silent(support::Milliseconds(100)));
  open.front().close();
  CHECK(read_answer(late).starts_with("HTTP/1.1 200"));
}

TEST_CASE("the metrics flavour keeps the rest to itself") {
  Running running({"127.0.0.1", 0, {}}, AdminFlavour::metrics);
  CHECK(running.fetch({"GET", "/metrics"}).status == 200);
  CHECK(running.fetch({"GET", "/config"}).status == 404);
}

TEST_CASE("a Unix socket serves, replaces a dead one, and is gone at the end") {
  support::TempDir folder;
  const config::Address address{"", 0, folder / "admin.sock"};
  {
    // A socket file that nobody serves, as a process that was killed leaves it.
    boost::asio::io_context context;
    boost::asio::local::stream_protocol::acceptor dead(context, address.unix_path);
  }
  {
    Running running(address);
    CHECK(running.server.address() == address);
    CHECK(running.fetch({"GET", "/healthz"}).status == 200);
    struct stat status{};
    REQUIRE(::stat(address.unix_path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0660);

    FakeControl control;
    boost::asio::io_context context;
    AdminServer second(context, control, AdminFlavour::full);
    CHECK_THROWS_AS(second.start(address), std::runtime_error);
    context.run();
    CHECK(running.fetch({"GET", "/healthz"}).status == 200);
  }
  CHECK(cli::fetch(address, {"GET", "/healthz"}).status == 0);
}

TEST_CASE("an address in use is named in one line") {
  Running running;
  FakeControl control;
  boost::asio::io_context context;
  AdminServer second(context, control, AdminFlavour::full);
  try {
    second.start(running.server.address());
    FAIL("the same port twice");
  } catch (const std::runtime_error& e) {
    CHECK(std::string(e.what()) == running.server.address().to_string() + ": Address already in use");
  }
  CHECK_THROWS_AS(second.start({"no-such-host.invalid", 1, {}}), std::runtime_error);
}

TEST_CASE("an answer of many pieces comes in chunks, and the connection goes on") {
  Running running;
  const std::string body = R"({"urls": ["/a", "/b"]})";
  const std::string post = "POST /warm HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " +
                           std::to_string(body.size()) + "\r\n\r\n" + body;
  auto stream = running.connect();
  stream.write(post + "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string head = stream.read_until("\r\n\r\n");
  CHECK(head.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(head.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
  CHECK(head.find("Content-Length") == std::string::npos);
  const std::string rest = stream.read_until("0\r\n\r\n");
  CHECK(rest.find("{\"url\":\"/a\"") < rest.find("{\"url\":\"/b\""));
  CHECK(read_answer(stream).starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("an answer of many pieces to HTTP/1.0 ends with its connection") {
  Running running;
  const std::string body = R"({"urls": ["/a"]})";
  auto stream = running.connect();
  stream.write("POST /warm HTTP/1.0\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\n\r\n" + body);
  const std::string head = stream.read_until("\r\n\r\n");
  CHECK(head.find("Transfer-Encoding") == std::string::npos);
  CHECK(stream.read_until("\n").starts_with("{\"url\":\"/a\""));
  CHECK(stream.closes());
}
