// Max-Forwards (RFC 9110 7.6.2): OPTIONS goes so many proxies far and no further.
#include "integration.hpp"

namespace {

constexpr const char* allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The lines of that name as the upstream got them, one text.
std::string forwarded(const ScriptedUpstream& upstream) {
  std::string lines;
  const ReceivedRequest last = upstream.requests().back();
  for (const auto& [name, value] : last.fields) {
    if (lower(name) == "max-forwards") lines += (lines.empty() ? "" : "|") + value;
  }
  return lines;
}

}  // namespace

TEST_CASE("max-forwards: OPTIONS with 0 is answered by the proxy, and the connection goes on") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  for (const char* target : {"*", "/thing", "http://app.test/thing", "http://app.test"}) {
    for (const char* zero : {"0", "000", " 0 "}) {
      CAPTURE(target);
      CAPTURE(zero);
      client.send_request("OPTIONS", target, {{"Max-Forwards", zero}});
      const Response response = client.read_response("OPTIONS");
      CHECK(response.status == 200);
      CHECK(response["Allow"] == allowed);
      CHECK(response["Content-Length"] == "0");
      CHECK(response.fields.has("Date"));
      CHECK_FALSE(response.fields.has("Cache-Status"));
      CHECK(response.body.empty());
    }
  }
  CHECK(upstream.count() == 0);
  CHECK(client.get("/after").status == 200);
  const Json line = Json::parse(proxy.process().wait_for_out_line("\"OPTIONS\""));
  CHECK(line["status"].number == 200);
  CHECK(line["result"].string == "pass");
  CHECK(proxy.metric("pillion_limits_total{limit=\"bad_request\"}") == 0);
}

TEST_CASE("max-forwards: a body that nobody reads ends the connection behind the answer") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send_request("OPTIONS", "/", {{"Max-Forwards", "0"}}, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
  const Response response = client.read_response("OPTIONS");
  CHECK(response.status == 200);
  CHECK(lower(response["Connection"]) == "close");
  CHECK(client.stream().read_to_end().empty());
  CHECK(upstream.count() == 0);
}

TEST_CASE("max-forwards: OPTIONS goes on with one hop less; what is no number goes on as it is") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  struct Row {
    const char *sent, *received;
  };
  const Row rows[] = {{"1", "0"},
                      {"10", "9"},
                      {"007", "6"},
                      {"2147483647", "2147483646"},
                      {"2147483648", "2147483646"},
                      {"99999999999999999999999999999999", "2147483646"},
                      {"-1", "-1"},
                      {"+1", "+1"},
                      {"1.5", "1.5"},
                      {"0x1", "0x1"},
                      {"0, 0", "0, 0"},
                      {"many", "many"},
                      {"", ""}};
  for (const Row& row : rows) {
    CAPTURE(row.sent);
    CHECK(proxy.request("OPTIONS", "/thing", {{"Max-Forwards", row.sent}}).status == 200);
    CHECK(forwarded(upstream) == row.received);
  }
  CHECK(proxy.request("OPTIONS", "*", {{"Max-Forwards", "3"}}).status == 200);
  CHECK(forwarded(upstream) == "2");
  proxy.request("OPTIONS", "/", {{"Max-Forwards", "3"}, {"Max-Forwards", "5"}});
  CHECK(forwarded(upstream) == "2|4");
  const std::size_t before = upstream.count();
  CHECK(proxy.request("OPTIONS", "/", {{"Max-Forwards", "3"}, {"Max-Forwards", "0"}})["Allow"] == allowed);
  CHECK(upstream.count() == before);
}

TEST_CASE("max-forwards: it is nothing to other methods") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  for (const char* method : {"GET", "HEAD", "POST", "DELETE", "PROPFIND"}) {
    for (const char* value : {"0", "7"}) {
      CAPTURE(method);
      CHECK(proxy.request(method, "/" + std::string(method) + value, {{"Max-Forwards", value}}).status == 200);
      CHECK(forwarded(upstream) == value);
    }
  }
  CHECK(proxy.request("TRACE", "/", {{"Max-Forwards", "0"}}).status == 405);
}
