#include "cli/top_table.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "core/headers.hpp"

namespace pillion::cli {
namespace {

namespace json = boost::json;

struct Row {
  std::string route;
  double requests = 0, hits = 0, bytes = 0;
  double p50 = 0, p99 = 0;  // milliseconds, since the start
};

const json::object* object_at(const json::object* in, std::string_view name) {
  const json::value* value = in ? in->if_contains(name) : nullptr;
  return value ? value->if_object() : nullptr;
}

double number_at(const json::object* in, std::string_view name) {
  const json::value* value = in ? in->if_contains(name) : nullptr;
  boost::system::error_code error;
  const double number = value && value->is_number() ? value->to_number<double>(error) : 0;
  return error ? 0 : number;
}

Row row_of(std::string_view route, const json::object* now, const json::object* before) {
  const auto grown = [&](std::string_view name) {
    return std::max(0.0, number_at(now, name) - number_at(before, name));
  };
  const auto hits = [](const json::object* sums) {
    const json::object* tiers = object_at(sums, "hits");
    return number_at(tiers, "memory") + number_at(tiers, "redis") + number_at(sums, "stale");
  };
  const json::object* latency = object_at(now, "latency");
  Row row;
  for (char c : route.substr(0, 40)) row.route += c >= 0x20 && c < 0x7f ? c : '?';
  row.requests = grown("requests");
  row.hits = std::max(0.0, hits(now) - hits(before));
  row.bytes = grown("bytes");
  row.p50 = number_at(latency, "p50");
  row.p99 = number_at(latency, "p99");
  return row;
}

std::string size_text(double bytes) {
  static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < std::size(units); ++unit) bytes /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return text;
}

void append(const Row& row, double seconds, std::string& out) {
  char hit_ratio[16] = "-";
  if (row.requests > 0) std::snprintf(hit_ratio, sizeof hit_ratio, "%.1f %%", 100 * row.hits / row.requests);
  char line[200];
  std::snprintf(line, sizeof line, "%-40s %10.1f %8s %10.2f %10.2f %12s\n", row.route.c_str(), row.requests / seconds,
                hit_ratio, row.p50, row.p99, size_text(row.bytes / seconds).c_str());
  out += line;
}

}  // namespace

std::string top_table(const json::object& stats, const json::object& before, double seconds, std::size_t rows) {
  seconds = std::max(seconds, 0.001);
  const json::object *routes = object_at(&stats, "routes"), *old = object_at(&before, "routes");
  std::vector<Row> all;
  if (routes) {
    for (const auto& [name, value] : *routes) {
      const json::object* sums = value.if_object();
      if (sums && number_at(sums, "requests") > 0) all.push_back(row_of(name, sums, object_at(old, name)));
    }
  }
  std::sort(all.begin(), all.end(), [](const Row& a, const Row& b) {
    return a.requests != b.requests ? a.requests > b.requests : a.route < b.route;
  });
  char head[200];
  std::snprintf(head, sizeof head, "%-40s %10s %8s %10s %10s %12s\n", "ROUTE", "REQ/S", "HITS", "P50 MS", "P99 MS",
                "BYTES/S");
  std::string out = head;
  for (std::size_t i = 0; i < all.size() && i < rows; ++i) append(all[i], seconds, out);
  if (all.size() > rows) out += "... and " + std::to_string(all.size() - rows) + " more\n";
  append(row_of("all", object_at(&stats, "totals"), object_at(&before, "totals")), seconds, out);
  return out;
}

}  // namespace pillion::cli
