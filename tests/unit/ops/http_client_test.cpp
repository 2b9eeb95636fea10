#include "cli/http_client.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "support/socket.hpp"

using namespace pillion;
using namespace pillion::cli;

namespace {

/// What fetch() makes of a server that sends these bytes and closes.
HttpAnswer answer_to(const std::string& bytes, std::string* request = nullptr) {
  support::Fd listener = support::bind_loopback(0, 1);
  const config::Address address{"127.0.0.1", support::port_of(listener), {}};
  std::thread server([&] {
    support::Stream stream(support::accept_from(listener));
    const std::string head = stream.read_until("\r\n\r\n");
    if (request) *request = head;
    stream.write(bytes);
  });
  const HttpAnswer answer = fetch(address, {"GET", "/x", {{"A", "b"}}, "", std::chrono::milliseconds(5000)});
  server.join();
  return answer;
}

}  // namespace

TEST_CASE("addresses of servers are read, and anything else is refused") {
  struct Row {
    const char* url;
    const char* address;
  };
  for (const Row& row : {Row{"http://127.0.0.1:9901", "127.0.0.1:9901"}, Row{"http://localhost", "localhost:80"},
                         Row{"http://[::1]:81/", "[::1]:81"}, Row{"unix:/run/p.sock", "unix:/run/p.sock"},
                         Row{"unix:///run/p.sock", "unix:/run/p.sock"}}) {
    CAPTURE(std::string(row.url));
    const ParsedUrl parsed = parse_server_url(row.url);
    CHECK(parsed.error.empty());
    CHECK(parsed.address.to_string() == row.address);
  }
  for (const char* url : {"", "127.0.0.1:9901", "https://h", "http://", "http://h:0", "http://h:99999", "http://h/x",
                          "http://u@h", "http://h?x", "unix:", "unix:x", "http://h:x", "http:// h", "ftp://h"}) {
    CAPTURE(std::string(url));
    const ParsedUrl parsed = parse_server_url(url);
    CHECK_FALSE(parsed.error.empty());
    CHECK_FALSE(parsed.address.is_set());
  }
}

TEST_CASE("an answer comes back with status, fields and body") {
  std::string request;
  const HttpAnswer answer =
      answer_to("HTTP/1.1 503 No\r\nX-Two: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", &request);
  CHECK(answer.status == 503);
  CHECK(answer.header("x-two") == "a");
  CHECK(answer.header("none").empty());
  CHECK(answer.body == "abc");
  CHECK(request.starts_with("GET /x HTTP/1.1\r\n"));
  CHECK(request.find("\r\nA: b\r\n") != std::string::npos);
}

TEST_CASE("an answer that is cut off or garbage is an error that names the address") {
  for (const char* bytes : {"", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "garbage\r\n\r\n"}) {
    CAPTURE(std::string(bytes));
    const HttpAnswer answer = answer_to(bytes);
    CHECK(answer.status == 0);
    CHECK(answer.error.find("127.0.0.1:") == 0);
  }
}

TEST_CASE("a server that refuses or never answers is an error within the time limit") {
  const support::Fd refusing = support::bind_loopback(0, -1);
  CHECK(fetch({"127.0.0.1", support::port_of(refusing), {}}, {}).error.find("refused") != std::string::npos);
  const support::Fd silent = support::bind_loopback(0, 1);
  HttpRequest request;
  request.time_limit = std::chrono::milliseconds(50);
  CHECK(fetch({"127.0.0.1", support::port_of(silent), {}}, request).error.find("within 50 ms") != std::string::npos);
  CHECK(fetch({"", 0, "/no/such/socket"}, {}).status == 0);
  CHECK(fetch({"", 0, "/" + std::string(200, 'x')}, {}).status == 0);
}

TEST_CASE("a body is given piece by piece where that is asked for, that of a refusal comes as ever") {
  for (const bool good : {true, false}) {
    CAPTURE(good);
    support::Fd listener = support::bind_loopback(0, 1);
    const config::Address address{"127.0.0.1", support::port_of(listener), {}};
    std::thread server([&] {
      support::Stream stream(support::accept_from(listener));
      stream.read_until("\r\n\r\n");
      stream.write(std::string("HTTP/1.1 ") + (good ? "200 OK" : "400 No") +
                   "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    });
    std::string pieces;
    HttpRequest request;
    request.on_body = [&](std::string_view piece) { pieces += piece; };
    const HttpAnswer answer = fetch(address, request);
    server.join();
    CHECK(answer.status == (good ? 200 : 400));
    CHECK(pieces == (good ? "abcde" : ""));
    CHECK(answer.body == (good ? "" : "abcde"));
  }
}
