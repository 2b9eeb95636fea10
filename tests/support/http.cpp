#include "support/http.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <ctime>

namespace pillion::support {

namespace {

constexpr std::size_t head_bound = 256u << 10;

bool token_char(char c) {
  static constexpr std::string_view symbols = "!#$%&'*+-.^_`|~";
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || symbols.find(c) != std::string_view::npos;
}
bool is_token(std::string_view s) { return !s.empty() && std::all_of(s.begin(), s.end(), token_char); }

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

std::string shown(std::string_view bytes) {
  std::string out = "\"";
  for (char c : bytes.substr(0, 200)) {
    auto u = static_cast<unsigned char>(c);
    static constexpr char hex[] = "0123456789abcdef";
    if (u < 0x20 || u > 0x7e) {
      out += {'\\', 'x', hex[u >> 4], hex[u & 15]};
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::pair<std::string, std::string> parse_field(std::string_view line) {
  auto colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
    throw MalformedMessage("not a field: " + shown(line));
  }
  auto value = trimmed(line.substr(colon + 1));
  for (char c : value) {
    auto u = static_cast<unsigned char>(c);
    if ((u < 0x20 && u != '\t') || u == 0x7f) throw MalformedMessage("control character in " + shown(line));
  }
  return {std::string(line.substr(0, colon)), std::string(value)};
}

Fields parse_fields(std::string_view lines) {
  Fields fields;
  while (!lines.empty()) {
    auto end = lines.find("\r\n");
    if (end == std::string_view::npos) throw MalformedMessage("a line without CRLF: " + shown(lines));
    auto [name, value] = parse_field(lines.substr(0, end));
    fields.add(std::move(name), std::move(value));
    lines.remove_prefix(end + 2);
  }
  return fields;
}

std::uint64_t decimal(std::string_view text) {
  std::uint64_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || text[0] == '-') {
    throw MalformedMessage("not a length: " + shown(text));
  }
  return n;
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}
bool same_name(std::string_view a, std::string_view b) { return lower(a) == lower(b); }

std::string Fields::operator[](std::string_view name) const {
  std::string out;
  bool first = true;
  for (const auto& [n, v] : list_) {
    if (!same_name(n, name)) continue;
    out += (first ? "" : ", ") + v;
    first = false;
  }
  return out;
}
std::size_t Fields::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::count_if(list_.begin(), list_.end(), [&](const auto& f) { return same_name(f.first, name); }));
}
std::vector<std::string> Fields::all(std::string_view name) const {
  std::vector<std::string> out;
  for (const auto& [n, v] : list_) {
    if (same_name(n, name)) out.push_back(v);
  }
  return out;
}
std::string Fields::to_string() const {
  std::string out;
  for (const auto& [n, v] : list_) out += n + ": " + v + "\r\n";
  return out;
}

Head Head::parse(std::string_view bytes) {
  Head head;
  if (!bytes.ends_with("\r\n\r\n")) throw MalformedMessage("a head without its empty line: " + shown(bytes));
  bytes.remove_suffix(2);
  auto end = bytes.find("\r\n");
  head.first_line = bytes.substr(0, end);
  for (char c : head.first_line) {
    auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7f) throw MalformedMessage("control character in " + shown(head.first_line));
  }
  head.fields = parse_fields(bytes.substr(end + 2));
  return head;
}

BodyReader BodyReader::with(Framing framing, std::uint64_t length) {
  BodyReader reader;
  reader.framing_ = framing;
  reader.left_ = length;
  reader.finished_ = framing == Framing::none || (framing == Framing::length && length == 0);
  return reader;
}

BodyReader BodyReader::of_request(const Fields& fields) {
  auto codings = fields.all("Transfer-Encoding");
  auto lengths = fields.all("Content-Length");
  if (!codings.empty()) {
    if (!lengths.empty()) throw MalformedMessage("both Content-Length and Transfer-Encoding");
    if (codings.size() != 1 || !same_name(codings[0], "chunked")) {
      throw MalformedMessage("Transfer-Encoding other than chunked: " + fields["Transfer-Encoding"]);
    }
    return with(Framing::chunked, 0);
  }
  if (lengths.empty()) return with(Framing::none, 0);
  if (lengths.size() != 1) throw MalformedMessage("Content-Length more than once");
  return with(Framing::length, decimal(lengths[0]));
}

