// Which responses are compressed for clients, and the heads of encoded bodies.
#include "core/compressible.hpp"

#include <doctest/doctest.h>

#include <string>

#include "core/freshness.hpp"
#include "core/stored_response.hpp"
#include "core/validation.hpp"

using namespace pillion;

namespace {

ResponseMeta meta_of(const std::string& lines, unsigned status = 200) {
  const std::string head = "HTTP/1.1 200 OK\r\n" + lines;
  const std::vector<Field> fields = fields_of_head(head);
  return make_meta(ResponseHead{status, {}, 1, Fields(fields)}, 0, Now{1'700'000'000'000, 1000});
}

bool is_compressible(const std::string& lines, unsigned status = 200) { return meta_of(lines, status).compressible; }

std::string encoded(const std::string& lines, Coding coding = Coding::br, std::size_t size = 77) {
  StoredParts parts;
  const std::string head = "HTTP/1.1 200 Fine\r\n" + lines;
  parts.meta = meta_of(lines);
  parts.head = head;
  return encoded_head(*StoredResponse::make(parts), coding, size);
}

}  // namespace

TEST_CASE("compressible: by media type") {
  for (const std::string type : {"text/html", "text/plain; charset=utf-8", "TEXT/CSS", "application/json",
                                 "application/json;charset=utf-8", "application/problem+json", "image/svg+xml",
                                 "application/atom+xml", "application/javascript", "application/wasm", "font/ttf"}) {
    CAPTURE(type);
    CHECK(is_compressible("Content-Type: " + type + "\r\n"));
  }
  for (const std::string type :
       {"image/png", "image/webp", "video/mp4", "application/octet-stream", "application/zip", "font/woff2",
        "text/event-stream", "text", "json", "application/jsonx", "+json/x", "multipart/byteranges; boundary=a"}) {
    CAPTURE(type);
    CHECK_FALSE(is_compressible("Content-Type: " + type + "\r\n"));
  }
  CHECK_FALSE(is_compressible(""));
  CHECK_FALSE(is_compressible("Content-Type: text/html\r\nContent-Type: text/plain\r\n"));
}

TEST_CASE("compressible: not what is encoded, partial, signed, or must not be transformed") {
  const std::string type = "Content-Type: text/html\r\n";
  CHECK(is_compressible(type + "Cache-Control: max-age=60\r\n"));
  for (const std::string field :
       {"Content-Encoding: gzip", "Content-Encoding: identity", "Content-Range: bytes 0-1/2",
        "Cache-Control: no-transform", "Cache-Control: max-age=60, No-Transform", "Cache-Control: no-transform=1",
        "CDN-Cache-Control: max-age=60, no-transform", "Pillion-Cache-Control: no-transform",
        "Cache-Control: no-transform\r\nPillion-Cache-Control: max-age=60", "Signature: sig1=:YQ==:"}) {
    CAPTURE(field);
    CHECK_FALSE(is_compressible(type + field + "\r\n"));
  }
  for (const unsigned status : {203u, 204u, 206u, 301u, 404u}) CHECK_FALSE(is_compressible(type, status));
  CHECK_FALSE(is_compressible_size(1024));
  CHECK(is_compressible_size(1025));
  CHECK(is_compressible_size(8u << 20));
  CHECK_FALSE(is_compressible_size((8u << 20) + 1));
}

TEST_CASE("compressible: no-transform beside a targeted field is remembered, since that field isn't") {
  const ResponseMeta meta =
      meta_of("Content-Type: text/html\r\nCache-Control: no-transform\r\nPillion-Cache-Control: max-age=60\r\n");
  CHECK(meta.directives.max_age == 60);
  CHECK(meta.directives.no_transform);
}

TEST_CASE("compressible: a Vary that names Accept-Encoding is known") {
  CHECK(meta_of("Vary: Accept-Language, accept-encoding\r\n").varies_by_coding);
  CHECK(meta_of("Vary: Accept-Language\r\nVary: Accept-Encoding\r\n").varies_by_coding);
  CHECK_FALSE(meta_of("Vary: Accept\r\n").varies_by_coding);
}

