// Stored responses that prove hot go to clients in the best coding that each accepts (`compress_answers`): the same
// text to the byte, and fields, conditions and ranges that are right for the form that goes out.
#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include "integration.hpp"

namespace {

constexpr int hot = 8;  // so many hits, and one is compressed (README)
const std::string modified = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Of some 20 KB, another for each `seed`.
std::string page(const std::string& seed = "a") {
  std::string text = "<html>";
  for (int i = 0; i < 500; ++i) text += "<li id=" + std::to_string(i * 31) + ">item of page " + seed + "</li>\n";
  return text + "</html>";
}

Fields html(const Fields& more = {}) {
  Fields fields{{"Content-Type", "text/html"}};
  for (const auto& [name, value] : more) fields.add(name, value);
  return fields;
}

Fields accepting(const std::string& codings, const Fields& more = {}) {
  Fields fields{{"Accept-Encoding", codings}};
  for (const auto& [name, value] : more) fields.add(name, value);
  return fields;
}

/// The body as its Content-Encoding says, decoded for good; throws where it isn't that.
std::string text_of(const Response& response) {
  const std::string coding = response["Content-Encoding"];
  const std::string& bytes = response.body;
  if (coding.empty()) return bytes;
  std::string out(4u << 20, '\0');
  std::size_t size = out.size();
  if (coding == "zstd") {
    size = ZSTD_decompress(out.data(), out.size(), bytes.data(), bytes.size());
    if (ZSTD_isError(size)) throw std::runtime_error("not zstd");
  } else if (coding == "br") {
    if (BrotliDecoderDecompress(bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()), &size,
                                reinterpret_cast<std::uint8_t*>(out.data())) != BROTLI_DECODER_RESULT_SUCCESS)
      throw std::runtime_error("not brotli");
  } else if (coding == "gzip") {
    z_stream stream{};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) throw std::runtime_error("no zlib");
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const bool whole = inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_in == 0;
    size = stream.total_out;
    inflateEnd(&stream);
    if (!whole) throw std::runtime_error("not gzip");
  } else {
    throw std::runtime_error("unknown coding " + coding);
  }
  out.resize(size);
  return out;
}

/// Asks until the answer comes in that coding.
Response until_encoded(Pillion& proxy, const std::string& target, const Fields& fields, const std::string& coding) {
  HttpClient client = proxy.connect();
  Response response;
  const bool came = eventually([&] {
    response = client.get(target, fields);
    return response["Content-Encoding"] == coding;
  });
  CAPTURE(target);
  CAPTURE(coding);
  CHECK(came);
  return response;
}

/// Makes it as hot as one can be, and waits until another that got hot after it has been compressed: had it been
/// compressed too, it would be by now.
void heat(Pillion& proxy, const std::string& target, const Fields& fields, const std::string& control) {
  HttpClient client = proxy.connect();
  for (int i = 0; i < 4 * hot; ++i) client.get(target, fields);
  until_encoded(proxy, control, accepting("zstd"), "zstd");
  until_encoded(proxy, control, accepting("br"), "br");
  until_encoded(proxy, control, accepting("gzip"), "gzip");
}

bool without_memory() {
  return skipped_in({Stores::redis}, "what is compressed for clients stands in memory beside the plain one");
}

/// An application whose pages all are compressed, where nothing is wrong with them.
void serve_pages(ScriptedUpstream& upstream) { upstream.answer("/", cacheable(page(), html({{"ETag", "\"v1\""}}))); }

}  // namespace