BodyReader BodyReader::of_response(const Fields& fields, std::string_view method, int status) {
  BodyReader reader = of_request(fields);
  if (method == "HEAD" || status == 304) return with(Framing::none, 0);
  if (status < 200 || status == 204) {
    if (reader.framing_ != Framing::none) throw MalformedMessage("framing fields where no body may be");
    return reader;
  }
  if (reader.framing_ == Framing::none) return with(Framing::close, 0);
  return reader;
}

void BodyReader::next_chunk_size(Stream& stream, Deadline deadline) {
  std::string line = stream.read_until("\r\n", deadline, 8u << 10);
  line.resize(line.size() - 2);
  auto digits = line.find_first_not_of("0123456789abcdefABCDEF");
  if (digits == std::string::npos) digits = line.size();
  if (digits == 0 || digits > 16 || (digits < line.size() && line[digits] != ';')) {
    throw MalformedMessage("not a chunk size: " + shown(line));
  }
  had_extensions_ = had_extensions_ || digits < line.size();
  left_ = 0;
  std::from_chars(line.data(), line.data() + digits, left_, 16);
  in_chunk_ = left_ != 0;
  if (in_chunk_) return;
  std::string lines;
  for (;;) {
    std::string trailer = stream.read_until("\r\n", deadline, 16u << 10);
    if (trailer == "\r\n") break;
    lines += trailer;
  }
  trailers_ = parse_fields(lines);
  finished_ = true;
}

std::string BodyReader::next(Stream& stream, Deadline deadline) {
  if (finished_) return {};
  if (framing_ == Framing::chunked && !in_chunk_) {
    next_chunk_size(stream, deadline);
    if (finished_) return {};
  }
  if (stream.buffer().empty() && !stream.fill(deadline)) {
    if (framing_ != Framing::close) throw ConnectionClosed("the body was cut");
    finished_ = true;
    return {};
  }
  std::string piece;
  if (framing_ == Framing::close) {
    piece.swap(stream.buffer());
    return piece;
  }
  auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, stream.buffer().size()));
  if (n == stream.buffer().size()) {
    piece.swap(stream.buffer());
  } else {
    piece = stream.buffer().substr(0, n);
    stream.buffer().erase(0, n);
  }
  left_ -= n;
  if (left_ == 0 && framing_ == Framing::length) finished_ = true;
  if (left_ == 0 && framing_ == Framing::chunked) {
    if (stream.read_exactly(2, deadline) != "\r\n") throw MalformedMessage("no CRLF after a chunk");
    in_chunk_ = false;
  }
  return piece;
}

std::string chunk(std::string_view data) {
  char size[17];
  auto end = std::to_chars(size, size + sizeof size, data.size(), 16).ptr;
  return std::string(size, end) + "\r\n" + std::string(data) + "\r\n";
}
std::string last_chunk(const Fields& trailers) { return "0\r\n" + trailers.to_string() + "\r\n"; }

std::string response_bytes(int status, const Fields& fields, std::string_view body) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " Whatever\r\n" + fields.to_string();
  bool bodiless = status == 204 || status == 304 || status < 200;
  if (!bodiless && !fields.has("Content-Length") && !fields.has("Transfer-Encoding")) {
    out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  }
  return out + "\r\n" + std::string(body);
}