TEST_CASE("compressible: what is kept for some alone isn't compressed") {
  config::Route route;
  ResponseMeta meta;
  meta.request_had_cookie = meta.request_had_authorization = true;
  CHECK_FALSE(is_kept_personally(meta, route));
  route.personal_cookies = config::Personal::ignore;
  CHECK_FALSE(is_kept_personally(meta, route));
  route.personal_cookies = config::Personal::key;
  CHECK(is_kept_personally(meta, route));
  route.personal_cookies = config::Personal::careful;
  route.personal_authorization = config::Personal::key;
  CHECK(is_kept_personally(meta, route));
  meta.request_had_authorization = false;
  CHECK_FALSE(is_kept_personally(meta, route));
}

TEST_CASE("compressible: the head of an encoded body") {
  CHECK(encoded("Content-Type: text/html\r\nETag: \"a\"\r\nContent-Length: 5000\r\nX: y\r\n") ==
        "HTTP/1.1 200 Fine\r\nContent-Type: text/html\r\nETag: W/\"a\"\r\nX: y\r\nContent-Encoding: br\r\n"
        "Vary: Accept-Encoding\r\nContent-Length: 77\r\n");
  // A weak tag stays, a Vary that names it isn't repeated, and what was said of the plain bytes is left out.
  CHECK(encoded("ETag: W/\"a\"\r\nVary: Accept-Encoding, Origin\r\nAccept-Ranges: bytes\r\nContent-MD5: x\r\n"
                "Content-Digest: sha-256=:x:\r\nRepr-Digest: sha-256=:x:\r\nDigest: sha-256=x\r\n",
                Coding::zstd) ==
        "HTTP/1.1 200 Fine\r\nETag: W/\"a\"\r\nVary: Accept-Encoding, Origin\r\nContent-Encoding: zstd\r\n"
        "Content-Length: 77\r\n");
  CHECK(encoded("Vary: Origin\r\n", Coding::gzip) ==
        "HTTP/1.1 200 Fine\r\nVary: Origin\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n"
        "Content-Length: 77\r\n");
}

TEST_CASE("compressible: what was confirmed takes over the forms that were made of it, with heads of its own") {
  const std::string body(5000, 'x');
  const auto stored = [&](const std::string& lines) {
    const std::string head = "HTTP/1.1 200 OK\r\n" + lines;
    StoredParts parts;
    parts.meta = meta_of(lines);
    parts.head = head;
    parts.body = body;
    return StoredResponse::make(parts);
  };
  const auto old = stored("Content-Type: text/html\r\nETag: \"a\"\r\nX: old\r\n");
  REQUIRE(old->forms().add(Coding::br, EncodedForm::make("old head", "small")));
  const auto confirmed = stored("Content-Type: text/html\r\nETag: \"a\"\r\nX: new\r\n");
  const std::size_t plain = confirmed->footprint();
  take_over_forms(*confirmed, *old);
  const EncodedForm* form = confirmed->forms().find(Coding::br);
  REQUIRE(form != nullptr);
  CHECK(form->body() == "small");
  CHECK(form->head() == encoded_head(*confirmed, Coding::br, 5));
  CHECK(form->head().find("X: new\r\n") != std::string_view::npos);
  CHECK(confirmed->footprint() == plain + confirmed->forms().footprint());
  CHECK(confirmed->forms().footprint() > 0);
  CHECK(confirmed->forms().find(Coding::gzip) == nullptr);
  CHECK(old->forms().find(Coding::br)->head() == "old head");
  for (const std::string field : {"Cache-Control: no-transform", "Content-Encoding: br"}) {
    CAPTURE(field);
    const auto other = stored("Content-Type: text/html\r\n" + field + "\r\n");
    take_over_forms(*other, *old);
    CHECK(other->forms().find(Coding::br) == nullptr);
  }
  const auto nothing = stored("Content-Type: text/html\r\n");
  take_over_forms(*nothing, *stored("Content-Type: text/html\r\n"));
  CHECK(nothing->forms().footprint() == 0);
}