TEST_CASE("compressed answers: each client gets the best that it accepts, and the same text") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  serve_pages(upstream);
  Pillion proxy(caching_config(upstream.endpoint()));
  until_encoded(proxy, "/", accepting("gzip, deflate"), "gzip");
  until_encoded(proxy, "/", accepting("gzip, deflate, br"), "br");
  until_encoded(proxy, "/", accepting("gzip, deflate, br, zstd"), "zstd");
  struct Row {
    std::string accepted, coding;
  };
  const Row rows[] = {
      {"gzip", "gzip"},
      {"gzip, br", "br"},
      {"br, zstd, gzip", "zstd"},
      {"zstd;q=0.1, gzip;q=0.9", "gzip"},
      {"deflate", ""},
      {"identity", ""},
      {"", ""},
      {"gzip;q=0", ""},
      {"identity;q=0, gzip;q=0.1", "gzip"},
      {"identity, gzip;q=0.5", ""},
      {"*", "zstd"},
      {"*;q=0.1, br", "br"},
      {"gzip;nonsense", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.accepted);
    const Response answer = proxy.get("/", accepting(row.accepted));
    CHECK(answer.status == 200);
    CHECK(answer["Content-Encoding"] == row.coding);
    CHECK(text_of(answer) == page());
    CHECK(answer["Content-Length"] == std::to_string(answer.body.size()));
    CHECK(answer["Vary"] == "Accept-Encoding");
    CHECK(answer["ETag"] == (row.coding.empty() ? "\"v1\"" : "W/\"v1\""));
    CHECK(answer["Content-Type"] == "text/html");
    CHECK(outcome(answer) == "hit");
    if (!row.coding.empty()) CHECK(answer.body.size() < page().size() / 4);
  }
  const Response nothing_said = proxy.get("/");
  CHECK(nothing_said["Content-Encoding"].empty());
  CHECK(nothing_said.body == page());
  CHECK(nothing_said["ETag"] == "\"v1\"");
  CHECK(upstream.count() == 1);
}

TEST_CASE("compressed answers: it takes eight hits by who accepts it, and nobody waits for it") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  serve_pages(upstream);
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/cold", accepting("gzip"));
  HttpClient client = proxy.connect();
  for (int i = 0; i < 30; ++i) CHECK(client.get("/cold")["Content-Encoding"].empty());
  for (int i = 0; i < hot - 1; ++i) CHECK(client.get("/cold", accepting("gzip"))["Content-Encoding"].empty());
  proxy.get("/hot", accepting("gzip"));
  until_encoded(proxy, "/hot", accepting("gzip"), "gzip");
  CHECK(client.get("/cold", accepting("gzip"))["Content-Encoding"].empty());  // the eighth
  until_encoded(proxy, "/cold", accepting("gzip"), "gzip");
}

TEST_CASE("compressed answers: every answer says that it varies, from the first on") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  serve_pages(upstream);
  upstream.answer("/language", cacheable(page(), html({{"Vary", "Accept-Language"}})));
  upstream.answer("/encoding", cacheable(page(), html({{"Vary", "accept-encoding, Origin"}})));
  upstream.answer("/short", cacheable("short", html()));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/")["Vary"] == "Accept-Encoding");
  CHECK(proxy.get("/")["Vary"] == "Accept-Encoding");
  CHECK(proxy.request("HEAD", "/")["Vary"] == "Accept-Encoding");
  CHECK(proxy.get("/", {{"Range", "bytes=0-3"}})["Vary"] == "Accept-Encoding");
  CHECK(proxy.get("/", {{"Range", "bytes=999999-"}})["Vary"] == "Accept-Encoding");
  CHECK(proxy.get("/", {{"If-None-Match", "\"v1\""}})["Vary"] == "Accept-Encoding");
  for (int i = 0; i < 2; ++i) {
    CHECK(proxy.get("/language")["Vary"] == "Accept-Language, Accept-Encoding");
    CHECK(proxy.get("/encoding")["Vary"] == "accept-encoding, Origin");
    CHECK_FALSE(proxy.get("/short").fields.has("Vary"));
  }
  const Response encoded = until_encoded(proxy, "/language", accepting("br"), "br");
  CHECK(encoded["Vary"] == "Accept-Language, Accept-Encoding");
  CHECK(until_encoded(proxy, "/encoding", accepting("br"), "br")["Vary"] == "accept-encoding, Origin");
}

