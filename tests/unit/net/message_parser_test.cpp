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
      {"Content-Length: 3, 3\r\nContent-Length: 3\r\n", ParseError::none},
      {"Content-Length: 3,\r\n", ParseError::framing},
      {"Content-Length: ,3\r\n", ParseError::framing},
      {"Content-Length: 3,,3\r\n", ParseError::framing},
      {"Content-Length: 18446744073709551615\r\n", ParseError::none},
      {"Content-Length: 3\r\nTransfer-Encoding: gzip\r\n", ParseError::framing},
      {"Transfer-Encoding: gzip\r\nContent-Length: 3\r\n", ParseError::framing},
      {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", ParseError::framing},
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

TEST_CASE("what may stand in a head, byte by byte") {
  // At every distance from the end of the head, so that what is looked at 16 bytes at a time and what is looked at one
  // by one take the same.
  for (std::size_t fill : {0u, 1u, 14u, 15u, 16u, 17u, 31u, 40u}) {
    CAPTURE(fill);
    const std::string after = fill == 0 ? "" : "F: " + std::string(fill, 'f') + "\r\n";
    for (int byte = 0; byte < 256; ++byte) {
      CAPTURE(byte);
      const std::string c(1, static_cast<char>(byte));
      const auto takes = [&](const std::string& head) {
        return parse<RequestParser>(head + after + "\r\n").error == ParseError::none;
      };
      const bool token = is_token(c), control = byte < 0x20 || byte == 0x7f;
      CHECK(takes("G" + c + "T / HTTP/1.1\r\n") == token);
      CHECK(takes("GET /" + c + "a HTTP/1.1\r\n") == !(control || c == " "));
      CHECK(takes("GET / HTTP/1.1\r\nA" + c + "A: b\r\n") == (token || c == ":"));
      CHECK(takes("GET / HTTP/1.1\r\nA: b" + c + "b\r\n") == (!control || c == "\t"));
      CHECK(takes("GET / HTTP/1.1\r\nAbcdefgh-Abcdefgh" + c + "Abcdefgh-Abcdefgh: b\r\n") == (token || c == ":"));
      CHECK(takes("GET / HTTP/1.1\r\nA: a value of some length " + c + " b\r\n") == (!control || c == "\t"));
      const auto status = [&](const std::string& line) {
        return parse<ResponseParser>(line + after + "\r\n").error == ParseError::none;
      };
      CHECK(status("HTTP/1.1 200 O" + c + "K\r\n") == (!control || c == "\t"));
      CHECK(status("HTTP/1.1 2" + c + "0 OK\r\n") == (byte >= '0' && byte <= '9'));
      CHECK(status("HTTP/1." + c + " 200 OK\r\n") == (c == "0" || c == "1"));
    }
  }
}

TEST_CASE("values lose the white space around them, and names keep their case") {
  const std::string head = "GET /?q HTTP/1.1\r\nhOST:\t a.example \t\r\nEmpty:\r\nSpaces: \t \r\nA:b  c\r\n\r\n";
  std::vector<Field> fields;
  RequestParser parser(fields, {});
  REQUIRE(parser.parse_head(head) == ParseError::none);
  CHECK(parser.method() == "GET");
  CHECK(parser.target() == "/?q");
  CHECK(parser.minor() == 1);
  REQUIRE(fields.size() == 4);
  CHECK(fields[0].name == "hOST");
  CHECK(fields[0].id == Name::host);
  CHECK(fields[0].value == "a.example");
  CHECK(fields[1].value.empty());
  CHECK(fields[2].value.empty());
  CHECK(fields[3].value == "b  c");
  CHECK(parser.fields().may_have(Name::host));
  CHECK_FALSE(parser.fields().may_have(Name::cookie));
  CHECK(find(parser.fields(), Name::host) == &fields[0]);
  CHECK(find(parser.fields(), Name::cookie) == nullptr);
}

TEST_CASE("Connection is a list of tokens") {
  const auto error_of = [](const std::string& value) {
    return parse<RequestParser>("GET / HTTP/1.1\r\nConnection:" + value + "\r\n\r\n").error;
  };
  for (const char* good : {"", " close", " a, b", " a ,b", ",, a,", " ,"}) CHECK(error_of(good) == ParseError::none);
  for (const char* bad : {" a b", " a;b", " \"a\"", " a, b c", " a=b"}) CHECK(error_of(bad) == ParseError::syntax);
}

TEST_CASE("a head ends with its only empty line") {
  std::vector<Field> fields;
  for (const char* head : {"", "\r\n\r\n", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n\r\nA: b\r\n\r\n",
                           "GET / HTTP/1.1\r\nA: b\r\n", "GET / HTTP/1.1", "GET /\r\n\r\n", "GET\r\n\r\n"}) {
    CAPTURE(head);
    RequestParser request(fields, {});
    CHECK(request.parse_head(head) != ParseError::none);
    ResponseParser response(fields, {});
    CHECK(response.parse_head(head) != ParseError::none);
  }
  for (const char* head : {"HTTP/1.1\r\n\r\n", "HTTP/1.1 \r\n\r\n", "HTTP/1.1 2\r\n\r\n", "HTTP/1.1 200\r\n\r\n"}) {
    CAPTURE(head);
    ResponseParser response(fields, {});
    CHECK(response.parse_head(head) != ParseError::none);
  }
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
  // Wherever in a block of 16 it stands.
  for (std::size_t fill = 0; fill < 40; ++fill) {
    const std::string line = "GET /" + std::string(fill, 'a') + " HTTP/1.1\r\nA: b\r\n";
    from = 0;
    CHECK(find_head_end(line, from) == 0);
    CHECK(find_head_end(line + "\r\nrest of what has come\n", from) == line.size() + 2);
    from = 0;
    CHECK(find_head_end("GET /" + std::string(fill, 'a') + "\nHost: a\r\n\r\n", from) == std::string_view::npos);
  }
  const std::string head = "GET / HTTP/1.1\r\nA: b\r\n\r\n";
  from = 0;
  for (std::size_t n = 1; n < head.size(); ++n) CHECK(find_head_end({head.data(), n}, from) == 0);
  CHECK(find_head_end(head, from) == head.size());
}
