// Bodies in other codings, and the thread that makes them.
#include "store/answer_compressor.hpp"

#include <brotli/decode.h>
#include <doctest/doctest.h>
#include <zlib.h>
#include <zstd.h>

#include <string>

#include "store/answer_encoder.hpp"
#include "store/sieve_index.hpp"

using namespace pillion;

namespace {

std::string text_of(std::size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i)
    text += "{\"id\": " + std::to_string(i * 7919) + ", \"name\": \"somebody\"},";
  text.resize(size);
  return text;
}

std::string noise_of(std::size_t size) {
  std::string text(size, '\0');
  std::uint64_t state = 88172645463325252u;
  for (char& c : text) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = static_cast<char>(state >> 32);
  }
  return text;
}

std::string decoded(Coding coding, const std::string& bytes, std::size_t room) {
  std::string out(room + 1, '\0');
  if (coding == Coding::zstd) {
    const std::size_t size = ZSTD_decompress(out.data(), out.size(), bytes.data(), bytes.size());
    REQUIRE_FALSE(ZSTD_isError(size));
    out.resize(size);
  } else if (coding == Coding::br) {
    std::size_t size = out.size();
    REQUIRE(BrotliDecoderDecompress(bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()), &size,
                                    reinterpret_cast<std::uint8_t*>(out.data())) == BROTLI_DECODER_RESULT_SUCCESS);
    out.resize(size);
  } else {
    z_stream stream{};
    REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    REQUIRE(inflate(&stream, Z_FINISH) == Z_STREAM_END);
    REQUIRE(stream.avail_in == 0);
    out.resize(stream.total_out);
    inflateEnd(&stream);
  }
  return out;
}

constexpr Coding codings[] = {Coding::zstd, Coding::br, Coding::gzip};
bool always() { return true; }

StoredResponsePtr response_of(const std::string& key, const std::string& body) {
  StoredParts parts;
  parts.meta.status = 200;
  parts.primary_key = key;
  parts.head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
  parts.body = body;
  return StoredResponse::make(parts);
}

/// Waits until its thread has done `jobs` of them.
void wait_for(Counters& counters, std::uint64_t jobs) {
  const auto done = [&] {
    std::uint64_t n = counters.compression_given_up.get();
    for (const SharedCounter& made : counters.compressed) n += made.get();
    return n >= jobs;
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!done() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  REQUIRE(done());
}

}  // namespace

TEST_CASE("answer encoder: what comes out can be decoded") {
  for (const std::size_t size : {0u, 1u, 1025u, 65536u, 65537u, 1'000'000u, 3'500'000u}) {
    const std::string body = text_of(size);
    for (const Coding coding : codings) {
      CAPTURE(size);
      CAPTURE(to_string(coding));
      const auto encoded = encode_body(coding, body, size + 1000, always);
      REQUIRE(encoded);
      CHECK(decoded(coding, *encoded, size) == body);
      if (size > 1000) CHECK(encoded->size() < size / 2);
    }
  }
  CHECK_FALSE(encode_body(Coding::identity, "text", 1000, always));
}

