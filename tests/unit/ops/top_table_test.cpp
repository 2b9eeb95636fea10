#include "cli/top_table.hpp"

#include <doctest/doctest.h>

#include <boost/json/parse.hpp>

using pillion::cli::top_table;

namespace {

boost::json::object stats(int busy, int hits, int quiet) {
  const auto route = [](int requests, int of_memory, int bytes) {
    return R"({"requests": )" + std::to_string(requests) + R"(, "hits": {"memory": )" + std::to_string(of_memory) +
           R"(, "redis": 0}, "stale": 0, "bytes": )" + std::to_string(bytes) +
           R"(, "latency": {"p50": 0.5, "p90": 1, "p99": 12.25}})";
  };
  return boost::json::parse(R"({"totals": )" + route(busy + quiet, hits, busy * 1024) + R"(, "routes": {"busy": )" +
                            route(busy, hits, busy * 1024) + R"(, "quiet": )" + route(quiet, 0, 0) + R"(, "none": )" +
                            route(0, 0, 0) + "}}")
      .as_object();
}

}  // namespace

TEST_CASE("top: what has grown since the last answer, a second, the busiest first") {
  const std::string table = top_table(stats(300, 150, 10), stats(100, 0, 10), 2, 10);
  CHECK(table.find("ROUTE") == 0);
  const std::size_t busy = table.find("busy"), quiet = table.find("quiet"), all = table.find("all ");
  REQUIRE(busy != std::string::npos);
  REQUIRE(quiet != std::string::npos);
  CHECK(busy < quiet);
  CHECK(quiet < all);
  CHECK(table.find("none") == std::string::npos);
  const std::string line = table.substr(busy, table.find('\n', busy) - busy);
  CHECK(line.find("100.0   75.0 %       0.50      12.25    100.0 KiB") != std::string::npos);
}

TEST_CASE("top: rows are bounded, and what isn't there or went back counts as nothing") {
  const std::string table = top_table(stats(300, 150, 10), stats(400, 200, 20), 1, 1);
  CHECK(table.find("quiet") == std::string::npos);
  CHECK(table.find("... and 1 more") != std::string::npos);
  CHECK(table.find("0.0        -") != std::string::npos);
  CHECK(top_table({}, {}, 0, 5).find("all") != std::string::npos);
  CHECK_NOTHROW(top_table(boost::json::parse(R"({"routes": {"a": 1, "b": {"requests": "x", "hits": 3}}})").as_object(),
                          {}, 1, 5));
}
