// Ranges from a stored complete response (RFC 9110 13.1.5, 14, 15.3.7, 15.5.17; RFC 9111 3.3, 3.4).
#include "integration.hpp"

namespace {

const std::string alphabet = "abcdefghijklmnopqrstuvwxyz";
const std::string modified = "Sun, 06 Nov 1994 08:49:37 GMT";

Fields alphabet_fields(const std::string& control = "max-age=60") {
  return caching(control, {{"Content-Type", "text/own"}, {"ETag", "\"v1\""}, {"Last-Modified", modified}});
}

/// An upstream with the alphabet, which must not be asked for what is stored.
Handler whole_alphabet() {
  return [](Exchange& exchange) { exchange.respond(200, alphabet_fields(), alphabet); };
}

struct Part {
  std::string content_range, content_type, body;
};

/// The parts of a multipart/byteranges body (RFC 9110 14.6; RFC 2046 5.1), read strictly.
std::vector<Part> parts(const Response& response) {
  std::string type = response["Content-Type"];
  const std::string prefix = "multipart/byteranges; boundary=";
  REQUIRE(type.starts_with(prefix));
  std::string boundary = type.substr(prefix.size());
  if (boundary.starts_with("\"")) boundary = boundary.substr(1, boundary.size() - 2);
  std::string body = "\r\n" + response.body;
  const std::string line = "\r\n--" + boundary;
  std::vector<Part> out;
  auto at = body.find(line);
  while (at != std::string::npos) {
    at += line.size();
    if (body.compare(at, 2, "--") == 0) return out;
    auto end = body.find(line, at);
    REQUIRE(end != std::string::npos);
    std::string part = body.substr(at, end - at);
    auto blank = part.find("\r\n\r\n");
    REQUIRE(blank != std::string::npos);
    Head head = Head::parse("part" + part.substr(0, blank + 4));
    out.push_back({head.fields["Content-Range"], head.fields["Content-Type"], part.substr(blank + 4)});
    at = end;
  }
  FAIL("no closing boundary");
  return out;
}

}  // namespace

TEST_CASE("range: one range of a stored response, in each of its forms") {
  ScriptedUpstream upstream(whole_alphabet());
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  struct Row {
    std::string range;
    int status;
    std::string body, content_range;
  };
  const Row rows[] = {
      {"bytes=0-4", 206, "abcde", "bytes 0-4/26"},
      {"bytes=5-5", 206, "f", "bytes 5-5/26"},
      {"bytes=0-25", 206, alphabet, "bytes 0-25/26"},
      {"bytes=20-100", 206, "uvwxyz", "bytes 20-25/26"},
      {"bytes=20-", 206, "uvwxyz", "bytes 20-25/26"},
      {"bytes=0-", 206, alphabet, "bytes 0-25/26"},
      {"bytes=25-", 206, "z", "bytes 25-25/26"},
      {"bytes=-3", 206, "xyz", "bytes 23-25/26"},
      {"bytes=-100", 206, alphabet, "bytes 0-25/26"},
      {"Bytes=0-4", 206, "abcde", "bytes 0-4/26"},
      {"bytes=0-99999999999999999999", 206, alphabet, "bytes 0-25/26"},
      {"bytes=26-", 416, "", "bytes */26"},
      {"bytes=100-200", 416, "", "bytes */26"},
      {"bytes=-0", 416, "", "bytes */26"},
      {"bytes=30-40, 50-", 416, "", "bytes */26"},
      {"bytes=5-2", 200, alphabet, ""},
      {"bytes=", 200, alphabet, ""},
      {"bytes=a-b", 200, alphabet, ""},
      {"bytes=1", 200, alphabet, ""},
      {"bytes=-", 200, alphabet, ""},
      {"bytes=--1", 200, alphabet, ""},
      {"bytes=0-1,x", 200, alphabet, ""},
      {"bytes=0-1;2-3", 200, alphabet, ""},
      {"bytes 0-1", 200, alphabet, ""},
      {"0-1", 200, alphabet, ""},
      {"letters=0-1", 200, alphabet, ""},
      {"", 200, alphabet, ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.range);
    Response response = proxy.get("/", {{"Range", row.range}});
    CHECK(response.status == row.status);
    CHECK(response.complete);
    CHECK(cache_status(response).hit);
    CHECK(response["Content-Range"] == row.content_range);
    if (row.status == 416) continue;
    CHECK(response.body == row.body);
    CHECK(response["Content-Length"] == std::to_string(row.body.size()));
    CHECK(response["Content-Type"] == "text/own");
    CHECK(response["ETag"] == "\"v1\"");
    CHECK(response["Cache-Control"] == "max-age=60");
    CHECK(response["Accept-Ranges"] == "bytes");
    CHECK(response.fields.count("Date") == 1);
    CHECK(response.fields.count("Age") == 1);
  }
  CHECK(upstream.count() == 1);
}

