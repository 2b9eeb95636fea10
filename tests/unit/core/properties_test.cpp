// Properties that hold for any values: requests that differ for the upstream have different keys and those that differ
// only in what the route ignores have equal ones; what is printed is parsed back to the same.
#include <doctest/doctest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "core/cache_control.hpp"
#include "core/http_date.hpp"
#include "core/ranges.hpp"
#include "core/stored_response_codec.hpp"
#include "core/validation.hpp"
#include "random_values.hpp"
#include "request_spellings.hpp"
#include "response_flags.hpp"

using namespace pillion;
using namespace pillion::test;

TEST_CASE("properties: requests have equal keys exactly where they mean the same") {
  std::size_t equal = 0;
  for_each_seed(20'000, [&](Random& random) {
    CompiledRoute route;
    route.settings = random_route(random);
    const Meaning one = random_meaning(route.settings, random);
    Meaning other = one;
    for (std::size_t changes = random.below(3); changes > 0; --changes)
      set_part(other, random.below(part_count), route.settings, random);
    const std::string key = key_of(one, route, random), other_key = key_of(other, route, random);
    REQUIRE((key == other_key) == (one == other));
    equal += one == other;
  });
  CHECK(equal > 5'000);
  CHECK(equal < 15'000);
}

TEST_CASE("properties: values of one part never run into another") {
  // All that is there is one text, cut at random places: only the same cuts give the same key.
  for_each_seed(5'000, [](Random& random) {
    CompiledRoute route;
    route.settings.key_headers = {"X-Tenant"};
    const std::string text = random.text("uhpqnv\x01\x02", 6);
    const auto cut = [&] {
      std::array<std::size_t, 3> at{random.below(text.size() + 1), random.below(text.size() + 1),
                                    random.below(text.size() + 1)};
      std::ranges::sort(at);
      Meaning meaning;
      meaning.upstream = text.substr(0, at[0]);
      meaning.scheme = "http";
      meaning.host = text.substr(at[0], at[1] - at[0]);
      meaning.path = "/" + text.substr(at[1], at[2] - at[1]);
      meaning.tenants = {text.substr(at[2])};
      return meaning;
    };
    const Meaning one = cut(), other = cut();
    REQUIRE((key_of(one, route, random) == key_of(other, route, random)) == (one == other));
  });
}

namespace {

/// The two older forms of a date (RFC 9110 5.6.7), made of today's.
std::string asctime_form(const std::string& fixed) {
  std::string day = fixed.substr(5, 2);
  if (day[0] == '0') day[0] = ' ';
  return fixed.substr(0, 3) + " " + fixed.substr(8, 3) + " " + day + " " + fixed.substr(17, 8) + " " +
         fixed.substr(12, 4);
}
std::string rfc850_form(const std::string& fixed) {
  static const std::map<std::string, std::string> days{{"Mon", "Monday"},   {"Tue", "Tuesday"}, {"Wed", "Wednesday"},
                                                       {"Thu", "Thursday"}, {"Fri", "Friday"},  {"Sat", "Saturday"},
                                                       {"Sun", "Sunday"}};
  return days.at(fixed.substr(0, 3)) + ", " + fixed.substr(5, 2) + "-" + fixed.substr(8, 3) + "-" +
         fixed.substr(14, 2) + fixed.substr(16);
}

}  // namespace

TEST_CASE("properties: dates are read back from each of their forms") {
  constexpr std::int64_t year_0 = -62'167'219'200, year_9999 = 253'402'300'799;
  constexpr std::int64_t fifty_years_s = std::int64_t{50} * 365 * 86'400;
  for_each_seed(20'000, [&](Random& random) {
    const std::int64_t seconds = random.between(year_0, year_9999);
    char out[http_date_size];
    write_http_date(seconds, out);
    const std::string fixed(out, sizeof out);
    const std::int64_t now_s = std::clamp(seconds + random.between(-fifty_years_s, fifty_years_s), year_0, year_9999);
    for (const std::string& form : {fixed, random.recased(fixed), asctime_form(fixed), rfc850_form(fixed)}) {
      CAPTURE(form);
      REQUIRE(parse_http_date(form, now_s) == seconds);
    }
  });
}

