#include "ops/metrics.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "core/invalidation.hpp"
#include "ops/version.hpp"

using namespace pillion;

namespace {

using Labels = std::map<std::string, std::string>;
struct Sample {
  std::string name;
  Labels labels;
  double value;
};
struct Page {
  std::map<std::string, std::string> types;
  std::vector<Sample> samples;

  std::optional<double> value(const std::string& name, const Labels& labels = {}) const {
    for (const Sample& s : samples)
      if (s.name == name && s.labels == labels) return s.value;
    return std::nullopt;
  }
};

bool is_name(const std::string& text) {
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
  for (char c : text)
    if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '_')) return false;
  return true;
}

[[noreturn]] void refuse(const std::string& why, const std::string& line) {
  throw std::runtime_error(why + ": " + line);
}

/// `{a="b",c="d"}` from `i`, which then stands behind it.
Labels parse_labels(const std::string& line, std::size_t& i) {
  Labels labels;
  if (line[i] != '{') return labels;
  for (++i; line.at(i) != '}';) {
    const std::size_t equals = line.find("=\"", i);
    if (equals == std::string::npos) refuse("label without value", line);
    const std::string name = line.substr(i, equals - i);
    if (!is_name(name)) refuse("bad label name", line);
    std::string value;
    for (i = equals + 2; line.at(i) != '"'; ++i) {
      if (line[i] == '\\') {
        const char next = line.at(++i);
        if (next != '\\' && next != '"' && next != 'n') refuse("bad escape", line);
        value += next == 'n' ? '\n' : next;
      } else {
        value += line[i];
      }
    }
    ++i;
    if (!labels.emplace(name, value).second) refuse("label twice", line);
    if (line.at(i) == ',') ++i;
  }
  ++i;
  return labels;
}

double parse_value(const std::string& text, const std::string& line) {
  if (text == "+Inf") return INFINITY;
  std::size_t used = 0;
  const double value = std::stod(text, &used);
  if (used != text.size()) refuse("bad value", line);
  return value;
}

/// The family of a sample's name: histograms add _bucket, _sum and _count.
std::string family_of(const Page& page, const std::string& name) {
  for (const char* suffix : {"_bucket", "_sum", "_count"}) {
    const std::string ending = suffix;
    if (!name.ends_with(ending)) continue;
    const std::string base = name.substr(0, name.size() - ending.size());
    if (const auto found = page.types.find(base); found != page.types.end() && found->second == "histogram")
      return base;
  }
  return name;
}

/// Strict: each family once, with HELP and TYPE before its samples and together; no sample twice; ends in a line feed.
Page parse(const std::string& text) {
  Page page;
  if (text.empty() || text.back() != '\n') throw std::runtime_error("no line feed at the end");
  std::istringstream lines(text);
  std::string line, current, helped;
  std::set<std::pair<std::string, Labels>> seen;
  while (std::getline(lines, line)) {
    if (line.starts_with("# HELP ")) {
      helped = line.substr(7, line.find(' ', 7) - 7);
      if (page.types.contains(helped)) refuse("family twice", line);
      continue;
    }
    if (line.starts_with("# TYPE ")) {
      const std::size_t space = line.find(' ', 7);
      current = line.substr(7, space - 7);
      const std::string type = line.substr(space + 1);
      if (current != helped || !is_name(current)) refuse("TYPE without its HELP", line);
      if (type != "counter" && type != "gauge" && type != "histogram") refuse("unknown type", line);
      if (!page.types.emplace(current, type).second) refuse("family twice", line);
      continue;
    }
    std::size_t i = line.find_first_of("{ ");
    if (i == std::string::npos) refuse("neither comment nor sample", line);
    Sample sample{line.substr(0, i), {}, 0};
    sample.labels = parse_labels(line, i);
    if (line.at(i) != ' ') refuse("no space before the value", line);
    sample.value = parse_value(line.substr(i + 1), line);
    if (family_of(page, sample.name) != current) refuse("outside its family", line);
    if (page.types[current] == "counter" && (!current.ends_with("_total") || sample.value < 0))
      refuse("bad counter", line);
    if (!seen.emplace(sample.name, sample.labels).second) refuse("sample twice", line);
    page.samples.push_back(std::move(sample));
  }
  return page;
}

/// Every histogram series: buckets cumulative with rising bounds, +Inf last and equal to _count, _sum there.
void check_histograms(const Page& page) {
  std::map<std::pair<std::string, Labels>, std::vector<std::pair<double, double>>> series;
  for (const Sample& s : page.samples) {
    const std::string family = family_of(page, s.name);
    if (page.types.at(family) != "histogram" || s.name != family + "_bucket") continue;
    Labels labels = s.labels;
    const double bound = parse_value(labels.at("le"), s.name);
    labels.erase("le");
    series[{family, labels}].emplace_back(bound, s.value);
  }
  for (const auto& [key, buckets] : series) {
    CAPTURE(key.first);
    for (std::size_t i = 1; i < buckets.size(); ++i) {
      CHECK(buckets[i].first > buckets[i - 1].first);
      CHECK(buckets[i].second >= buckets[i - 1].second);
    }
    CHECK(std::isinf(buckets.back().first));
    CHECK(page.value(key.first + "_count", key.second) == buckets.back().second);
    CHECK(page.value(key.first + "_sum", key.second).has_value());
  }
}

