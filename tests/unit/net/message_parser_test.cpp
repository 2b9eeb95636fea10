// Parsing of messages: what is taken, what is refused, whatever the reads look like.
#include "net/message_parser.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace pillion;

namespace {

struct Parsed {
  ParseError error = ParseError::none;
  Framing framing = Framing::none;
  std::string body;
  bool complete = false;
  std::size_t fields = 0;
};

// Head in one piece, then the body in pieces of `step` bytes.
template <typename Parser>
Parsed parse(std::string_view message, std::size_t step = 1 << 20, ParserLimits limits = {}, bool no_body = false) {
  Parsed result;
  std::size_t from = 0;
  const std::size_t size = find_head_end(message, from);
  if (size == 0 || size == std::string_view::npos) {
    result.error = ParseError::syntax;
    return result;
  }
  const std::string head(message.substr(0, size));
  std::vector<Field> fields;
  Parser parser(fields, limits);
  result.error = parser.parse_head(head, no_body);
  result.framing = parser.framing();
  result.fields = fields.size();
  std::string_view rest = message.substr(size);
  std::string buffer;
  while (result.error == ParseError::none && !parser.complete() && !rest.empty()) {
    const std::size_t n = std::min(step, rest.size());
    buffer += rest.substr(0, n);
    rest.remove_prefix(n);
    for (;;) {
      const auto part = parser.decode({buffer.data(), buffer.size()});
      result.body.append(buffer.data(), part.size);
      result.error = part.error;
      buffer.erase(0, part.consumed);
      if (part.consumed == 0 || part.error != ParseError::none || parser.complete() || buffer.empty()) break;
    }
  }
  result.complete = parser.complete();
  return result;
}

}  // namespace

TEST_CASE("requests that leave their length in doubt are refused") {
  struct Row {
    const char* fields;
    ParseError error;
  };
  const Row rows[] = {
      {"Content-Length: 3\r\n", ParseError::none},
      {"Content-Length: 3\r\nContent-Length: 3\r\n", ParseError::none},
      {"Content-Length: 3\r\nContent-Length: 4\r\n", ParseError::framing},
      {"Content-Length: 3, 4\r\n", ParseError::framing},
      {"Content-Length: +3\r\n", ParseError::framing},
      {"Content-Length: -3\r\n", ParseError::framing},
      {"Content-Length: 0x3\r\n", ParseError::framing},
      {"Content-Length: 3 3\r\n", ParseError::framing},
      {"Content-Length:\r\n", ParseError::framing},
      {"Content-Length: 18446744073709551616\r\n", ParseError::framing},
      {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", ParseError::framing},
      {"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", ParseError::framing},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ParseError::framing},
      {"Transfer-Encoding: gzip, chunked\r\n", ParseError::transfer_coding},
      {"Transfer-Encoding: identity\r\n", ParseError::transfer_coding},
      {"Transfer-Encoding: chunked, identity\r\n", ParseError::transfer_coding},
      {"Transfer-Encoding: xchunked\r\n", ParseError::transfer_coding},
      {"Transfer-Encoding: chunked\r\n", ParseError::none},
      {"Transfer-Encoding: Chunked\r\n", ParseError::none},
  };
  for (const Row& row : rows) {
    CAPTURE(row.fields);
    const std::string message = "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(row.fields) + "\r\n";
    CHECK(parse<RequestParser>(message).error == row.error);
  }
  CHECK(parse<RequestParser>("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").error == ParseError::framing);
}

TEST_CASE("heads that are not exactly HTTP are refused") {
  const std::string rows[] = {
      "GET / HTTP/1.1\r\nHost : a\r\n\r\n",   "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
      "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n",
      "GET / HTTP/1.1\r\nA:\r\n b\r\n\r\n",   "GET / HTTP/1.1\r\nA: b\r\n \r\n\r\n",
      "GET / HTTP/1.1\r\nA(: b\r\n\r\n",      "GET / HTTP/1.1\r\n: b\r\n\r\n",
      "GET / HTTP/1.1\r\nAb\r\n\r\n",         std::string("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", 26),
      "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",    "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
      "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
      "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",    "GET /\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",   "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
  };
  for (const std::string& row : rows) {
    CAPTURE(row);
    const ParseError error = parse<RequestParser>(row).error;
    CHECK(error != ParseError::none);
  }
  CHECK(parse<RequestParser>("GET / HTTP/2.0\r\nHost: a\r\n\r\n").error == ParseError::version);
  CHECK(parse<RequestParser>("GET / HTTP/1.2\r\nHost: a\r\n\r\n").error == ParseError::version);
}