TEST_CASE("compressed answers: conditions hold for either form, If-Match and If-Range for the plain one alone") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  serve_pages(upstream);
  Pillion proxy(caching_config(upstream.endpoint()));
  until_encoded(proxy, "/", accepting("br"), "br");
  for (const std::string tag : {"\"v1\"", "W/\"v1\"", "\"other\", W/\"v1\"", "*"}) {
    CAPTURE(tag);
    const Response encoded = proxy.get("/", accepting("br", {{"If-None-Match", tag}}));
    CHECK(encoded.status == 304);
    CHECK(encoded["ETag"] == "W/\"v1\"");
    CHECK(encoded["Vary"] == "Accept-Encoding");
    CHECK(encoded.body.empty());
    const Response plain = proxy.get("/", {{"If-None-Match", tag}});
    CHECK(plain.status == 304);
    CHECK(plain["ETag"] == "\"v1\"");
  }
  CHECK(proxy.get("/", accepting("br", {{"If-None-Match", "\"v2\""}}))["Content-Encoding"] == "br");
  // The weak tag is nobody's that a part could be of.
  const Response whole = proxy.get("/", accepting("br", {{"Range", "bytes=0-9"}, {"If-Range", "W/\"v1\""}}));
  CHECK(whole.status == 200);
  CHECK(text_of(whole) == page());
  const Response part = proxy.get("/", accepting("br", {{"Range", "bytes=0-9"}, {"If-Range", "\"v1\""}}));
  CHECK(part.status == 206);
  CHECK(part.body == page().substr(0, 10));
  // What is to be written is the application's to judge, by the tag as it came.
  upstream.answer("/", [](Exchange& exchange) { exchange.respond(412); });
  CHECK(proxy.get("/", accepting("br", {{"If-Match", "W/\"v1\""}})).status == 412);
  CHECK(upstream.requests().back().fields["If-Match"] == "W/\"v1\"");
}

TEST_CASE("compressed answers: ranges are of the plain text") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  serve_pages(upstream);
  upstream.answer("/dated", cacheable(page(), html({{"Last-Modified", modified}})));
  Pillion proxy(caching_config(upstream.endpoint()));
  until_encoded(proxy, "/", accepting("br"), "br");
  until_encoded(proxy, "/dated", accepting("br"), "br");
  const Response part = proxy.get("/", accepting("br", {{"Range", "bytes=6-15"}}));
  CHECK(part.status == 206);
  CHECK(part.body == page().substr(6, 10));
  CHECK(part["Content-Encoding"].empty());
  CHECK(part["ETag"] == "\"v1\"");
  CHECK(part["Content-Range"] == "bytes 6-15/" + std::to_string(page().size()));
  const Response parts = proxy.get("/", accepting("br", {{"Range", "bytes=0-1,4-5"}}));
  CHECK(parts.status == 206);
  CHECK(parts["Content-Encoding"].empty());
  // Who refuses plain gets the whole, in what it accepts.
  const Response refused = proxy.get("/", accepting("br, identity;q=0", {{"Range", "bytes=6-15"}}));
  CHECK(refused.status == 200);
  CHECK(refused["Content-Encoding"] == "br");
  // A date doesn't tell the forms apart: what the client has may be the other one.
  const Fields since{{"Range", "bytes=6-15"}, {"If-Range", modified}};
  Fields either = since;
  either.add("Accept-Encoding", "br");
  CHECK(proxy.get("/dated", since).status == 206);
  CHECK(proxy.get("/dated", either).status == 200);
  CHECK(proxy.get("/dated", either)["Content-Encoding"].empty());
}

TEST_CASE("compressed answers: HEAD says what GET would") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  serve_pages(upstream);
  Pillion proxy(caching_config(upstream.endpoint()));
  const Response get = until_encoded(proxy, "/", accepting("zstd, br"), "zstd");
  const Response head = proxy.request("HEAD", "/", accepting("zstd, br"));
  CHECK(head.status == 200);
  CHECK(head.body.empty());
  for (const std::string name : {"Content-Encoding", "Content-Length", "ETag", "Vary", "Content-Type"}) {
    CAPTURE(name);
    CHECK(head[name] == get[name]);
  }
  const Response plain = proxy.request("HEAD", "/");
  CHECK(plain["Content-Length"] == std::to_string(page().size()));
  CHECK(plain["Content-Encoding"].empty());
}