namespace {

const std::vector<std::pair<const char*, std::int32_t ResponseDirectives::*>> response_numbers{
    {"max-age", &ResponseDirectives::max_age},
    {"s-maxage", &ResponseDirectives::s_maxage},
    {"stale-while-revalidate", &ResponseDirectives::stale_while_revalidate},
    {"stale-if-error", &ResponseDirectives::stale_if_error}};
const std::vector<std::pair<const char*, std::int32_t RequestDirectives::*>> request_numbers{
    {"max-age", &RequestDirectives::max_age},
    {"min-fresh", &RequestDirectives::min_fresh},
    {"max-stale", &RequestDirectives::max_stale}};

std::int32_t random_delta(Random& random) {
  return static_cast<std::int32_t>(random.once_in(2) ? random.between(0, 100) : random.between(0, 0x7fffffff));
}
std::string spelled_number(const char* name, std::int32_t value, Random& random) {
  const std::string digits = std::string(random.below(3), '0') + std::to_string(value);
  return random.recased(name) + "=" + (random.once_in(3) ? '"' + digits + '"' : digits);
}
std::vector<Field> as_cache_control(std::vector<std::string> members, NamedLines& lines, Random& random) {
  for (const char* unknown : {"blah", "blah=1", "x=\"a, b\"", "no-storage", "max-agex=5"})
    if (random.once_in(4)) members.emplace_back(unknown);
  random.shuffle(members);
  if (!members.empty()) spell_list("Cache-Control", members, lines, random);
  std::vector<Field> fields;
  for (const auto& [name, value] : lines) fields.push_back({name, trim(value), pillion::name_of(name)});
  return fields;
}

}  // namespace

TEST_CASE("properties: directives of responses are read back") {
  for_each_seed(10'000, [](Random& random) {
    ResponseDirectives wanted;
    std::vector<std::string> members;
    visit_flags(wanted, [&](const char* name, bool) {
      const bool given = random.once_in(3);
      if (given) members.push_back(random.recased(name));
      return given;
    });
    for (const auto& [name, number] : response_numbers)
      if (random.once_in(3)) members.push_back(spelled_number(name, wanted.*number = random_delta(random), random));
    NamedLines lines;
    const std::vector<Field> fields = as_cache_control(members, lines, random);
    ResponseDirectives read = parse_response_directives(fields);
    REQUIRE(bool{read.present} == !fields.empty());
    // must-revalidate forbids all that proxy-revalidate does.
    for (ResponseDirectives* d : {&read, &wanted}) d->proxy_revalidate = d->proxy_revalidate || d->must_revalidate;
    REQUIRE(flags_of(read) == flags_of(wanted));
    for (const auto& [name, number] : response_numbers) REQUIRE_MESSAGE(read.*number == wanted.*number, name);
  });
}

TEST_CASE("properties: directives of requests are read back") {
  for_each_seed(10'000, [](Random& random) {
    RequestDirectives wanted;
    std::vector<std::string> members;
    if ((wanted.no_store = random.once_in(3))) members.push_back(random.recased("no-store"));
    if ((wanted.no_cache = random.once_in(3))) members.push_back(random.recased("no-cache"));
    if ((wanted.only_if_cached = random.once_in(3))) members.push_back(random.recased("only-if-cached"));
    for (const auto& [name, number] : request_numbers)
      if (random.once_in(3)) members.push_back(spelled_number(name, wanted.*number = random_delta(random), random));
    if (wanted.max_stale == no_delta && (wanted.max_stale_any = random.once_in(3))) members.emplace_back("max-stale");
    NamedLines lines;
    const RequestDirectives read = parse_request_directives(as_cache_control(members, lines, random));
    REQUIRE(read.no_store == wanted.no_store);
    REQUIRE(read.no_cache == wanted.no_cache);
    REQUIRE(read.only_if_cached == wanted.only_if_cached);
    REQUIRE(read.max_stale_any == wanted.max_stale_any);
    for (const auto& [name, number] : request_numbers) REQUIRE_MESSAGE(read.*number == wanted.*number, name);
  });
}

