// Words for what the rules of RFC 9111 decide together: whether an exchange is stored, and what a stored response is to
// a later request. For the tests of this folder.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/http_date.hpp"
#include "core/reuse.hpp"
#include "core/validation.hpp"
#include "message_builder.hpp"

namespace pillion::test {

inline constexpr Now arrival{start_s * 1000, 50'000};
inline constexpr const char* modified = "Sun, 06 Nov 1994 08:49:37 GMT";

inline config::Route caching() {
  config::Route route;
  route.cache = config::CacheMode::on;
  return route;
}

inline std::string date(std::int64_t offset_s) {
  char out[http_date_size];
  write_http_date(start_s + offset_s, out);
  return {out, http_date_size};
}

inline RequestFacts asked(const std::string& lines, Method method = Method::get) {
  const Lines fields(lines);
  RequestHead request;
  request.method = method;
  request.fields = fields;
  return facts_of(request);
}

inline ResponseMeta came(const std::string& lines, unsigned status = 200, std::int64_t delay_ms = 0) {
  const Lines fields(lines);
  ResponseHead head;
  head.status = status;
  head.fields = fields;
  return make_meta(head, arrival.mono_ms - delay_ms, arrival);
}

/// A GET (or another) that is answered so: whether that may be stored.
inline bool stores(const std::string& response, unsigned status = 200, const std::string& request = "",
                   Method method = Method::get, const config::Route& route = caching()) {
  const RequestFacts facts = asked(request, method);
  ResponseMeta meta = came(response, status);
  meta.request_had_authorization = facts.has_authorization;
  return may_store(facts, meta, Lines(response), route).store;
}

/// What a stored response is to a request that comes `ms` after it.
inline std::string use(const std::string& response, std::int64_t ms, const std::string& request = "",
                       const config::Route& route = caching()) {
  const Now now{arrival.wall_ms + ms, arrival.mono_ms + ms};
  const ReuseDecision decision = may_reuse(asked(request), came(response), route, now);
  switch (decision.reuse) {
    case Reuse::fresh:
      return "answers";
    case Reuse::behind:
      return "answers and is refreshed";
    case Reuse::validate:
      return decision.serves_error ? "validated, or where that fails answers" : "validated";
    case Reuse::refuse:
      return "nothing";
  }
  return "";
}

inline StoredResponsePtr stored(const std::string& lines, unsigned status = 200) {
  const Lines fields(lines);
  StoredParts parts;
  parts.meta = came(lines, status);
  std::string head = "HTTP/1.1 200 OK\r\n";
  for (const Field& field : fields.fields()) head.append(field.name).append(": ").append(field.value).append("\r\n");
  parts.head = head;
  parts.etag = entity_tag_of(fields);
  parts.body = "body";
  return StoredResponse::make(parts);
}

struct Use {
  const char* response;
  std::int64_t ms;
  const char* request;
  const char* expected;
};

inline void check(const std::vector<Use>& rows) {
  for (const Use& row : rows) {
    CAPTURE(row.response);
    CAPTURE(row.ms);
    CAPTURE(row.request);
    CHECK(use(row.response, row.ms, row.request) == row.expected);
  }
}

}  // namespace pillion::test
