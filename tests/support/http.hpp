// HTTP/1.1 as the tests read it: strictly, with a parser of their own that shares nothing with the proxy's. For tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/socket.hpp"

namespace pillion::support {

/// Fields in the order they came.
class Fields {
 public:
  Fields() = default;
  Fields(std::initializer_list<std::pair<std::string, std::string>> list) : list_(list) {}
  void add(std::string name, std::string value) { list_.emplace_back(std::move(name), std::move(value)); }
  /// The values of all lines of that name, joined with ", "; empty where there is none.
  std::string operator[](std::string_view name) const;
  bool has(std::string_view name) const { return count(name) > 0; }
  std::size_t count(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;
  auto begin() const { return list_.begin(); }
  auto end() const { return list_.end(); }
  std::size_t size() const { return list_.size(); }
  /// `Name: value\r\n` for each.
  std::string to_string() const;

 private:
  std::vector<std::pair<std::string, std::string>> list_;
};

bool same_name(std::string_view a, std::string_view b);  ///< ASCII case ignored
std::string lower(std::string_view text);

/// What a message breaks of RFC 9112's grammar, or of what one sender may say of framing.
struct MalformedMessage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The first line and the fields of a message, to and with its empty line. Throws MalformedMessage.
struct Head {
  std::string first_line;
  Fields fields;
  static Head parse(std::string_view bytes);
};

/// Reads a body from a stream, a piece at a time, and checks its framing strictly.
class BodyReader {
 public:
  enum class Framing { none, length, chunked, close };
  BodyReader() = default;
  /// What RFC 9112 6.3 says of these fields, for a request; throws MalformedMessage where they contradict each other.
  static BodyReader of_request(const Fields& fields);
  /// The same for a response to `method` with `status`.
  static BodyReader of_response(const Fields& fields, std::string_view method, int status);

  /// The next piece, empty at the end. Throws MalformedMessage, ConnectionClosed (cut before its end), TimedOut.
  std::string next(Stream& stream, Deadline deadline = {});
  bool finished() const { return finished_; }
  Framing framing() const { return framing_; }
  std::uint64_t length() const { return left_; }  ///< what is left of a body with a length
  const Fields& trailers() const { return trailers_; }
  bool had_extensions() const { return had_extensions_; }

 private:
  void next_chunk_size(Stream& stream, Deadline deadline);
  static BodyReader with(Framing framing, std::uint64_t length);
  Framing framing_ = Framing::none;
  std::uint64_t left_ = 0;
  bool finished_ = true;
  bool in_chunk_ = false;
  bool had_extensions_ = false;
  Fields trailers_;
};

struct Response {
  int status = 0;
  std::string version;
  std::string reason;
  Fields fields;
  std::string body;
  Fields trailers;
  bool complete = false;          ///< the body ended as its framing says
  std::vector<Response> interim;  ///< the 1xx before it
  BodyReader::Framing framing = BodyReader::Framing::none;
  std::string head_bytes;  ///< as received

  std::string operator[](std::string_view name) const { return fields[name]; }
};

/// `Cache-Status` as RFC 9211 has it: the last member, which is the cache nearest to the client.
struct CacheStatus {
  std::string text;  ///< that member, as it stands
  std::string cache;
  bool hit = false;
  bool stored = false;
  bool collapsed = false;
  std::string forward;
  std::optional<int> forward_status;
  std::optional<long> ttl;
  std::string detail;
  std::string key;
};
/// An empty `cache` where the field is absent. Throws MalformedMessage where it isn't a structured list.
CacheStatus cache_status(const Response& response);

/// A chunk and the last chunk.
std::string chunk(std::string_view data);
std::string last_chunk(const Fields& trailers = {});
/// A response with Content-Length.
std::string response_bytes(int status, const Fields& fields, std::string_view body);
/// An IMF-fixdate `seconds` from now.
std::string http_date(long seconds_from_now = 0);

/// A client on one connection: sends bytes as they are, reads responses strictly.
class HttpClient {
 public:
  explicit HttpClient(const Endpoint& server, int receive_buffer = 0)
      : stream_(Stream::connect(server, {}, receive_buffer)) {}

  void send(std::string_view bytes, Deadline deadline = {}) { stream_.write(bytes, deadline); }
  /// A head with Host, `fields`, and Content-Length where there is a body. A Host in `fields` replaces the own one.
  void send_request(std::string_view method, std::string_view target, const Fields& fields = {},
                    std::string_view body = {});
  /// The final head with the interim ones before it; `method` is that of the request it answers.
  Response read_head(std::string_view method = "GET", Deadline deadline = {});
  /// The next piece of the body of the response whose head was read last; empty at the end.
  std::string read_some(Deadline deadline = {}) { return body_.next(stream_, deadline); }
  /// At least `n` bytes of the body, decoded.
  std::string read_body(std::size_t n, Deadline deadline = {});
  /// A whole response. A body that is cut gives `complete == false`; anything malformed throws.
  Response read_response(std::string_view method = "GET", Deadline deadline = {});
  /// The rest of the body into `response`.
  void finish(Response& response, Deadline deadline = {});
  Response request(std::string_view method, std::string_view target, const Fields& fields = {},
                   std::string_view body = {}, Deadline deadline = {});
  Response get(std::string_view target, const Fields& fields = {}) { return request("GET", target, fields); }
  bool closes(Deadline deadline = {}) { return stream_.closes(deadline); }
  Stream& stream() { return stream_; }

 private:
  Stream stream_;
  BodyReader body_;
};

/// The bytes of a request: Host `app.test` unless `fields` has one, and Content-Length where there is a body.
std::string request_bytes(std::string_view method, std::string_view target, const Fields& fields = {},
                          std::string_view body = {});

/// One request on a connection of its own.
Response fetch(const Endpoint& server, std::string_view method, std::string_view target, const Fields& fields = {},
               std::string_view body = {}, Deadline deadline = {});

}  // namespace pillion::support