TEST_CASE("compressed answers: what is said of the plain bytes isn't said of others") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  const Fields digests{{"Content-MD5", "Q2hlY2sgSW50ZWdyaXR5IQ=="},
                       {"Content-Digest", "sha-256=:YQ==:"},
                       {"Repr-Digest", "sha-256=:YQ==:"},
                       {"Digest", "sha-256=YQ=="},
                       {"Accept-Ranges", "bytes"}};
  upstream.answer("/", cacheable(page(), html(digests)));
  Pillion proxy(caching_config(upstream.endpoint()));
  const Response encoded = until_encoded(proxy, "/", accepting("gzip"), "gzip");
  CHECK(text_of(encoded) == page());
  const Response plain = proxy.get("/");
  for (const auto& [name, value] : digests) {
    CAPTURE(name);
    CHECK_FALSE(encoded.fields.has(name));
    CHECK(plain[name] == value);
  }
}

TEST_CASE("compressed answers: what is never compressed") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  struct Row {
    std::string target, body;
    Fields fields;
    int status = 200;
    Fields asked{};
    bool varies = false;
  };
  const std::string text = page();
  const Row rows[] = {
      {"/no-transform", text, html({{"Cache-Control", "no-transform"}})},
      {"/targeted", text, html({{"CDN-Cache-Control", "max-age=60, no-transform"}})},
      {"/beside", text, html({{"Cache-Control", "no-transform"}, {"CDN-Cache-Control", "max-age=60"}})},
      {"/picture", text, {{"Content-Type", "image/png"}}},
      {"/untyped", text, {}},
      {"/short", "short", html()},
      {"/encoded", text, html({{"Content-Encoding", "gzip"}})},
      {"/other-status", text, html(), 410},
      {"/off", text, html()},
      {"/personal", text, html({{"Cache-Control", "public"}}), 200, {{"Cookie", "session=1"}}},
      {"/signed", text, html({{"Signature", "a=:YQ==:"}, {"Signature-Input", "a=(\"etag\")"}})},
      // This one's clients ask for it as it is; others may have it compressed.
      {"/asked", text, html(), 200, {{"Cache-Control", "no-transform"}}, true},
  };
  for (const Row& row : rows) {
    upstream.answer(row.target, [row](Exchange& exchange) {
      Fields fields{{"Cache-Control", "max-age=60"}};
      for (const auto& [name, value] : row.fields) fields.add(name, value);
      exchange.respond(row.status, fields, row.body);
    });
  }
  upstream.answer("/control", cacheable(page("control"), html()));
  Pillion proxy(config_for(upstream.endpoint(), R"(routes:
  - { name: "off", path: /off, freshness: origin, compress_answers: off }
  - { name: personal, path: /personal, freshness: origin, personal: { cookies: [session] } }
  - { name: all, path: /**, freshness: origin }
)"));
  HttpClient client = proxy.connect();
  for (const Row& row : rows) {
    Fields fields = accepting("gzip, br, zstd");
    for (const auto& [name, value] : row.asked) fields.add(name, value);
    for (int i = 0; i < 4 * hot; ++i) client.get(row.target, fields);
  }
  heat(proxy, "/asked", accepting("gzip", {{"Cache-Control", "no-transform"}}), "/control");
  for (const Row& row : rows) {
    CAPTURE(row.target);
    Fields fields = accepting("gzip, br, zstd");
    for (const auto& [name, value] : row.asked) fields.add(name, value);
    const Response answer = proxy.get(row.target, fields);
    CHECK(answer.status == row.status);
    CHECK(outcome(answer) == "hit");
    CHECK(answer["Content-Encoding"] == row.fields["Content-Encoding"]);
    CHECK(answer.body == row.body);
    CHECK(answer.fields.has("Vary") == row.varies);
    CHECK(answer["Content-Length"] == std::to_string(row.body.size()));
  }
  CHECK(proxy.metric("pillion_compressed_total") == 3);  // of the control
}

TEST_CASE("compressed answers: an invalidated or refreshed response has no part in what was made of the old one") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  auto version = std::make_shared<std::atomic<int>>(1);
  upstream.answer("/", [version](Exchange& exchange) {
    exchange.respond(200, html({{"Cache-Control", "max-age=60"}}), page(std::to_string(version->load())));
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  for (int i = 1; i <= 4; ++i) {
    *version = i;
    CAPTURE(i);
    proxy.invalidate(R"({"all": true})");
    const Response first = proxy.get("/", accepting("br"));
    CHECK(first["Content-Encoding"].empty());
    CHECK(first.body == page(std::to_string(i)));
    CHECK(text_of(until_encoded(proxy, "/", accepting("br"), "br")) == page(std::to_string(i)));
  }
  // The client's own wish for a fresh one.
  *version = 5;
  CHECK(text_of(proxy.get("/", accepting("br", {{"Cache-Control", "no-cache"}}))) == page("5"));
  CHECK(text_of(proxy.get("/", accepting("br"))) == page("5"));
}

TEST_CASE("compressed answers: a response that a 304 confirms keeps what was made of it") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  auto said = std::make_shared<std::atomic<int>>(1);
  upstream.answer("/", [said](Exchange& exchange) {
    const int now = said->load();
    Fields fields = html({{"Cache-Control", now == 99 ? "max-age=60, no-transform" : "max-age=60"},
                          {"ETag", "\"v1\""},
                          {"X-Said", std::to_string(now)}});
    const bool same = exchange.request().fields.has("If-None-Match");
    exchange.respond(same ? 304 : 200, fields, same ? "" : page());
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  until_encoded(proxy, "/", accepting("br"), "br");
  until_encoded(proxy, "/", accepting("gzip"), "gzip");
  const double bytes = proxy.metric("pillion_store_bytes{tier=\"memory\"}");
  for (int i = 2; i < 8; ++i) {
    CAPTURE(i);
    *said = i;
    const Response confirmed = proxy.get("/", accepting("br", {{"Cache-Control", "no-cache"}}));
    CHECK(cache_status(confirmed).detail == "revalidated");
    for (const Response& answer : {confirmed, proxy.get("/", accepting("br")), proxy.get("/", accepting("gzip"))}) {
      CHECK(answer.status == 200);
      CHECK_FALSE(answer["Content-Encoding"].empty());
      CHECK(answer["X-Said"] == std::to_string(i));
      CHECK(answer["ETag"] == "W/\"v1\"");
      CHECK(answer["Vary"] == "Accept-Encoding");
      CHECK(answer["Content-Length"] == std::to_string(answer.body.size()));
      CHECK(text_of(answer) == page());
    }
    CHECK(proxy.get("/")["X-Said"] == std::to_string(i));
    CHECK(proxy.metric("pillion_store_bytes{tier=\"memory\"}") == bytes);
  }
  CHECK(proxy.metric("pillion_compressed_total{coding=\"br\"}") == 1);
  CHECK(proxy.metric("pillion_compressed_total{coding=\"gzip\"}") == 1);
  // Whatever it says now binds what was made before, too.
  *said = 99;
  CHECK(proxy.get("/", accepting("br", {{"Cache-Control", "no-cache"}}))["Content-Encoding"].empty());
  const Response after = proxy.get("/", accepting("br"));
  CHECK(after["Content-Encoding"].empty());
  CHECK(after["X-Said"] == "99");
  CHECK(after.body == page());
  CHECK(upstream.count() == 8);
}

TEST_CASE("compressed answers: invalidated while clients read and one is compressed, nobody gets an old text") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  auto version = std::make_shared<std::atomic<int>>(0);
  upstream.answer("/", [version](Exchange& exchange) {
    exchange.respond(200, html({{"Cache-Control", "max-age=60"}}), page(std::to_string(version->load())));
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  std::atomic<int> valid{0};  // what has been invalidated since must not come any more
  std::atomic<bool> ends{false};
  std::atomic<int> encoded{0};
  in_parallel(4, [&](int reader) {
    if (reader == 0) {
      for (int i = 1; i <= 40; ++i) {
        *version = i;
        proxy.invalidate(R"({"all": true})");
        valid = i;
        HttpClient client = proxy.connect();
        for (int n = 0; n < 3 * hot; ++n) client.get("/", accepting("gzip"));
      }
      ends = true;
      return;
    }
    HttpClient client = proxy.connect();
    const char* const codings[] = {"gzip", "br", "zstd"};
    for (int n = 0; !ends; ++n) {
      const int at_least = valid;
      const Response answer = client.get("/", accepting(codings[n % 3]));
      const std::string text = text_of(answer);
      bool found = false;
      for (int i = at_least; i <= version->load() && !found; ++i) found = text == page(std::to_string(i));
      if (!found) throw std::runtime_error("an old text, or none that ever was");
      if (!answer["Content-Encoding"].empty()) ++encoded;
    }
  });
  CHECK(encoded > 0);
}

TEST_CASE("compressed answers: what doesn't save an eighth stays as it is") {
  if (without_memory()) return;
  std::string noise(20'000, '\0');
  std::uint64_t state = 88172645463325252u;
  for (char& c : noise) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = static_cast<char>(state >> 32);
  }
  ScriptedUpstream upstream;
  upstream.answer("/", cacheable(noise, html()));
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  for (int i = 0; i <= 2 * hot; ++i) client.get("/", accepting("gzip"));
  CHECK(eventually([&] { return proxy.metric("pillion_compression_left_total{why=\"given-up\"}") == 1; }));
  const Response answer = client.get("/", accepting("gzip"));
  CHECK(answer["Content-Encoding"].empty());
  CHECK(answer.body == noise);
  for (int i = 0; i <= 4 * hot; ++i) client.get("/", accepting("gzip"));
  CHECK(proxy.metric("pillion_compression_left_total{why=\"given-up\"}") == 1);
}

TEST_CASE("compressed answers: figures, log and Cache-Status tell") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  upstream.answer("/", cacheable(page(), html()));  // without a validator: once invalidated it is of no use
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  const double before = proxy.metric("pillion_store_bytes{tier=\"memory\"}");
  const Response answer = until_encoded(proxy, "/", accepting("zstd"), "zstd");
  CHECK(cache_status(answer).detail == "memory");
  CHECK(cache_status(answer).text.ends_with("; coding=zstd"));
  const auto saved = static_cast<double>(page().size() - answer.body.size());
  CHECK(eventually([&] { return proxy.metric("pillion_compressed_answers_total") >= 1; }));
  CHECK(proxy.metric("pillion_compressed_total{coding=\"zstd\"}") == 1);
  CHECK(proxy.metric("pillion_compressed_total{coding=\"br\"}") == 0);
  CHECK(proxy.metric("pillion_compressed_saved_bytes_total") == saved);
  const double after = proxy.metric("pillion_store_bytes{tier=\"memory\"}");
  CHECK(after >= before + static_cast<double>(answer.body.size()));
  const Json stats = Json::parse(proxy.admin_get("/stats").body);
  CHECK(stats["totals"]["compressed"]["answers"].number == 1);
  CHECK(stats["totals"]["compressed"]["saved_bytes"].number == saved);
  const Json explained = Json::parse(proxy.admin_get("/explain?url=http://app.test/").body);
  CHECK(explained["compress_answers"].boolean);
  CHECK(explained["stored"]["encoded"]["zstd"].number == static_cast<double>(answer.body.size()));
  CHECK_FALSE(explained["stored"]["encoded"].has("br"));
  proxy.process().wait_for_out_line("\"coding\":\"zstd\"");
  proxy.invalidate(R"({"all": true})");
  CHECK(eventually([&] { return proxy.metric("pillion_store_bytes{tier=\"memory\"}") < before; }));
}

TEST_CASE("compressed answers: a reload turns it off for what is stored already, and on again") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  serve_pages(upstream);
  const std::string on = one_route(upstream.endpoint(), "    freshness: origin\n    compress_answers: on\n");
  Pillion proxy(on);
  until_encoded(proxy, "/", accepting("gzip"), "gzip");
  const std::string running = read_file(proxy.config_file());
  std::string changed = running;
  changed.replace(changed.find("compress_answers: on"), 20, "compress_answers: off");
  write_file(proxy.config_file(), changed);
  CHECK(proxy.admin_post("/reload", "{}").status == 200);
  CHECK(eventually([&] { return proxy.get("/", accepting("gzip"))["Content-Encoding"].empty(); }));
  const Response plain = proxy.get("/", accepting("gzip"));
  CHECK(plain.body == page());
  CHECK_FALSE(plain.fields.has("Vary"));
  CHECK(plain["ETag"] == "\"v1\"");
  CHECK(outcome(plain) == "hit");
  write_file(proxy.config_file(), running);
  CHECK(proxy.admin_post("/reload", "{}").status == 200);
  until_encoded(proxy, "/", accepting("gzip"), "gzip");
}

TEST_CASE("compressed answers: Redis has the plain one alone") {
  if (without_memory()) return;
  RedisServer redis;
  ScriptedUpstream upstream;
  serve_pages(upstream);
  Pillion proxy(one_route(upstream.endpoint(), "    freshness: origin\n", redis_store(redis.settings())));
  proxy.get("/");
  REQUIRE(eventually([&] { return redis.keys("api:all:*").size() == 1; }));
  const std::string key = redis.keys("api:all:*")[0];
  const std::string value = redis.command({"GET", key}).text;
  until_encoded(proxy, "/", accepting("gzip"), "gzip");
  CHECK(redis.command({"GET", key}).text == value);
  CHECK(redis.keys("api:all:*").size() == 1);
  proxy.restart();
  const Response again = proxy.get("/", accepting("gzip"));
  CHECK(detailed(again) == "hit redis");
  CHECK(again["Content-Encoding"].empty());
  CHECK(again["Vary"] == "Accept-Encoding");
  CHECK(again.body == page());
  until_encoded(proxy, "/", accepting("gzip"), "gzip");
  CHECK(upstream.count() == 1);
}

TEST_CASE("compressed answers: beside an application that compresses itself") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  upstream.answer("/", [](Exchange& exchange) {
    // It knows gzip alone (and doesn't really compress: nobody here decodes it).
    const bool gzip = exchange.request().fields["Accept-Encoding"].find("gzip") != std::string::npos;
    Fields fields = html({{"Cache-Control", "max-age=60"}, {"Vary", "Accept-Encoding"}});
    if (gzip) fields.add("Content-Encoding", "gzip");
    exchange.respond(200, fields, gzip ? "by the application" : page());
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  for (int i = 0; i < 4 * hot; ++i) {
    const Response answer = client.get("/", accepting("gzip, br"));
    CHECK(answer.body == "by the application");
    CHECK(answer["Content-Encoding"] == "gzip");
  }
  const Response encoded = until_encoded(proxy, "/", accepting("br"), "br");
  CHECK(text_of(encoded) == page());
  CHECK(encoded["Vary"] == "Accept-Encoding");
  CHECK(client.get("/", accepting("gzip, br")).body == "by the application");
}

TEST_CASE("compressed answers: large and hot ones are compressed while others are served") {
  if (without_memory()) return;
  ScriptedUpstream upstream;
  std::string large;
  while (large.size() < 900'000) large += page(std::to_string(large.size()));
  upstream.answer("/large", cacheable(large, html()));
  serve_pages(upstream);
  Pillion proxy(caching_config(upstream.endpoint()));
  in_parallel(3, [&](int i) {
    const char* const codings[] = {"gzip", "br", "zstd"};
    const Response answer = until_encoded(proxy, "/large", accepting(codings[i]), codings[i]);
    if (text_of(answer) != large) throw std::runtime_error("another text");
  });
}
