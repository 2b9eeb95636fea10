// Bodies far larger than memory pass both ways in constant memory. PILLION_BIG_BYTES says how large; the whole size
// of the contract is run by tests/run.sh --long.
#include <cstdlib>

#include "integration.hpp"

namespace {

std::uint64_t big() {
  const char* text = std::getenv("PILLION_BIG_BYTES");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 256u << 20;
}

/// A pattern that shows bytes lost, doubled or moved: each 8 bytes hold their own offset.
std::string pattern_at(std::uint64_t offset, std::size_t n) {
  std::string out(n, '\0');
  for (std::size_t i = 0; i + 8 <= n; i += 8) {
    std::uint64_t at = offset + i;
    for (int b = 0; b < 8; ++b) out[i + static_cast<std::size_t>(b)] = static_cast<char>(at >> (8 * b));
  }
  return out;
}

/// Checks a stream of pieces of any size against the pattern.
class PatternCheck {
 public:
  void take(std::string_view piece) {
    held_ += piece;
    std::size_t whole = held_.size() / 8 * 8;
    if (whole == 0) return;
    right_ = right_ && std::string_view(held_).substr(0, whole) == pattern_at(offset_, whole);
    offset_ += whole;
    held_.erase(0, whole);
  }
  bool right() const { return right_ && held_.empty(); }
  std::uint64_t bytes() const { return offset_; }

 private:
  std::string held_;
  std::uint64_t offset_ = 0;
  bool right_ = true;
};

constexpr std::size_t step = 256u << 10;
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr std::size_t memory_bound = 2048u << 20;  // what a sanitizer keeps for itself isn't the proxy's
#else
constexpr std::size_t memory_bound = 96u << 20;
#endif

Deadline for_all_of(std::uint64_t bytes) { return Deadline(60s + std::chrono::seconds(bytes >> 23)); }

void send_pattern(Stream& stream, std::uint64_t total, bool chunked) {
  Deadline deadline = for_all_of(total);
  for (std::uint64_t at = 0; at < total; at += step) {
    std::string piece = pattern_at(at, static_cast<std::size_t>(std::min<std::uint64_t>(step, total - at)));
    stream.write(chunked ? chunk(piece) : piece, deadline);
  }
  if (chunked) stream.write(last_chunk(), deadline);
}

}  // namespace

TEST_CASE("big transfer: down, with a length and chunked") {
  std::uint64_t total = big();
  ScriptedUpstream upstream([&](Exchange& exchange) {
    bool chunked = exchange.request().target == "/chunked";
    exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n" +
                   (chunked ? "Transfer-Encoding: chunked" : "Content-Length: " + std::to_string(total)) + "\r\n\r\n");
    send_pattern(exchange.stream(), total, chunked);
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string target : {"/length", "/chunked"}) {
    CAPTURE(target);
    HttpClient client = proxy.connect();
    client.send_request("GET", target);
    client.read_head();
    PatternCheck check;
    Deadline deadline = for_all_of(total);
    for (std::string piece = client.read_some(deadline); !piece.empty(); piece = client.read_some(deadline))
      check.take(piece);
    CHECK(check.right());
    CHECK(check.bytes() == total);
  }
  CHECK(proxy.process().resident_peak() < memory_bound);
}

TEST_CASE("big transfer: up, with a length and chunked") {
  std::uint64_t total = big();
  PatternCheck checks[2];
  ScriptedUpstream upstream([&](Exchange& exchange) {
    auto& check = checks[exchange.request().target == "/chunked" ? 1 : 0];
    Deadline deadline = for_all_of(total);
    for (std::string piece = exchange.read_some(deadline); !piece.empty(); piece = exchange.read_some(deadline))
      check.take(piece);
    exchange.respond(201);
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  for (bool chunked : {false, true}) {
    CAPTURE(chunked);
    HttpClient client = proxy.connect();
    Fields fields;
    chunked ? fields.add("Transfer-Encoding", "chunked") : fields.add("Content-Length", std::to_string(total));
    client.send_request("PUT", chunked ? "/chunked" : "/length", fields);
    send_pattern(client.stream(), total, chunked);
    CHECK(client.read_response("PUT", for_all_of(0)).status == 201);
    CHECK(checks[chunked ? 1 : 0].right());
    CHECK(checks[chunked ? 1 : 0].bytes() == total);
  }
  CHECK(proxy.process().resident_peak() < memory_bound);
}
