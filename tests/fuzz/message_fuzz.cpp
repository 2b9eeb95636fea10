// Heads and bodies of requests and responses: what is accepted doesn't depend on how it is split into reads, satisfies
// a second, slow checker of the grammar, and written anew parses to the same.
#include <algorithm>
#include <string>
#include <vector>

#include "input.hpp"
#include "net/message_parser.hpp"

namespace {

using namespace pillion;

struct Reading {
  bool accepted = false;
  std::string start;  // method and target, or status
  std::vector<std::pair<std::string, std::string>> fields;
  Framing framing = Framing::none;
  std::string body, trailers;
  bool complete = false;

  bool operator==(const Reading&) const = default;
};

template <typename Parser>
Reading read(std::string_view message, std::size_t step, bool no_body) {
  Reading out;
  ParserLimits limits;
  limits.head = 4096;
  std::size_t from = 0;
  const std::size_t size = find_head_end(message, from);
  if (size == 0 || size == std::string_view::npos || size > limits.head) return out;
  const std::string head(message.substr(0, size));
  std::vector<Field> fields;
  Parser parser(fields, limits);
  if (parser.parse_head(head, no_body) != ParseError::none) return out;
  out.start = std::string(parser.method()) + ' ' + std::string(parser.target()) + ' ' + std::to_string(parser.status());
  for (const Field& field : fields) out.fields.emplace_back(field.name, field.value);
  out.framing = parser.framing();
  std::string buffer;
  for (std::string_view rest = message.substr(size); !parser.complete() && !rest.empty();) {
    const std::size_t n = std::min(step, rest.size());
    buffer += rest.substr(0, n);
    rest.remove_prefix(n);
    while (!buffer.empty() && !parser.complete()) {
      const auto part = parser.decode({buffer.data(), buffer.size()});
      out.body.append(buffer.data(), part.size);
      if (part.error != ParseError::none) return Reading{};
      buffer.erase(0, part.consumed);
      if (part.consumed == 0) break;
    }
  }
  out.accepted = true;
  out.complete = parser.complete();
  if (out.complete) out.trailers = parser.trailers();
  return out;
}

// RFC 9112 by hand, character by character.
void check_grammar(const Reading& reading, bool request) {
  for (const auto& [name, value] : reading.fields) {
    if (!is_token(name) || !is_field_value(value)) std::abort();
  }
  std::size_t lengths = 0, codings = 0;
  for (const auto& [name, value] : reading.fields) {
    if (iequals(name, "content-length")) ++lengths;
    if (iequals(name, "transfer-encoding")) {
      ++codings;
      if (!iequals(value, "chunked")) std::abort();
    }
  }
  if (codings > 1 || (codings > 0 && lengths > 0)) std::abort();
  if (request && reading.framing == Framing::until_close) std::abort();
}

// Of a body that isn't whole, one reading may have come a few bytes further than the other.
bool same(Reading a, Reading b) {
  if (!a.complete && !b.complete) {
    const std::size_t n = std::min(a.body.size(), b.body.size());
    a.body.resize(n);
    b.body.resize(n);
  }
  return a == b;
}

template <typename Parser>
void check(std::string_view message, std::size_t step, bool request, bool no_body) {
  const Reading whole = read<Parser>(message, message.size() + 1, no_body);
  const Reading split = read<Parser>(message, step, no_body);
  // An error late in a body may show in one reading before the other has come to it; what both accept is the same.
  if (whole.accepted && split.accepted && !same(whole, split)) std::abort();
  if (whole.accepted != split.accepted && (whole.complete || split.complete)) std::abort();
  if (!whole.accepted) return;
  check_grammar(whole, request);
  std::string again(message.substr(0, message.find("\r\n") + 2));
  for (const auto& [name, value] : whole.fields) again += name + ": " + value + "\r\n";
  again += "\r\n";
  const Reading second = read<Parser>(again, 1, no_body);
  if (again.size() <= 4096 && (!second.accepted || second.fields != whole.fields || second.framing != whole.framing))
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  pillion::fuzz::Input input(data, size);
  const std::uint8_t choice = input.byte();
  const std::size_t step = 1 + input.byte() % 40;
  const std::string_view message(reinterpret_cast<const char*>(data) + std::min<std::size_t>(size, 2),
                                 size - std::min<std::size_t>(size, 2));
  if (choice % 2 == 0) {
    check<RequestParser>(message, step, true, false);
  } else {
    check<ResponseParser>(message, step, false, choice % 4 == 3);
  }
  return 0;
}