TEST_CASE("properties: stored responses are decoded to what was encoded") {
  constexpr Now now{1'700'000'000'000, 1'000'000};
  for_each_seed(10'000, [&](Random& random) {
    const std::string any("\0\r\n ab\xff", 7);
    StoredParts parts;
    ResponseMeta& meta = parts.meta;
    meta.status = static_cast<std::uint32_t>(random.below(1000)) & 1023;
    meta.learned = static_cast<std::uint32_t>(random.below(1024)) & 1023;
    meta.draw = static_cast<std::uint32_t>(random.below(128)) & 127;
    if (random.once_in(2)) {
      parts.history.watched_ms = random.bits() % (ChangeHistory::max_watched_ms + 1);
      parts.history.changes = 1 + static_cast<std::uint32_t>(random.below(ChangeHistory::max_changes));
    }
    visit_flags(meta, [&](const char*, bool) { return random.once_in(2); });
    for (const auto& [name, number] : response_numbers)
      if (random.once_in(2)) meta.directives.*number = random_delta(random);
    meta.date_s = random.between(-62'167'219'200, 253'402'300'799);
    meta.expires_s = random.once_in(2) ? no_delta : random_delta(random);
    meta.last_modified_s = random.between(-1, 253'402'300'799);
    meta.initial_age_ms = random_delta(random);
    meta.received_wall_ms = random.between(0, now.wall_ms);
    const std::string key = random.text(any, 20), readable = random.text(any, 20), head = random.text(any, 60),
                      etag = random.text(any, 5), body = random.text(any, 300);
    std::vector<std::uint32_t> selectors(random.below(5));
    for (std::uint32_t& selector : selectors) selector = static_cast<std::uint32_t>(random.bits());
    parts.primary_key = key;
    parts.readable_key = readable;
    parts.head = head;
    parts.etag = etag;
    parts.body = body;
    parts.selectors = selectors;
    parts.shared_position = random.bits();
    parts.epoch = random.bits();
    parts.store_id = random.bits();
    parts.vary_marker = random.once_in(4);

    const std::string bytes = encode(*StoredResponse::make(parts));
    const StoredResponsePtr back = decode(bytes, key, now, 7);
    REQUIRE(back != nullptr);
    REQUIRE(back->primary_key() == key);
    REQUIRE(back->readable_key() == readable);
    REQUIRE(back->head() == head);
    REQUIRE(back->etag() == etag);
    REQUIRE(back->body() == body);
    REQUIRE(std::ranges::equal(back->selectors(), selectors));
    REQUIRE(back->shared_position() == parts.shared_position);
    REQUIRE(back->epoch() == parts.epoch);
    REQUIRE(back->store_id() == parts.store_id);
    REQUIRE(back->is_vary_marker() == parts.vary_marker);
    const ResponseMeta& read = back->meta();
    REQUIRE(unsigned{read.status} == unsigned{meta.status});
    REQUIRE(unsigned{read.learned} == unsigned{meta.learned});
    REQUIRE(unsigned{read.draw} == unsigned{meta.draw});
    REQUIRE(back->history() == parts.history);
    REQUIRE(flags_of(read) == flags_of(meta));
    for (const auto& [name, number] : response_numbers)
      REQUIRE_MESSAGE(read.directives.*number == meta.directives.*number, name);
    REQUIRE(read.date_s == meta.date_s);
    REQUIRE(read.expires_s == meta.expires_s);
    REQUIRE(std::int64_t{read.last_modified_s} == std::int64_t{meta.last_modified_s});
    REQUIRE(read.initial_age_ms == meta.initial_age_ms);
    REQUIRE(read.received_wall_ms == meta.received_wall_ms);
    REQUIRE(encode(*back) == bytes);
    REQUIRE(decode(bytes, key + "x", now, 7) == nullptr);
  });
}

TEST_CASE("properties: ranges are read back however they are written") {
  for_each_seed(20'000, [](Random& random) {
    const std::uint64_t size = 1 + random.below(random.once_in(2) ? 10 : 1'000'000'000);
    std::vector<ByteRange> wanted;
    std::uint64_t left = size;
    std::string value = random.recased("bytes") + "=";
    while (wanted.size() < max_ranges && (wanted.empty() || !random.once_in(4)) && left > 0) {
      const std::uint64_t first = random.below(size);
      const std::uint64_t last =
          std::min<std::uint64_t>(first + random.below(std::min(left, std::uint64_t{1} << 20)), size - 1);
      const bool to_end = last == size - 1;
      if (!wanted.empty()) value += random.space() + "," + random.text(",", 2) + random.space();
      const std::size_t form = to_end ? random.below(4) : 0;
      if (form == 3) {
        value += "-" + std::to_string(size - first);
      } else {
        value += std::to_string(first) + "-";
        if (form == 0) value += std::to_string(last);
        if (form == 1) value += std::to_string(last + random.below(1000)) + random.text("0123456789", 30);
      }
      wanted.push_back({first, last});
      left -= wanted.back().size();
    }
    CAPTURE(value);
    const Field field{"Range", value, Name::range};
    const RangeAnswer answer = select_ranges({&field, 1}, {"", -1, 0, size}, 0);
    REQUIRE(answer.kind == RangeAnswer::Kind::partial);
    REQUIRE(answer.ranges == wanted);
  });
}

TEST_CASE("properties: a list of entity tags names those that are in it and no others") {
  for_each_seed(10'000, [](Random& random) {
    const auto tag = [&] { return '"' + random.text("a,W/\\\xe9", 2) + '"'; };
    std::vector<std::string> opaque, members;
    for (std::size_t n = random.below(4); n > 0; --n) {
      opaque.push_back(tag());
      members.push_back((random.once_in(3) ? "W/" : "") + opaque.back());
    }
    NamedLines lines;
    spell_list("If-None-Match", members, lines, random);
    std::vector<Field> fields;
    for (const auto& [name, value] : lines) fields.push_back({name, trim(value), pillion::name_of(name)});
    for (int i = 0; i < 4; ++i) {
      const std::string asked = tag();
      CAPTURE(asked);
      const bool named = std::ranges::find(opaque, asked) != opaque.end();
      REQUIRE(etag_matches_weakly(fields, asked) == named);
      REQUIRE(etag_matches_weakly(fields, "W/" + asked) == named);
    }
  });
}
