#include "telemetry/answer_watch.hpp"

#include <algorithm>
#include <bit>

namespace pillion {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

// Where this header stands among the route's; max_headers where there is no room for it.
std::size_t slot_of(RouteInsight& route, std::string_view name) {
  for (std::size_t i = 0; i < route.headers.size(); ++i)
    if (same_name(route.headers[i].name, name)) return i;
  if (route.headers.size() == RouteInsight::max_headers || name.size() > 64) return RouteInsight::max_headers;
  HeaderEvidence evidence;
  for (char c : name) evidence.name += lower(c);
  route.headers.push_back(std::move(evidence));
  return route.headers.size() - 1;
}

}  // namespace

bool is_watched_header(std::string_view name) noexcept {
  static constexpr std::string_view ignored[] = {"host",         "connection",
                                                 "keep-alive",   "te",
                                                 "trailer",      "transfer-encoding",
                                                 "upgrade",      "expect",
                                                 "date",         "via",
                                                 "forwarded",    "cache-control",
                                                 "pragma",       "range",
                                                 "referer",      "x-request-id",
                                                 "x-real-ip",    "traceparent",
                                                 "tracestate",   "baggage",
                                                 "dnt",          "priority",
                                                 "max-forwards", "x-amzn-trace-id",
                                                 "content-type", "upgrade-insecure-requests"};
  for (std::string_view one : ignored)
    if (same_name(name, one)) return false;
  const auto begins = [name](std::string_view beginning) {
    return name.size() >= beginning.size() && same_name(name.substr(0, beginning.size()), beginning);
  };
  return !begins("if-") && !begins("content-") && !begins("x-forwarded-") && !begins("sec-") && !begins("x-b3-");
}

std::size_t AgeTable::bucket_of(std::int64_t age_ms) noexcept {
  if (age_ms <= 64) return 0;
  const auto bucket = static_cast<std::size_t>(std::bit_width((static_cast<std::uint64_t>(age_ms) - 1) >> 6));
  return std::min(bucket, buckets - 1);
}

void AgeTable::add(const AgeTable& more) noexcept {
  for (std::size_t i = 0; i < buckets; ++i) {
    same[i] += more.same[i];
    other[i] += more.other[i];
  }
}

std::uint64_t AgeTable::all_same() const noexcept {
  std::uint64_t sum = 0;
  for (std::uint32_t n : same) sum += n;
  return sum;
}

std::uint64_t AgeTable::all_other() const noexcept {
  std::uint64_t sum = 0;
  for (std::uint32_t n : other) sum += n;
  return sum;
}

std::int64_t AgeTable::honest_ms(double share) const noexcept {
  std::uint64_t good = 0, bad = 0;
  std::int64_t honest = 0;
  for (std::size_t i = 0; i < buckets; ++i) {
    good += same[i];
    bad += other[i];
    if (static_cast<double>(bad) > share * static_cast<double>(good + bad)) break;
    if (same[i] + other[i] > 0) honest = bound_ms(i);
  }
  return honest;
}

void RouteInsight::add(const RouteInsight& more) {
  fetches += more.fetches;
  upstream_us += more.upstream_us;
  fetched_bytes += more.fetched_bytes;
  for (std::size_t i = 0; i < forwards.size(); ++i) forwards[i] += more.forwards[i];
  passed += more.passed;
  passed_again += more.passed_again;
  passed_same += more.passed_same;
  passed_same_us += more.passed_same_us;
  passed_personal += more.passed_personal;
  passed_forbidden += more.passed_forbidden;
  passed_ages.add(more.passed_ages);
  refreshed_same += more.refreshed_same;
  refreshed_other += more.refreshed_other;
  shadow_ages.add(more.shadow_ages);
  for (const HeaderEvidence& header : more.headers) {
    const std::size_t slot = slot_of(*this, header.name);
    if (slot == max_headers) continue;
    headers[slot].differs_other += header.differs_other;
    headers[slot].differs_same += header.differs_same;
    headers[slot].equal_other += header.equal_other;
    headers[slot].equal_same += header.equal_same;
  }
}

AnswerWatch::Beside AnswerWatch::observe(RouteInsight& route, std::uint64_t url, std::uint64_t answer,
                                         std::span<const WatchedHeader> headers, std::int64_t now_ms) {
  if (!entries_) entries_ = std::make_unique<Entry[]>(size);
  std::array<std::uint32_t, RouteInsight::max_headers> values{};
  for (const WatchedHeader& header : headers) {
    const std::size_t slot = slot_of(route, header.name);
    // Several lines of one name: all of them count, in their order.
    if (slot != RouteInsight::max_headers)
      values[slot] = (values[slot] * 31 + static_cast<std::uint32_t>(header.value_hash)) | 1;
  }
  Entry& entry = entries_[url & (size - 1)];
  const bool is_known = entry.last_ms != 0 && entry.url == url;
  const bool is_old = entry.last_ms == 0 || now_ms - entry.last_ms > memory_ms;
  if (!is_known || is_old) {
    // One that is seen now and then gives way to a newcomer at once, one that is asked for all the time seldom.
    const bool gives_way = is_known || is_old || now_ms - entry.last_ms > pair_ms || (++conflicts_ & 7) == 0;
    if (gives_way) entry = {url, answer, now_ms, now_ms, values};
    return {};
  }
  const Beside beside{true, entry.answer == answer, now_ms - entry.first_ms};
  if (now_ms - entry.last_ms <= pair_ms) {
    for (std::size_t i = 0; i < route.headers.size(); ++i) {
      HeaderEvidence& evidence = route.headers[i];
      const bool is_equal = entry.headers[i] == values[i];
      ++(is_equal ? (beside.same ? evidence.equal_same : evidence.equal_other)
                  : (beside.same ? evidence.differs_same : evidence.differs_other));
    }
  }
  if (!beside.same) {
    entry.answer = answer;
    entry.first_ms = now_ms;
  }
  entry.last_ms = now_ms;
  entry.headers = values;
  return beside;
}

}  // namespace pillion
