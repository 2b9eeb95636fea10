// What may be stored (RFC 9111 3; product contract, "Lifetime"; threats 10, 11, 13).
#include "core/storability.hpp"

#include <doctest/doctest.h>

#include <string>

#include "core/http_date.hpp"
#include "message_builder.hpp"

using namespace pillion;
using namespace std::chrono_literals;
using config::Personal;
using pillion::test::Lines;
using pillion::test::start_s;

namespace {

constexpr Now arrival{start_s * 1000, 50'000};

/// One exchange: fields of the request, status and fields of the response.
struct Exchange {
  std::string request;
  std::string response;
  unsigned status = 200;
  Method method = Method::get;
};

StoreDecision decide(const Exchange& exchange, const config::Route& route) {
  const Lines request_fields(exchange.request), response_fields(exchange.response);
  RequestHead request;
  request.method = exchange.method;
  request.fields = request_fields;
  ResponseHead response;
  response.status = exchange.status;
  response.fields = response_fields;
  const RequestFacts facts = facts_of(request);
  ResponseMeta meta = make_meta(response, arrival.mono_ms, arrival);
  meta.request_had_cookie = facts.has_cookie;
  meta.request_had_authorization = facts.has_authorization;
  const StoreDecision decision = may_store(facts, meta, response_fields, route);
  CHECK(decision.store == (decision.reason == Detail::none));
  return decision;
}

std::string_view reason(const Exchange& exchange, const config::Route& route) {
  return to_string(decide(exchange, route).reason);
}

config::Route caching() {
  config::Route route;
  route.cache = config::CacheMode::on;
  return route;
}

config::Route with_ttl(config::FreshnessFrom from = config::FreshnessFrom::origin_first) {
  config::Route route = caching();
  route.ttl = 60s;
  route.freshness = from;
  return route;
}

constexpr const char* fresh = "Cache-Control: max-age=60";

}  // namespace

TEST_CASE("storability: the facts of a request") {
  const Lines fields("cookie: a=b\nAuthorization: Basic x\nRange: bytes=0-1\nCache-Control: max-age=5");
  RequestHead request;
  request.method = Method::head;
  request.fields = fields;
  const RequestFacts facts = facts_of(request);
  CHECK(facts.has_cookie);
  CHECK(facts.has_authorization);
  CHECK(facts.has_range);
  CHECK(facts.directives.max_age == 5);
  CHECK(facts.method == Method::head);
  const RequestFacts none = facts_of(RequestHead{});
  CHECK_FALSE((none.has_cookie || none.has_authorization || none.has_range));
}

TEST_CASE("storability: a request is personal by what the route neither ignores nor keys on") {
  RequestFacts facts;
  config::Route route;
  CHECK_FALSE(personal_parts(facts, route).cookie);
  CHECK_FALSE(personal_parts(facts, route).authorization);
  facts.has_cookie = facts.has_authorization = true;
  CHECK(personal_parts(facts, route).cookie);
  CHECK(personal_parts(facts, route).authorization);
  for (Personal rule : {Personal::ignore, Personal::key}) {
    config::Route lenient;
    lenient.personal_cookies = rule;
    CHECK_FALSE(personal_parts(facts, lenient).cookie);
    CHECK(personal_parts(facts, lenient).authorization);
    config::Route other;
    other.personal_authorization = rule;
    CHECK(personal_parts(facts, other).cookie);
    CHECK_FALSE(personal_parts(facts, other).authorization);
  }
}

TEST_CASE("storability: responses to GET alone are stored, on routes that cache") {
  CHECK(reason({"", fresh}, caching()) == "");
  for (Method m : {Method::head, Method::post, Method::options, Method::put, Method::other})
    CHECK(reason({"", fresh, 200, m}, caching()) == "method");
  CHECK(reason({"", fresh}, config::Route{}) == "cache-off");
}

TEST_CASE("storability: a final status that speaks of the resource is stored with an explicit lifetime") {
  for (unsigned status : {200u, 201u, 202u, 203u, 204u, 299u, 300u, 301u, 302u, 303u, 307u, 308u, 404u, 405u, 406u,
                          410u, 418u, 451u, 499u})
    CHECK_MESSAGE(reason({"", fresh, status}, caching()) == "", status);
}

TEST_CASE("storability: errors that one odd request can provoke are stored only where the route names them") {
  for (unsigned status : {400u, 401u, 403u, 407u, 408u, 412u, 413u, 414u, 416u, 417u, 421u, 425u, 426u,
                          500u, 501u, 502u, 503u, 504u, 505u, 506u, 507u, 508u, 510u, 511u, 600u, 999u}) {
    CAPTURE(status);
    config::Route route = with_ttl();
    CHECK(reason({"", fresh, status}, route) == "status");
    route.ttl_by_status[static_cast<int>(status)] = 1s;
    CHECK(reason({"", fresh, status}, route) == "");
    CHECK(reason({"", "", status}, route) == "");
  }
}

TEST_CASE("storability: a status that nobody has registered is stored with an explicit lifetime alone") {
  for (unsigned status : {299u, 399u, 419u, 499u, 509u, 520u, 599u}) {
    CAPTURE(status);
    for (const char* explicitly : {"Cache-Control: max-age=60", "Cache-Control: s-maxage=60",
                                   "Expires: Fri, 31 Dec 9999 23:59:59 GMT", "Cache-Control: max-age=0\nETag: \"a\""})
      CHECK_MESSAGE(reason({"", explicitly, status}, caching()) == "", explicitly);
    for (const char* silent : {"", "Cache-Control: public", "ETag: \"a\"", "Cache-Control: max-age=0",
                               "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"}) {
      CAPTURE(silent);
      CHECK(reason({"", silent, status}, with_ttl()) == "no-lifetime");
      CHECK(reason({"", silent, status}, with_ttl(config::FreshnessFrom::route)) == "no-lifetime");
    }
    CHECK(reason({"", "Cache-Control: max-age=60, no-store", status}, caching()) == "no-store");
    CHECK(reason({"", "Cache-Control: max-age=60, private", status}, caching()) == "private");
    config::Route named = caching();
    named.ttl_by_status[static_cast<int>(status)] = 1s;
    CHECK(reason({"", "", status}, named) == "");
  }
}

TEST_CASE("storability: what may be stored may be reused by its status too") {
  for (unsigned status : {200u, 299u, 404u, 499u, 599u, 400u, 503u}) {
    ResponseMeta meta;
    meta.status = static_cast<std::uint16_t>(status);
    CHECK_MESSAGE((refused_by(meta, {}, caching()) == Detail::none) == (status != 400 && status != 503), status);
  }
}

TEST_CASE("storability: no-cache alone stores what its status lets be stored unasked") {
  const char* lines = "Cache-Control: no-cache\nETag: \"a\"";
  for (unsigned status : {200u, 203u, 204u, 300u, 301u, 308u, 404u, 405u, 410u})
    CHECK_MESSAGE(reason({"", lines, status}, caching()) == "", status);
  for (unsigned status : {201u, 299u, 302u, 307u, 418u, 499u, 599u}) {
    CAPTURE(status);
    CHECK(reason({"", lines, status}, caching()) == "no-lifetime");
    CHECK(reason({"", "Cache-Control: no-cache, public\nETag: \"a\"", status}, caching()) == "");
    CHECK(reason({"", "Cache-Control: no-cache, max-age=0\nETag: \"a\"", status}, caching()) == "");
    CHECK(reason({"", "Cache-Control: no-cache\nExpires: 0\nETag: \"a\"", status}, caching()) == "");
    config::Route named = caching();
    named.ttl_by_status[static_cast<int>(status)] = 1s;
    CHECK(reason({"", lines, status}, named) == "");
  }
}

TEST_CASE("storability: what is stale from the start is stored where it may be used while stale") {
  struct Row {
    const char* response;
    const char* reason;
  };
  const Row rows[] = {
      {"Cache-Control: max-age=0, stale-while-revalidate=60", ""},
      {"Cache-Control: max-age=0, stale-if-error=60", ""},
      {"Cache-Control: max-age=60, stale-if-error=60\nAge: 119", ""},
      {"Cache-Control: max-age=60, stale-if-error=60\nAge: 120", "no-lifetime"},
      {"Cache-Control: max-age=0, stale-while-revalidate=0", "no-lifetime"},
      {"Cache-Control: max-age=0, stale-while-revalidate=60, must-revalidate", "no-lifetime"},
      {"Cache-Control: s-maxage=0, stale-if-error=60", "no-lifetime"},
      {"Cache-Control: stale-while-revalidate=60", "no-lifetime"},
      {"Cache-Control: no-cache, stale-while-revalidate=60", "no-cache"},
  };
  for (const Row& row : rows) CHECK_MESSAGE(reason({"", row.response}, caching()) == row.reason, row.response);
  config::Route route = caching();
  route.stale_if_error = 60s;
  CHECK(reason({"", "Cache-Control: max-age=0"}, route) == "");
}

TEST_CASE("storability: some statuses are never stored, not even on demand") {
  config::Route route = with_ttl();
  for (int status : {100, 101, 103, 206, 304, 429, 431}) route.ttl_by_status[status] = 60s;
  for (unsigned status : {0u, 100u, 101u, 103u, 199u, 304u, 429u, 431u})
    CHECK_MESSAGE(reason({"", fresh, status}, route) == "status", status);
  CHECK(reason({"", fresh, 206}, route) == "partial");
}

TEST_CASE("storability: must-understand wants a status whose caching is known, and lifts no-store then") {
  CHECK(reason({"", "Cache-Control: max-age=60, must-understand"}, caching()) == "");
  CHECK(reason({"", "Cache-Control: max-age=60, must-understand, no-store"}, caching()) == "");
  CHECK(reason({"", "Cache-Control: max-age=60, must-understand", 299}, caching()) == "must-understand");
  CHECK(reason({"", "Cache-Control: max-age=60, must-understand, no-store", 299}, caching()) == "must-understand");
  CHECK(reason({"", "Cache-Control: max-age=60, must-understand=x, no-store"}, caching()) == "no-store");
}

TEST_CASE("storability: no-store forbids storing, by the request or by the response") {
  CHECK(reason({"Cache-Control: no-store", fresh}, caching()) == "request-no-store");
  CHECK(reason({"", "Cache-Control: max-age=60, no-store"}, caching()) == "no-store");
  CHECK(reason({"", "Cache-Control: max-age=60\nCache-Control: No-Store"}, caching()) == "no-store");
  CHECK(reason({"", "Cache-Control: public, max-age=60, no-store=\"x\""}, caching()) == "no-store");
  CHECK(reason({"", "Cache-Control: no-store"}, with_ttl(config::FreshnessFrom::route)) == "no-store");
  config::Route ignoring = with_ttl();
  ignoring.ignore_no_store = true;
  CHECK(reason({"", "Cache-Control: no-store"}, ignoring) == "");
  CHECK(reason({"Cache-Control: no-store", ""}, ignoring) == "request-no-store");
  CHECK(reason({"", "Cache-Control: no-store, private"}, ignoring) == "private");
}

TEST_CASE("storability: private forbids storing, with field names too") {
  CHECK(reason({"", "Cache-Control: max-age=60, private"}, caching()) == "private");
  CHECK(reason({"", "Cache-Control: max-age=60, private=\"x\""}, caching()) == "private");
  CHECK(reason({"", "Cache-Control: public, s-maxage=60, private"}, caching()) == "private");
  CHECK(reason({"", "Cache-Control: private"}, with_ttl(config::FreshnessFrom::route)) == "private");
  config::Route ignoring = with_ttl();
  ignoring.ignore_private = true;
  CHECK(reason({"", "Cache-Control: private"}, ignoring) == "");
  CHECK(reason({"", "Cache-Control: private, no-store"}, ignoring) == "no-store");
}

TEST_CASE("storability: a request with Authorization needs public, s-maxage or must-revalidate") {
  struct Row {
    const char* directives;
    const char* reason;
  };
  const Row rows[] = {
      {"max-age=60", "authorization"},
      {"max-age=60, public", ""},
      {"s-maxage=60", ""},
      {"max-age=60, must-revalidate", ""},
      {"max-age=60, proxy-revalidate", "authorization"},
      {"max-age=60, must-revalidate=x", "authorization"},
      {"max-age=60, public=x", "authorization"},
      {"max-age=60, s-maxage=x", "authorization"},  // malformed
      {"max-age=60, immutable", "authorization"},
      {"max-age=60, public, private", "private"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.directives);
    CHECK(reason({"Authorization: Bearer x", "Cache-Control: " + std::string(row.directives)}, caching()) ==
          row.reason);
  }
  // The route's own ttl permits nothing, but gives a lifetime to what is permitted.
  CHECK(reason({"Authorization: Bearer x", ""}, with_ttl()) == "authorization");
  CHECK(reason({"Authorization: Bearer x", "Cache-Control: public"}, with_ttl()) == "");
  for (Personal rule : {Personal::ignore, Personal::key}) {
    config::Route route = with_ttl();
    route.personal_authorization = rule;
    CHECK(reason({"Authorization: Bearer x", ""}, route) == "");
  }
}

TEST_CASE("storability: a request with Cookie needs an explicit lifetime") {
  struct Row {
    const char* response;
    const char* reason;
  };
  const Row rows[] = {
      {"", "cookie"},
      {"Cache-Control: public", "cookie"},
      {"Cache-Control: no-cache\nETag: \"a\"", "cookie"},
      {"Cache-Control: max-age=0\nETag: \"a\"", "cookie"},
      {"Cache-Control: max-age=x", "cookie"},
      {"Expires: 0", "cookie"},
      {"Cache-Control: max-age=60", ""},
      {"Cache-Control: s-maxage=60, max-age=0", ""},
      {"Expires: Fri, 31 Dec 9999 23:59:59 GMT", ""},
  };
  for (auto from : {config::FreshnessFrom::origin_first, config::FreshnessFrom::route}) {
    for (const Row& row : rows) {
      CAPTURE(row.response);
      CHECK(reason({"Cookie: a=b", row.response}, with_ttl(from)) == row.reason);
    }
  }
  for (Personal rule : {Personal::ignore, Personal::key}) {
    config::Route route = with_ttl();
    route.personal_cookies = rule;
    CHECK(reason({"Cookie: a=b", ""}, route) == "");
  }
  CHECK(reason({"Cookie: a=b\nAuthorization: Bearer x", fresh}, with_ttl()) == "authorization");
  CHECK(reason({"Cookie: a=b\nAuthorization: Bearer x", "Cache-Control: public"}, with_ttl()) == "cookie");
  CHECK(reason({"Cookie: a=b\nAuthorization: Bearer x", "Cache-Control: public, max-age=60"}, with_ttl()) == "");
}

TEST_CASE("storability: ignoring private or no-store shares nothing that looks personal") {
  config::Route route = with_ttl();
  route.ignore_private = route.ignore_no_store = true;
  CHECK(reason({"", "Cache-Control: private, no-store, max-age=60"}, route) == "");
  CHECK(reason({"Cookie: a=b", "Cache-Control: private, max-age=60"}, route) == "cookie");
  CHECK(reason({"Cookie: a=b", "Cache-Control: no-store, max-age=60"}, route) == "cookie");
  CHECK(reason({"Authorization: Bearer x", "Cache-Control: private, must-revalidate"}, route) == "authorization");
  route.personal_cookies = Personal::ignore;
  CHECK(reason({"Cookie: a=b", "Cache-Control: private, max-age=60"}, route) == "");
}

TEST_CASE("storability: a response fetched by a personal request is one whoever asks about it") {
  // The flags of the fetch count even where the facts of the request that are given have less.
  ResponseMeta meta;
  meta.status = 200;
  meta.request_had_cookie = true;
  CHECK(may_store({}, meta, {}, with_ttl()).reason == Detail::cookie);
  meta.request_had_cookie = false;
  meta.request_had_authorization = true;
  CHECK(may_store({}, meta, {}, with_ttl()).reason == Detail::authorization);
}

TEST_CASE("storability: a response with Set-Cookie is stored where the route says what becomes of it") {
  const std::string response = "Set-Cookie: a=b\nCache-Control: public, max-age=60";
  config::Route route = caching();
  CHECK(reason({"", response}, route) == "set-cookie");
  route.set_cookie = config::SetCookie::strip;
  CHECK(reason({"", response}, route) == "");
  route.set_cookie = config::SetCookie::store;
  CHECK(reason({"", response}, route) == "");
}

TEST_CASE("storability: a Vary that can't be matched is not stored") {
  for (const char* vary :
       {"Vary: *", "Vary: accept, *", "Vary: accept\nVary: *", "Vary: \"accept\"", "Vary: a b", "Vary: accept;q=1"})
    CHECK_MESSAGE(reason({"", std::string(fresh) + "\n" + vary}, caching()) == "vary-star", vary);
  for (const char* vary : {"Vary: accept", "Vary: Accept, Accept-Encoding", "Vary:", "Vary: cookie"})
    CHECK_MESSAGE(reason({"", std::string(fresh) + "\n" + vary}, caching()) == "", vary);
  std::string sixteen = "Vary: a0";
  for (int i = 1; i < 16; ++i) sixteen += ", a" + std::to_string(i);
  CHECK(reason({"", std::string(fresh) + "\n" + sixteen}, caching()) == "");
  CHECK(reason({"", std::string(fresh) + "\n" + sixteen + "\nVary: b"}, caching()) == "vary-star");
}

TEST_CASE("storability: a silent response needs a lifetime from the route") {
  CHECK(reason({"", ""}, caching()) == "no-lifetime");
  CHECK(reason({"", "ETag: \"a\""}, caching()) == "no-lifetime");
  CHECK(reason({"", "Cache-Control: public"}, caching()) == "no-lifetime");
  CHECK(reason({"", ""}, with_ttl()) == "");
  CHECK(reason({"", "", 404}, with_ttl()) == "no-lifetime");
  CHECK(reason({"", ""}, with_ttl(config::FreshnessFrom::origin)) == "no-lifetime");
}

TEST_CASE("storability: what is stale from the start is stored only where it can be validated") {
  struct Row {
    const char* response;
    const char* reason;
  };
  const Row rows[] = {
      {"Cache-Control: max-age=0", "no-lifetime"},
      {"Cache-Control: max-age=0\nETag: \"a\"", ""},
      {"Cache-Control: max-age=0\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT", ""},
      {"Cache-Control: max-age=0\nETag: a", "no-lifetime"},
      {"Cache-Control: max-age=abc", "no-lifetime"},
      {"Expires: 0", "no-lifetime"},
      {"Cache-Control: max-age=60\nAge: 59", ""},
      {"Cache-Control: max-age=60\nAge: 60", "no-lifetime"},
      {"Cache-Control: max-age=60\nAge: 60\nETag: \"a\"", ""},
  };
  for (const Row& row : rows) CHECK_MESSAGE(reason({"", row.response}, caching()) == row.reason, row.response);
  config::Route nothing = with_ttl();
  nothing.ttl = 0s;
  CHECK(reason({"", "ETag: \"a\""}, nothing) == "no-lifetime");
}

TEST_CASE("storability: no-cache is stored only where there is something to validate by") {
  for (const config::Route& route : {caching(), with_ttl(), with_ttl(config::FreshnessFrom::route)}) {
    CHECK(reason({"", "Cache-Control: no-cache, max-age=60"}, route) == "no-cache");
    CHECK(reason({"", "Cache-Control: no-cache"}, route) == "no-cache");
    CHECK(reason({"", "Cache-Control: no-cache\nETag: \"a\""}, route) == "");
    CHECK(reason({"", "Cache-Control: no-cache\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT"}, route) == "");
  }
  config::Route ignoring = with_ttl();
  ignoring.ignore_no_cache = true;
  CHECK(reason({"", "Cache-Control: no-cache"}, ignoring) == "");
  CHECK(reason({"", "Cache-Control: no-cache, max-age=0"}, ignoring) == "no-lifetime");
}

TEST_CASE("storability: for personal requests a lifetime is never longer than the response says") {
  const PersonalParts nobody{}, cookie{false, true}, authorization{true, false};
  const auto lifetime = [](const char* response, PersonalParts personal) {
    const Lines fields(response);
    ResponseHead head;
    head.status = 200;
    head.fields = fields;
    return permitted_lifetime(make_meta(head, arrival.mono_ms, arrival), personal,
                              with_ttl(config::FreshnessFrom::route))
        .ms;
  };
  CHECK(lifetime("Cache-Control: max-age=5", nobody) == 60'000);
  CHECK(lifetime("Cache-Control: max-age=5", cookie) == 5000);
  CHECK(lifetime("Cache-Control: max-age=500", cookie) == 60'000);
  CHECK(lifetime("", cookie) == 0);
  CHECK(lifetime("Cache-Control: public, max-age=5", authorization) == 5000);
  CHECK(lifetime("Cache-Control: public", authorization) == 60'000);
}