TEST_CASE("fields are bounded in number") {
  std::string message = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 10; ++i) message += "A: b\r\n";
  ParserLimits limits;
  limits.fields = 10;
  CHECK(parse<RequestParser>(message + "\r\n", 1 << 20, limits).error == ParseError::none);
  limits.fields = 9;
  CHECK(parse<RequestParser>(message + "\r\n", 1 << 20, limits).error == ParseError::too_many_fields);
}

TEST_CASE("a chunked body comes out the same however it is split") {
  const std::string message =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=\"v\"\r\n world\r\n0\r\nX: "
      "y\r\n\r\n";
  for (std::size_t step = 1; step < message.size(); ++step) {
    CAPTURE(step);
    const Parsed parsed = parse<RequestParser>(message, step);
    CHECK(parsed.error == ParseError::none);
    CHECK(parsed.complete);
    CHECK(parsed.body == "hello world");
  }
}

TEST_CASE("chunks that are not exactly framed are refused, and not taken for complete") {
  for (const char* body :
       {"5\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "g\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n", "11111111111111111\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\nbad line\r\n\r\n"}) {
    CAPTURE(body);
    const Parsed parsed =
        parse<RequestParser>(std::string("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n") + body);
    CHECK(parsed.error != ParseError::none);
    CHECK_FALSE(parsed.complete);
  }
}

TEST_CASE("chunk extensions and trailers are bounded") {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  ParserLimits limits;
  limits.chunk_extensions = 10;
  CHECK(parse<RequestParser>(head + "1;abcdefgh\r\nx\r\n0\r\n\r\n", 99, limits).error == ParseError::none);
  CHECK(parse<RequestParser>(head + "1;abcdefgh\r\nx\r\n1;abcd\r\nx\r\n0\r\n\r\n", 99, limits).error ==
        ParseError::chunk_extensions);
  limits.trailers = 10;
  CHECK(parse<RequestParser>(head + "0\r\nA: b\r\n\r\n", 99, limits).error == ParseError::none);
  CHECK(parse<RequestParser>(head + "0\r\nA: bbbbbbbbbb\r\n\r\n", 99, limits).error == ParseError::trailers);
}

TEST_CASE("how a response's body is delimited") {
  struct Row {
    const char* head;
    Framing framing;
    bool no_body;
  };
  const Row rows[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::length, false},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::none, true},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Framing::chunked, false},
      {"HTTP/1.1 200 OK\r\n\r\n", Framing::until_close, false},
      {"HTTP/1.1 204 No Content\r\n\r\n", Framing::none, false},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Framing::none, false},
      {"HTTP/1.1 100 Continue\r\n\r\n", Framing::none, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.head);
    const Parsed parsed = parse<ResponseParser>(row.head, 1 << 20, {}, row.no_body);
    CHECK(parsed.error == ParseError::none);
    CHECK(parsed.framing == row.framing);
  }
  CHECK(parse<ResponseParser>("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").error == ParseError::framing);
  CHECK(parse<ResponseParser>("HTTP/1.1 2x0 OK\r\n\r\n").error != ParseError::none);
}

TEST_CASE("where a head ends") {
  std::size_t from = 0;
  CHECK(find_head_end("GET / HTTP/1.1\r\nA: b\r\n\r\nrest", from) == 24);
  from = 0;
  CHECK(find_head_end("GET / HTTP/1.1\r\nA: b\r\n", from) == 0);
  from = 0;
  CHECK(find_head_end("GET / HTTP/1.1\nA: b\r\n\r\n", from) == std::string_view::npos);
  const std::string head = "GET / HTTP/1.1\r\nA: b\r\n\r\n";
  from = 0;
  for (std::size_t n = 1; n < head.size(); ++n) CHECK(find_head_end({head.data(), n}, from) == 0);
  CHECK(find_head_end(head, from) == head.size());
}
