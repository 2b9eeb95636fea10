// What clients accept, in one spelling (RFC 9110 12.5.3, 12.5.4; RFC 4647 3.4).
#include "core/accept.hpp"

#include <doctest/doctest.h>

#include <string>

#include "message_builder.hpp"

using namespace pillion;
using pillion::test::Lines;

namespace {

std::string encoding(const std::string& value) {
  return normalised_accept_encoding(Lines("Accept-Encoding: " + value)).value_or("absent");
}

std::string language(const std::string& value, const std::vector<std::string>& spoken) {
  return normalised_accept_language(Lines("Accept-Language: " + value), spoken).value_or("none");
}

}  // namespace

TEST_CASE("accept: encodings that mean the same have one spelling") {
  struct Row {
    const char *value, *expected;
  };
  const Row rows[] = {
      {"gzip", "gzip"},
      {"GZip", "gzip"},
      {"gzip, br", "br, gzip"},
      {"br,gzip", "br, gzip"},
      {" br ,\tgzip,, ", "br, gzip"},
      {"gzip;q=1", "gzip"},
      {"gzip;q=1.", "gzip"},
      {"gzip;q=1.000", "gzip"},
      {"gzip ; q=1.0", "gzip"},
      {"gzip;\tQ=0.5", "gzip;q=0.5"},
      {"gzip;q=0.500", "gzip;q=0.5"},
      {"gzip;q=0.050", "gzip;q=0.05"},
      {"gzip;q=0.123", "gzip;q=0.123"},
      {"gzip;q=0.001", "gzip;q=0.001"},
      {"br;q=0", "br;q=0"},
      {"br;q=0.", "br;q=0"},
      {"br;q=0.000", "br;q=0"},
      {"x-gzip, X-Compress;q=0.2", "compress;q=0.2, gzip"},
      {"x-gzip, gzip, gzip;q=1.0", "gzip"},
      {"identity, *;q=0", "*;q=0, identity"},
      {"*", "*"},
      {"deflate, gzip;q=1.0, *;q=0.5", "*;q=0.5, deflate, gzip"},
      {"x-other", "x-other"},
      {"", ""},
      {",", ""},
      {" , ,", ""},
  };
  for (const Row& row : rows) CHECK_MESSAGE(encoding(row.value) == row.expected, row.value);
}

TEST_CASE("accept: encodings over several lines are one list") {
  CHECK(normalised_accept_encoding(Lines("Accept-Encoding: gzip\naccept-encoding: br")) == "br, gzip");
  CHECK(normalised_accept_encoding(Lines("Accept-Encoding: gzip;q=x\nAccept-Encoding: br")) == "gzip;q=x, br");
  CHECK(normalised_accept_encoding(Lines("Accept-Encoding:\nAccept-Encoding: a b")) == ", a b");
}

TEST_CASE("accept: no encodings are not the same as an empty list") {
  CHECK(normalised_accept_encoding(Lines("Accept: gzip")) == std::nullopt);
  CHECK(normalised_accept_encoding(Lines("Accept-Encoding:")) == "");
}

TEST_CASE("accept: malformed encodings stay as they came") {
  for (const char* value :
       {"gzip;q=2", "gzip;q=1.001", "gzip;q=0.1234", "gzip;q=.5",  "gzip;q=-1",      "gzip;q=",         "gzip;q",
        "gzip;",    "gzip; q =1",   "gzip;q= 1",     "gzip;x=1",   "gzip;q=0.5;x=1", "gzip br",         ";q=1",
        "g/z",      "\"gzip\"",     "GZIP;q=0x1",    "gzip;q=1,/", "gzip;q=1e0",     "Br, gzip;level=1"})
    CHECK_MESSAGE(encoding(value) == value, value);
}

TEST_CASE("accept: an encoding with two weights stays as it came") {
  CHECK(encoding("gzip;q=0.5, GZIP") == "gzip;q=0.5, GZIP");
  CHECK(encoding("x-gzip;q=0, gzip") == "x-gzip;q=0, gzip");
}

TEST_CASE("accept: what is reduced once is not reduced again") {
  for (const char* value : {"x-gzip;q=0.500, BR", "*;q=0,identity", "gzip;q=2", "", "gzip, gzip;q=0.5"})
    CHECK_MESSAGE(encoding(encoding(value)) == encoding(value), value);
}

TEST_CASE("accept: the language that the client likes best of those spoken") {
  const std::vector<std::string> spoken{"en", "de", "pt-BR", "zh-Hant"};
  struct Row {
    const char *value, *expected;
  };
  const Row rows[] = {
      {"en", "en"},
      {"DE", "de"},
      {"pt-br", "pt-BR"},
      {"de-AT", "de"},
      {"de-Latn-AT-1996", "de"},
      {"zh-Hant-TW", "zh-Hant"},
      {"zh-Hant-x-mine", "zh-Hant"},  // the single letter goes with what followed it
      {"de-x", "de"},
      {"pt", "none"},  // a range is made shorter, never a language
      {"zh", "none"},
      {"fr, de", "de"},
      {"de, en", "de"},
      {"en, de", "en"},
      {"en;q=0.5, de;q=0.8", "de"},
      {"en;q=0.5, de;q=0.5", "en"},
      {"en;q=0.8, de", "de"},
      {"fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", "en"},
      {"de-CH;q=0.9, en;q=0.8", "de"},
      {"*", "none"},
      {"*, de;q=0.1", "de"},
      {"fr", "none"},
      {"de;q=0", "none"},
      {"de-AT;q=0", "none"},
      {"de;q=0, en;q=0.1", "en"},
      {"de-AT, de;q=0", "none"},
      {"de-AT, DE;q=0, en;q=0.1", "en"},
      {"", "none"},
      {",, de ,", "de"},
  };
  for (const Row& row : rows) CHECK_MESSAGE(language(row.value, spoken) == row.expected, row.value);
}

TEST_CASE("accept: malformed languages are as none") {
  for (const char* value : {"de;q=2", "en, de;q=x", "de;level=1", "d_e", "de-", "-de", "de--AT", "abcdefghi",
                            "de-abcdefghi", "1de", "*-DE", "de en", "\"de\"", "de;"})
    CHECK_MESSAGE(language(value + std::string(", en"), {"de", "en"}) == "none", value);
  CHECK(language("de-1996", {"de"}) == "de");
  CHECK(language("de-x", {"de-x"}) == "de-x");
  CHECK(language("de-x-mine", {"de-x"}) == "none");
  CHECK(language("abcdefgh", {"abcdefgh"}) == "abcdefgh");
}

TEST_CASE("accept: languages over several lines are one list, and absent or unspoken ones are none") {
  const std::vector<std::string> spoken{"en", "de"};
  CHECK(normalised_accept_language(Lines("Accept-Language: en;q=0.5\nAccept-Language: de"), spoken) == "de");
  CHECK(normalised_accept_language(Lines("Accept-Language: en\nAccept-Language: ;"), spoken) == std::nullopt);
  CHECK(normalised_accept_language(Lines(""), spoken) == std::nullopt);
  CHECK(language("en", {}) == "none");
}

TEST_CASE("accept: a language is given as the application spells it") {
  CHECK(language("EN-us, de", {"de", "en-US", "EN-US"}) == "en-US");
}
