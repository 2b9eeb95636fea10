// JSON of the admin API, as people read it.
#include "ops/json_text.hpp"

#include <doctest/doctest.h>

#include <boost/json/parse.hpp>
#include <cmath>
#include <cstdlib>
#include <limits>

using namespace pillion;
namespace json = boost::json;

TEST_CASE("json_text: numbers are plain decimals") {
  CHECK(json_text(80.6) == "80.6");
  CHECK(json_text(300.0) == "300");
  CHECK(json_text(-0.000125) == "-0.000125");
  CHECK(json_text(1e21) == "1000000000000000000000");
  CHECK(json_text(std::uint64_t{18446744073709551615u}) == "18446744073709551615");
  CHECK(json_text(-7) == "-7");
  for (const double number : {std::numeric_limits<double>::max(), std::numeric_limits<double>::denorm_min(), 0.1}) {
    CHECK(std::strtod(json_text(number).c_str(), nullptr) == number);
  }
  CHECK(json_text(std::nan("")) == "null");
  CHECK(json_text(std::numeric_limits<double>::infinity()) == "null");
}

TEST_CASE("json_text: everything else is as Boost.JSON writes it") {
  for (const char* text : {"{}", "[]", "null", "true", R"("a\"\\\n\u0001")", R"({"a":[1,{"b":null}],"c\"":"d"})",
                           R"([[],{},"",-1,false])"}) {
    CHECK(json_text(json::parse(text)) == text);
  }
}