TEST_CASE("range: several ranges come as multipart/byteranges") {
  ScriptedUpstream upstream(whole_alphabet());
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  Response response = proxy.get("/", {{"Range", "bytes=0-1, 10-12,-2"}});
  CHECK(response.status == 206);
  CHECK_FALSE(response.fields.has("Content-Range"));
  CHECK(response["Content-Length"] == std::to_string(response.body.size()));
  CHECK(response["ETag"] == "\"v1\"");
  auto found = parts(response);
  REQUIRE(found.size() == 3);
  const Part expected[] = {
      {"bytes 0-1/26", "text/own", "ab"}, {"bytes 10-12/26", "text/own", "klm"}, {"bytes 24-25/26", "text/own", "yz"}};
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(found[i].content_range == expected[i].content_range);
    CHECK(found[i].content_type == expected[i].content_type);
    CHECK(found[i].body == expected[i].body);
  }
  CHECK(upstream.count() == 1);
}

TEST_CASE("range: of several ranges those that can't be satisfied are left out") {
  ScriptedUpstream upstream(whole_alphabet());
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  Response response = proxy.get("/", {{"Range", "bytes=0-1,100-200"}});
  CHECK(response.status == 206);
  if (response.fields.has("Content-Range")) {
    CHECK(response["Content-Range"] == "bytes 0-1/26");
    CHECK(response.body == "ab");
  } else {
    auto found = parts(response);
    REQUIRE(found.size() == 1);
    CHECK(found[0].body == "ab");
  }
}

TEST_CASE("range: many or overlapping ranges don't make more of a response than it is") {
  std::string large(100000, 'x');
  ScriptedUpstream upstream(cacheable(large));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  std::string all = "bytes=0-";
  for (int i = 0; i < 1000; ++i) all += ",0-";
  std::string tiny = "bytes=0-0";
  for (int i = 1; i < 1000; ++i) tiny += "," + std::to_string(2 * i) + "-" + std::to_string(2 * i);
  for (const std::string& range : {all, tiny, std::string("bytes=0-50000,10000-60000,20000-99999")}) {
    Response response = proxy.get("/", {{"Range", range}});
    CHECK((response.status == 200 || response.status == 206 || response.status == 416));
    CHECK(response.complete);
    CHECK(response.body.size() <= large.size() + 1000);
  }
  CHECK(proxy.get("/", {{"Range", "bytes=1-2"}}).status == 206);
}