TEST_CASE("answer encoder: it gives up where too much comes out, and where it is told to") {
  const std::string noise = noise_of(300'000);
  for (const Coding coding : codings) {
    CAPTURE(to_string(coding));
    CHECK_FALSE(encode_body(coding, noise, noise.size() - noise.size() / 8, always));
    const std::string text = text_of(300'000);
    const auto whole = encode_body(coding, text, text.size(), always);
    REQUIRE(whole);
    CHECK(encode_body(coding, text, whole->size(), always));
    CHECK_FALSE(encode_body(coding, text, whole->size() - 1, always));
    int slices = 0;
    CHECK_FALSE(encode_body(coding, text, text.size(), [&] { return ++slices < 3; }));
    CHECK(slices == 3);
  }
}

TEST_CASE("answer encoder: a client needs no window of over 8 MiB") {
  const std::string body = text_of(8u << 20);
  const auto encoded = encode_body(Coding::zstd, body, body.size(), always);
  REQUIRE(encoded);
  ZSTD_DCtx* context = ZSTD_createDCtx();
  ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 23);
  std::string out(body.size(), '\0');
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  ZSTD_inBuffer in{encoded->data(), encoded->size(), 0};
  std::size_t left = 1;
  while (left != 0 && !ZSTD_isError(left) && in.pos < in.size) left = ZSTD_decompressStream(context, &to, &in);
  ZSTD_freeDCtx(context);
  CHECK(left == 0);
  CHECK(out == body);
}

TEST_CASE("answer compressor: a form is put beside the plain one, and counts with it") {
  MemoryStore memory(1u << 20, 1u << 19);
  Counters counters(1);
  AnswerCompressor compressor(memory, counters);
  compressor.start();
  const std::string key = "key", body = text_of(100'000);
  const Hash128 place = hash128(key);
  const StoredResponsePtr response = response_of(key, body);
  REQUIRE(memory.store(place, response));
  const std::size_t before = memory.figures().bytes;
  for (const Coding coding : codings) compressor.ask(response, place, coding);
  wait_for(counters, 3);
  std::size_t sum = 0;
  for (const Coding coding : codings) {
    CAPTURE(to_string(coding));
    CHECK(counters.compressed[static_cast<std::size_t>(coding)].get() == 1);
    const EncodedForm* form = response->forms().find(coding);
    REQUIRE(form);
    CHECK(decoded(coding, std::string(form->body()), body.size()) == body);
    CHECK(form->head().find("Content-Encoding: " + std::string(to_string(coding)) + "\r\n") != std::string_view::npos);
    CHECK(form->head().ends_with("Content-Length: " + std::to_string(form->body().size()) + "\r\n"));
    sum += form->body().size();
  }
  CHECK(memory.figures().bytes >= before + sum);
  CHECK(memory.figures().bytes <= before + sum + 1500);
  memory.erase(place, response.get());
  CHECK(memory.figures().bytes == 0);
}

TEST_CASE("answer compressor: what doesn't save an eighth is left as it is") {
  MemoryStore memory(1u << 20, 1u << 19);
  Counters counters(1);
  AnswerCompressor compressor(memory, counters);
  compressor.start();
  const Hash128 place = hash128(std::string_view("key"));
  const StoredResponsePtr response = response_of("key", noise_of(50'000));
  REQUIRE(memory.store(place, response));
  const std::size_t before = memory.figures().bytes;
  compressor.ask(response, place, Coding::br);
  wait_for(counters, 1);
  CHECK(counters.compression_given_up.get() == 1);
  CHECK(response->forms().find(Coding::br) == nullptr);
  CHECK(memory.figures().bytes == before);
}

TEST_CASE("answer compressor: what doesn't stand there any more isn't compressed") {
  MemoryStore memory(1u << 20, 1u << 19);
  Counters counters(1);
  AnswerCompressor compressor(memory, counters);
  compressor.start();
  const Hash128 place = hash128(std::string_view("key")), other = hash128(std::string_view("other"));
  const StoredResponsePtr old = response_of("key", text_of(50'000)), newer = response_of("key", text_of(60'000));
  const StoredResponsePtr next = response_of("other", text_of(2000));
  REQUIRE(memory.store(place, old));
  REQUIRE(memory.store(place, newer));
  REQUIRE(memory.store(other, next));
  compressor.ask(old, place, Coding::gzip);
  compressor.ask(next, other, Coding::gzip);  // they come one after the other
  wait_for(counters, 1);
  CHECK(next->forms().find(Coding::gzip) != nullptr);
  CHECK(old->forms().find(Coding::gzip) == nullptr);
  CHECK(newer->forms().find(Coding::gzip) == nullptr);
}

TEST_CASE("answer compressor: too many wait, or none works: the wish is forgotten") {
  MemoryStore memory(1u << 20, 1u << 19);
  Counters counters(1);
  AnswerCompressor compressor(memory, counters);
  const StoredResponsePtr response = response_of("key", text_of(2000));
  while (!response->forms().note_wish(Coding::br)) {
  }
  compressor.ask(response, hash128(std::string_view("key")), Coding::br);
  CHECK(counters.compression_postponed.get() == 1);
  unsigned wishes = 1;
  while (!response->forms().note_wish(Coding::br)) ++wishes;
  CHECK(wishes == EncodedForms::wishes_until_hot);
}

TEST_CASE("answer compressor: it ends while it works, and lets go of what waits") {
  MemoryStore memory(64u << 20, 16u << 20);
  Counters counters(1);
  AnswerCompressor compressor(memory, counters);
  compressor.start();
  const Hash128 place = hash128(std::string_view("key"));
  const StoredResponsePtr response = response_of("key", text_of(8u << 20));
  REQUIRE(memory.store(place, response));
  for (const Coding coding : codings) compressor.ask(response, place, coding);
  compressor.stop();
  CHECK(response->forms().find(Coding::gzip) == nullptr);
}

TEST_CASE("memory store: what grows makes room, and only for what stands there") {
  MemoryStore memory(200'000, 100'000);
  std::vector<StoredResponsePtr> all;
  for (int i = 0; i < 4; ++i) {
    const std::string key = "key " + std::to_string(i);
    all.push_back(response_of(key, std::string(40'000, 'x')));
    REQUIRE(memory.store(hash128(key), all.back()));
  }
  const std::size_t before = memory.figures().bytes;
  const Hash128 last = hash128(std::string_view("key 3"));
  CHECK(memory.grow(last, all[3].get(), 0));
  CHECK_FALSE(memory.grow(last, all[2].get(), 0));
  CHECK_FALSE(memory.grow(hash128(std::string_view("none")), all[0].get(), 8));
  CHECK_FALSE(memory.grow(last, all[2].get(), 1000));
  CHECK_FALSE(memory.grow(last, all[3].get(), 1'000'000));  // never: the others needn't go for it
  CHECK(memory.figures().bytes == before);
  CHECK(memory.figures().entries == 4);
  REQUIRE(memory.find(last, "key 3"));
  CHECK(memory.grow(last, all[3].get(), 60'001));
  CHECK(memory.figures().evictions == 1);
  CHECK(memory.figures().entries == 3);
  CHECK(memory.figures().bytes == before - SieveIndex::cost(*all[0]) + 60'008);
  CHECK(memory.erase(last, all[3].get()) == SieveIndex::cost(*all[3]) + 60'008);
}
