// Heads written anew: what goes to the upstream and what is kept of its answer.
#include "flow/compose.hpp"

#include <doctest/doctest.h>

#include "unit/core/message_builder.hpp"

using namespace pillion;
using test::Lines;

namespace {

struct Setup {
  CompiledRoute route;
  config::Upstream upstream;
  RequestHead head;
  RequestToSend to_send;

  std::string compose(const Lines& lines) {
    head.method_name = "GET";
    head.target = head.path = "/x";
    head.host = "client.example";
    head.scheme = "http";
    head.fields = lines;
    upstream.authority = "app:8000";
    to_send.head = &head;
    to_send.route = &route;
    to_send.upstream = &upstream;
    to_send.target = "/x";
    to_send.peer_address = "192.0.2.1";
    to_send.request_id = "id";
    return compose_request(to_send);
  }
};

bool has(const std::string& text, std::string_view line) {
  return text.find("\r\n" + std::string(line) + "\r\n") != std::string::npos;
}
bool has_name(const std::string& text, std::string_view name) {
  return text.find("\r\n" + std::string(name) + ":") != std::string::npos;
}

}  // namespace

TEST_CASE("hop-by-hop fields and those that Connection names don't reach the upstream") {
  Setup setup;
  const Lines lines(
      "Host: client.example\nConnection: keep-alive, X-Private\nX-Private: 1\nKeep-Alive: timeout=5\nProxy-Connection: "
      "x\nTE: trailers\n"
      "Transfer-Encoding: chunked\nUpgrade: h2c\nContent-Length: 9\nX-Kept: 1");
  const std::string text = setup.compose(lines);
  for (const char* name :
       {"X-Private", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Content-Length"}) {
    CAPTURE(name);
    CHECK_FALSE(has_name(text, name));
  }
  CHECK(has(text, "X-Kept: 1"));
  // That trailers are welcome is this proxy's own offer to the next hop.
  CHECK(has(text, "TE: trailers"));
  CHECK(has(text, "Connection: TE"));
  CHECK(text.starts_with("GET /x HTTP/1.1\r\nHost: client.example\r\n"));
  CHECK(text.ends_with("\r\n\r\n"));
}

TEST_CASE("the peer's address is appended, scheme and host are said, unless the route says otherwise") {
  Setup setup;
  const Lines lines(
      "X-Forwarded-For: 10.0.0.1\nX-Forwarded-For: 10.0.0.2\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil");
  std::string text = setup.compose(lines);
  CHECK(has(text, "X-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.1"));
  CHECK(has(text, "X-Forwarded-Proto: http"));
  CHECK(has(text, "X-Forwarded-Host: client.example"));
  CHECK(has(text, "Via: 1.1 pillion"));
  setup.route.settings.forwarded = false;
  text = setup.compose(lines);
  CHECK(has(text, "X-Forwarded-Proto: https"));
  CHECK(has(text, "X-Forwarded-Host: evil"));
  CHECK_FALSE(has_name(text, "Via"));
}

TEST_CASE("a fetch that is shared leaves the client's conditions, ranges and unkeyed cookies behind") {
  Setup setup;
  setup.to_send.shared = true;
  setup.route.settings.personal_cookies = config::Personal::key;
  setup.route.settings.personal_cookie_names = {"lang"};
  setup.route.settings.personal_authorization = config::Personal::ignore;
  const Lines lines(
      "If-None-Match: \"a\"\nIf-Modified-Since: x\nRange: bytes=0-1\nIf-Range: \"a\"\nCookie: session=1; lang=de; "
      "x=y\nAuthorization: secret");
  const std::string text = setup.compose(lines);
  for (const char* name : {"If-None-Match", "If-Modified-Since", "Range", "If-Range", "Authorization"}) {
    CAPTURE(name);
    CHECK_FALSE(has_name(text, name));
  }
  CHECK(has(text, "Cookie: lang=de"));
  setup.to_send.shared = false;
  const std::string passed = setup.compose(lines);
  CHECK(has(passed, "Cookie: session=1; lang=de; x=y"));
  CHECK(has(passed, "Range: bytes=0-1"));
}

TEST_CASE("a request's Cache-Control goes on to the upstream, as it came (RFC 9111 5.2)") {
  for (const bool shared : {false, true}) {
    CAPTURE(shared);
    Setup setup;
    setup.to_send.shared = shared;
    const std::string text = setup.compose(Lines("Cache-Control: no-cache, x-own=\"1\"\ncache-control: max-age=5"));
    CHECK(has(text, "Cache-Control: no-cache, x-own=\"1\""));
    CHECK(has(text, "cache-control: max-age=5"));
  }
}

TEST_CASE("fields that the upstream's settings give replace the client's") {
  Setup setup;
  setup.upstream.request_headers = {{"Authorization", "token", ""}};
  setup.upstream.send_own_host = true;
  const std::string text = setup.compose(Lines("authorization: mine"));
  CHECK(has(text, "Authorization: token"));
  CHECK(text.find("mine") == std::string::npos);
  CHECK(has(text, "Host: app:8000"));
}

TEST_CASE("an upgrade goes along where it is wanted, h2c never") {
  Setup setup;
  setup.to_send.upgrade = true;
  const std::string text = setup.compose(Lines("Connection: Upgrade\nUpgrade: websocket, h2c"));
  CHECK(has(text, "Connection: upgrade"));
  CHECK(has(text, "Upgrade: websocket"));
}

TEST_CASE("OPTIONS goes one hop less far, other methods take Max-Forwards along as it is") {
  struct Row {
    Method method;
    const char *sent, *composed;
  };
  const Row rows[] = {{Method::options, "1", "0"},
                      {Method::options, "2147483648", "2147483646"},
                      {Method::options, "x", "x"},
                      {Method::get, "1", "1"},
                      {Method::other, "0", "0"}};
  for (const Row& row : rows) {
    CAPTURE(row.sent);
    Setup setup;
    setup.head.method = row.method;
    const std::string line = "Max-Forwards: ";
    CHECK(has(setup.compose(std::string_view(line + row.sent)), line + row.composed));
  }
}

TEST_CASE("a response's head is kept without what concerns one connection, one exchange or this proxy") {
  const Lines lines(
      "Date: d\nConnection: X-Hop\nX-Hop: 1\nAge: 5\nCache-Status: other\nSet-Cookie: a=b\nSurrogate-Key: "
      "k\nCache-Tag: t\nContent-Length: 4\n"
      "Transfer-Encoding: chunked\nETag: \"e\"\nSurrogate-Control: max-age=9");
  std::string stored, passed;
  append_response_head({200, "OK", 1, lines}, true, stored);
  append_response_head({200, "OK", 1, lines}, false, passed);
  CHECK(stored == "HTTP/1.1 200 OK\r\nDate: d\r\nETag: \"e\"\r\nSurrogate-Control: max-age=9\r\n");
  CHECK(passed ==
        "HTTP/1.1 200 OK\r\nDate: d\r\nAge: 5\r\nCache-Status: other\r\nSet-Cookie: a=b\r\nETag: "
        "\"e\"\r\nSurrogate-Control: max-age=9\r\n");
}

TEST_CASE("request ids of clients are kept where they are harmless") {
  CHECK(is_sane_request_id("abc-123_X.y:z/1+2=@"));
  CHECK_FALSE(is_sane_request_id(""));
  CHECK_FALSE(is_sane_request_id("a b"));
  CHECK_FALSE(is_sane_request_id("a\"b"));
  CHECK_FALSE(is_sane_request_id(std::string(129, 'a')));
}