TEST_CASE("range: If-Range must match exactly and strongly, or the whole is sent") {
  ScriptedUpstream upstream(whole_alphabet());
  upstream.answer("/weak", [](Exchange& exchange) {
    exchange.respond(200, caching("max-age=60", {{"ETag", "W/\"v1\""}}), alphabet);
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  proxy.get("/weak");
  struct Row {
    std::string target, if_range;
    int status;
  };
  const Row rows[] = {
      {"/", "\"v1\"", 206},
      {"/", "\"v2\"", 200},
      {"/", "W/\"v1\"", 200},
      {"/", "v1", 200},
      {"/", "*", 200},
      {"/", "\"v1\", \"v2\"", 200},
      {"/", modified, 206},
      {"/", "Mon, 07 Nov 1994 08:49:37 GMT", 200},
      {"/", "Sat, 05 Nov 1994 08:49:37 GMT", 200},
      {"/", "yesterday", 200},
      {"/weak", "W/\"v1\"", 200},
      {"/weak", "\"v1\"", 200},
      {"/weak", modified, 200},
  };
  for (const Row& row : rows) {
    CAPTURE(row.target);
    CAPTURE(row.if_range);
    Response response = proxy.get(row.target, {{"Range", "bytes=0-1"}, {"If-Range", row.if_range}});
    CHECK(response.status == row.status);
    CHECK(response.body == (row.status == 206 ? "ab" : alphabet));
    CHECK(cache_status(response).hit);
  }
  CHECK(proxy.get("/", {{"If-Range", "\"v2\""}}).status == 200);
  CHECK(upstream.count() == 2);
}

TEST_CASE("range: other conditions come first") {
  ScriptedUpstream upstream(whole_alphabet());
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  const Fields range{{"Range", "bytes=0-1"}};
  Fields same = range;
  same.add("If-None-Match", "\"v1\"");
  CHECK(proxy.get("/", same).status == 304);
  Fields other = range;
  other.add("If-None-Match", "\"v2\"");
  CHECK(proxy.get("/", other).status == 206);
  Fields since = range;
  since.add("If-Modified-Since", modified);
  CHECK(proxy.get("/", since).status == 304);
  CHECK(upstream.count() == 1);
}

TEST_CASE("range: HEAD and what isn't a 200 have no ranges") {
  ScriptedUpstream upstream(whole_alphabet());
  upstream.answer("/gone", [](Exchange& exchange) { exchange.respond(410, caching("max-age=60"), alphabet); });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  proxy.get("/gone");
  Response head = proxy.request("HEAD", "/", {{"Range", "bytes=0-1"}});
  CHECK(head.status == 200);
  CHECK(head["Content-Length"] == "26");
  CHECK_FALSE(head.fields.has("Content-Range"));
  for (std::string range : {"bytes=0-1", "bytes=100-"}) {
    Response gone = proxy.get("/gone", {{"Range", range}});
    CHECK(gone.status == 410);
    CHECK(gone.body == alphabet);
    CHECK_FALSE(gone.fields.has("Content-Range"));
  }
  CHECK(upstream.count() == 2);
}

TEST_CASE("range: a response that came in chunks has ranges too") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n" +
                   chunk(alphabet.substr(0, 10)) + chunk(alphabet.substr(10)) + last_chunk());
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  Response response = proxy.get("/", {{"Range", "bytes=8-11"}});
  CHECK(response.status == 206);
  CHECK(response.body == "ijkl");
  CHECK(response["Content-Range"] == "bytes 8-11/26");
}

TEST_CASE("range: of what isn't stored it is asked for from the upstream, as it came, and isn't kept") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    if (!exchange.request().fields.has("Range")) return exchange.respond(200, alphabet_fields(), alphabet);
    Fields fields = alphabet_fields();
    fields.add("Content-Range", "bytes 1-2/26");
    exchange.respond(206, fields, "bc");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::size_t i = 1; i <= 2; ++i) {
    Response part = proxy.get("/", {{"Range", "bytes=1-2"}, {"If-Range", "\"v1\""}});
    CHECK(part.status == 206);
    CHECK(part.body == "bc");
    CHECK(part["Content-Range"] == "bytes 1-2/26");
    CHECK_FALSE(cache_status(part).hit);
    CHECK_FALSE(cache_status(part).stored);
    REQUIRE(upstream.count() == i);
    CHECK(upstream.requests()[i - 1].fields["Range"] == "bytes=1-2");
    CHECK(upstream.requests()[i - 1].fields["If-Range"] == "\"v1\"");
  }
  CHECK(proxy.get("/").body == alphabet);
  CHECK(upstream.count() == 3);
}

TEST_CASE("range: of what is stale it is a range of what the upstream confirms") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    const Fields& fields = exchange.request().fields;
    if (fields["If-None-Match"] == "\"v1\"") return exchange.respond(304, alphabet_fields());
    if (fields.has("Range")) {
      Fields part = alphabet_fields();
      part.add("Content-Range", "bytes 1-2/26");
      return exchange.respond(206, part, "bc");
    }
    Fields stale = alphabet_fields("max-age=10");
    stale.add("Age", "20");
    exchange.respond(200, stale, alphabet);
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  Response part = proxy.get("/", {{"Range", "bytes=1-2"}});
  CHECK(part.status == 206);
  CHECK(part.body == "bc");
  CHECK(part["Content-Range"] == "bytes 1-2/26");
  CHECK(upstream.count() == 2);
  Response whole = proxy.get("/");
  CHECK(whole.status == 200);
  CHECK(whole.body == alphabet);
}