std::string http_date(long seconds_from_now) {
  std::time_t at = std::time(nullptr) + seconds_from_now;
  std::tm parts{};
  ::gmtime_r(&at, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return text;
}

std::string request_bytes(std::string_view method, std::string_view target, const Fields& fields,
                          std::string_view body) {
  std::string out = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\n";
  if (!fields.has("Host")) out += "Host: app.test\r\n";
  out += fields.to_string();
  bool framed = fields.has("Content-Length") || fields.has("Transfer-Encoding");
  if (!body.empty() && !framed) out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return out + "\r\n" + std::string(body);
}

namespace {

Response parse_response_head(std::string bytes) {
  Head head = Head::parse(bytes);
  const std::string& line = head.first_line;
  // HTTP/1.1 SP 3DIGIT SP reason
  auto digit = [&](std::size_t i) { return std::isdigit(static_cast<unsigned char>(line[i])) != 0; };
  if (line.size() < 13 || !line.starts_with("HTTP/1.") || !digit(7) || line[8] != ' ' || !digit(9) || !digit(10) ||
      !digit(11) || line[12] != ' ') {
    throw MalformedMessage("not a status line: " + shown(line));
  }
  Response response;
  response.version = line.substr(0, 8);
  response.status = std::stoi(line.substr(9, 3));
  response.reason = line.substr(13);
  response.fields = std::move(head.fields);
  response.head_bytes = std::move(bytes);
  return response;
}

}  // namespace

void HttpClient::send_request(std::string_view method, std::string_view target, const Fields& fields,
                              std::string_view body) {
  send(request_bytes(method, target, fields, body));
}

Response HttpClient::read_head(std::string_view method, Deadline deadline) {
  std::vector<Response> interim;
  for (;;) {
    Response response = parse_response_head(stream_.read_until("\r\n\r\n", deadline, head_bound));
    body_ = BodyReader::of_response(response.fields, method, response.status);
    if (response.status >= 200 || response.status == 101) {
      response.interim = std::move(interim);
      response.framing = body_.framing();
      response.complete = body_.finished();
      return response;
    }
    interim.push_back(std::move(response));
  }
}

std::string HttpClient::read_body(std::size_t n, Deadline deadline) {
  std::string out;
  while (out.size() < n) {
    std::string piece = read_some(deadline);
    if (piece.empty()) throw ConnectionClosed("the body ended after " + std::to_string(out.size()) + " bytes");
    out += piece;
  }
  return out;
}

void HttpClient::finish(Response& response, Deadline deadline) {
  try {
    for (std::string piece = read_some(deadline); !piece.empty(); piece = read_some(deadline)) response.body += piece;
    response.complete = true;
    response.trailers = body_.trailers();
  } catch (const ConnectionClosed&) {
    response.complete = false;
  }
}

Response HttpClient::read_response(std::string_view method, Deadline deadline) {
  Response response = read_head(method, deadline);
  finish(response, deadline);
  return response;
}

Response HttpClient::request(std::string_view method, std::string_view target, const Fields& fields,
                             std::string_view body, Deadline deadline) {
  stream_.write(request_bytes(method, target, fields, body), deadline);
  return read_response(method, deadline);
}

Response fetch(const Endpoint& server, std::string_view method, std::string_view target, const Fields& fields,
               std::string_view body, Deadline deadline) {
  return HttpClient(server).request(method, target, fields, body, deadline);
}

namespace {

/// Splits at `separator` outside quotes.
std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out{""};
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (quoted && text[i] == '\\') out.back() += text[i++];
    if (text[i] == separator && !quoted) {
      out.emplace_back();
    } else {
      out.back() += text[i];
    }
  }
  if (quoted) throw MalformedMessage("an open quote in " + std::string(text));
  for (auto& part : out) part = trimmed(part);
  return out;
}

std::string unquoted(const std::string& text) {
  if (text.size() < 2 || text.front() != '"') return text;
  return text.substr(1, text.size() - 2);
}

}  // namespace

CacheStatus cache_status(const Response& response) {
  CacheStatus out;
  if (!response.fields.has("Cache-Status")) return out;
  out.text = split(response["Cache-Status"], ',').back();
  auto parts = split(out.text, ';');
  out.cache = parts.at(0);
  for (std::size_t i = 1; i < parts.size(); ++i) {
    auto equals = parts[i].find('=');
    std::string name = parts[i].substr(0, equals);
    std::string value = equals == std::string::npos ? "" : unquoted(parts[i].substr(equals + 1));
    if (name == "hit") out.hit = true;
    if (name == "stored") out.stored = value != "?0";
    if (name == "collapsed") out.collapsed = value != "?0";
    if (name == "fwd") out.forward = value;
    if (name == "fwd-status") out.forward_status = static_cast<int>(decimal(value));
    if (name == "ttl") out.ttl = std::stol(value);
    if (name == "detail") out.detail = value;
    if (name == "key") out.key = value;
  }
  return out;
}

}  // namespace pillion::support
