// Words that the tests of the query cache share.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "support/pillion.hpp"

namespace pillion::support {

/// A query cache on a free port, and its types.
inline constexpr std::string_view query_settings =
    "query_cache: { address: 127.0.0.1:0 }\nttl: { character: 1h, list: 1h, brief: 100ms }\n";

/// The lease of what is missing, and loaded by nobody.
inline std::string lease_of(Pillion& proxy, const std::string& target) {
  const Response missing = proxy.query("GET", target);
  CHECK(missing.status == 404);
  REQUIRE(missing.fields.has("Lease"));
  return missing["Lease"];
}

/// A caller who waits.
class QueryAsking {
 public:
  QueryAsking(Pillion& proxy, const std::string& target) : client_(proxy.queries()) {
    client_.send_request("GET", target, {{"Host", "localhost"}});
  }
  Response answer() { return client_.read_response("GET"); }

 private:
  HttpClient client_;
};

}  // namespace pillion::support