void fill(Counters& counters) {
  const auto& character = counters.route("character");
  character[0]->results[static_cast<std::size_t>(Result::hit)].add(3);
  character[1]->results[static_cast<std::size_t>(Result::hit)].add(4);
  character[0]->seconds[static_cast<std::size_t>(Result::hit)].observe_us(100);
  character[1]->seconds[static_cast<std::size_t>(Result::hit)].observe_us(100000000);
  character[1]->hits_redis.add(2);
  character[0]->collapsed.add(5);
  character[0]->details[static_cast<std::size_t>(Detail::no_store)].add(6);
  counters.route("odd \"name\" \\ here");
  counters.upstream("app")[1]->observe_us(64);
  counters.worker(0).limits[static_cast<std::size_t>(Limit::head_timeout)].add(7);
  counters.worker(0).client_connections.add(8);
  counters.worker(1).client_connections.add(2);
  counters.worker(1).upstream_connections.add(1);
  counters.worker(1).redis_seconds.observe_us(50);
  counters.worker(0).redis_timeouts.add(9);
  counters.invalidations[static_cast<std::size_t>(Selector::Kind::tag)].add(10);
}

}  // namespace

TEST_CASE("the metrics page is well-formed and has every promised name with its value") {
  Counters counters(2);
  fill(counters);
  MetricsExtras extras;
  extras.redis_enabled = true;
  extras.memory = {4096, 3, 2};
  extras.access_log_dropped = 11;
  counters.worker(0).uses_redis = true;
  counters.log_up = true;
  counters.log_lost.add(3);
  counters.invalidations_pending = 4;
  counters.invalidation_lag.observe_us(2000);
  const Page page = parse(prometheus_text(counters, extras));
  check_histograms(page);

  CHECK(page.value("pillion_requests_total", {{"route", "character"}, {"result", "hit"}}) == 7);
  CHECK(page.value("pillion_requests_total", {{"route", "character"}, {"result", "error"}}) == 0);
  CHECK(page.value("pillion_requests_total", {{"route", "odd \"name\" \\ here"}, {"result", "hit"}}) == 0);
  CHECK(page.value("pillion_request_seconds_count", {{"route", "character"}, {"result", "hit"}}) == 2);
  CHECK(page.value("pillion_request_seconds_sum", {{"route", "character"}, {"result", "hit"}}) ==
        doctest::Approx(100.0001));
  CHECK(page.value("pillion_request_seconds_bucket", {{"route", "character"}, {"result", "hit"}, {"le", "0.000128"}}) ==
        1);
  CHECK(page.value("pillion_hits_total", {{"route", "character"}, {"tier", "redis"}}) == 2);
  CHECK(page.value("pillion_collapsed_total", {{"route", "character"}}) == 5);
  CHECK(page.value("pillion_details_total", {{"route", "character"}, {"detail", "no-store"}}) == 6);
  CHECK(page.value("pillion_upstream_seconds_count", {{"upstream", "app"}}) == 1);
  CHECK(page.value("pillion_store_bytes", {{"tier", "memory"}}) == 4096);
  CHECK(page.value("pillion_store_entries", {{"tier", "memory"}}) == 3);
  CHECK(page.value("pillion_store_evictions_total", {{"tier", "memory"}}) == 2);
  CHECK(page.value("pillion_redis_up") == 1);
  CHECK(page.value("pillion_redis_seconds_count") == 1);
  CHECK(page.value("pillion_redis_failures_total", {{"kind", "timeout"}}) == 9);
  CHECK(page.value("pillion_log_up") == 1);
  CHECK(page.value("pillion_log_lost_total") == 3);
  CHECK(page.value("pillion_invalidations_pending") == 4);
  CHECK(page.value("pillion_invalidation_lag_seconds_count") == 1);
  CHECK(page.value("pillion_invalidation_lag_seconds_sum") == doctest::Approx(0.002));
  CHECK(page.value("pillion_connections", {{"side", "client"}}) == 10);
  CHECK(page.value("pillion_connections", {{"side", "upstream"}}) == 1);
  CHECK(page.value("pillion_limits_total", {{"limit", "head_timeout"}}) == 7);
  CHECK(page.value("pillion_limits_total", {{"limit", "target"}}) == 0);
  CHECK(page.value("pillion_invalidations_total", {{"kind", "tag"}}) == 10);
  CHECK(page.value("pillion_invalidations_total", {{"kind", "all"}}) == 0);
  CHECK(page.value("pillion_access_log_dropped_total") == 11);
  CHECK(page.value("pillion_ready") == 1);
  CHECK(page.value("pillion_build_info", {{"version", std::string(version())}}) == 1);
}

TEST_CASE("without Redis or memory there is nothing said about them") {
  Counters counters(1);
  MetricsExtras extras;
  extras.memory_enabled = false;
  extras.ready = false;
  const Page page = parse(prometheus_text(counters, extras));
  CHECK_FALSE(page.value("pillion_redis_up").has_value());
  CHECK_FALSE(page.types.contains("pillion_redis_seconds"));
  CHECK_FALSE(page.value("pillion_log_up").has_value());
  CHECK_FALSE(page.types.contains("pillion_invalidation_lag_seconds"));
  CHECK_FALSE(page.types.contains("pillion_store_bytes"));
  CHECK_FALSE(page.types.contains("pillion_requests_total"));
  CHECK(page.value("pillion_ready") == 0);
}

TEST_CASE("a large count is written in full") {
  Counters counters(1);
  counters.route("r")[0]->bytes.add(1234567890123u);
  const Page page = parse(prometheus_text(counters, {}));
  CHECK(page.value("pillion_response_bytes_total", {{"route", "r"}}) == 1234567890123.0);
}
