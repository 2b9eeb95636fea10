// Range requests (RFC 9110 14). See ranges.hpp.
#include "core/ranges.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "core/hash.hpp"
#include "core/http_date.hpp"
#include "core/validation.hpp"

namespace pillion {
namespace {

constexpr std::uint64_t max_u64 = std::numeric_limits<std::uint64_t>::max();

/// One or more digits and nothing else. What is too large for 64 bits lies past the end of any body as well as the
/// largest number does.
std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    value = value > (max_u64 - digit) / 10 ? max_u64 : value * 10 + digit;
  }
  return value;
}

/// One range-spec as written (RFC 9110 14.1.1): a suffix has no `first`, an open range no `last`.
struct Spec {
  std::optional<std::uint64_t> first, last;
  bool is_suffix() const noexcept { return !first; }
};

std::optional<Spec> parse_spec(std::string_view text) noexcept {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view before = text.substr(0, dash), after = text.substr(dash + 1);
  Spec spec{parse_number(before), parse_number(after)};
  if (!spec.first && !before.empty()) return std::nullopt;
  if (!spec.last && (!after.empty() || before.empty())) return std::nullopt;
  if (spec.first && spec.last && *spec.last < *spec.first) return std::nullopt;
  return spec;
}

/// All specs of the one Range line; nullopt where it is to be ignored: malformed anywhere, of another unit, too many.
std::optional<std::vector<Spec>> parse_range(std::string_view value) {
  const std::size_t equals = value.find('=');
  if (equals == std::string_view::npos || !iequals(value.substr(0, equals), "bytes")) return std::nullopt;
  std::string_view set = value.substr(equals + 1);
  if (set.starts_with(' ') || set.starts_with('\t')) return std::nullopt;
  std::vector<Spec> specs;
  while (const auto member = next_member(set)) {
    const auto spec = parse_spec(*member);
    if (!spec || specs.size() == max_ranges) return std::nullopt;
    specs.push_back(*spec);
  }
  if (specs.empty()) return std::nullopt;
  return specs;
}

/// The bytes that a spec names of a body that isn't empty; nullopt where it names none (RFC 9110 14.1.2).
std::optional<ByteRange> resolve(const Spec& spec, std::uint64_t size) noexcept {
  if (spec.is_suffix()) {
    if (*spec.last == 0) return std::nullopt;
    return ByteRange{size - std::min(*spec.last, size), size - 1};
  }
  if (*spec.first >= size) return std::nullopt;
  return ByteRange{*spec.first, std::min(spec.last.value_or(max_u64), size - 1)};
}

/// RFC 9110 13.1.5: whether the parts that the client has are of this very representation. True without If-Range.
bool if_range_holds(Fields request_fields, const Representation& stored, std::int64_t now_s) noexcept {
  const Field* field = find(request_fields, Name::if_range);
  if (field == nullptr) return true;
  if (count(request_fields, Name::if_range) != 1) return false;
  if (is_strong(field->value)) return field->value == stored.etag;  // and what is stored is well-formed
  const auto date = parse_http_date(field->value, now_s);           // a weak tag is no date either
  // RFC 9110 8.8.2.2: within the second of its last change it may have changed again.
  const bool is_strong_date = stored.last_modified_s >= 0 && stored.date_s > stored.last_modified_s;
  return date && is_strong_date && *date == stored.last_modified_s;
}

/// Ends: each try is another text, and a body of n bytes holds fewer than n of them.
std::string boundary_for(std::string_view body) {
  const std::string hash = to_hex(hash128(body));
  for (std::uint64_t attempt = 0;; ++attempt) {
    std::string boundary = hash + std::to_string(attempt);
    if (body.find(boundary) == std::string_view::npos) return boundary;
  }
}

}  // namespace

RangeAnswer select_ranges(Fields request_fields, const Representation& stored, std::int64_t now_s) {
  RangeAnswer answer;
  if (count(request_fields, Name::range) != 1 || !if_range_holds(request_fields, stored, now_s)) return answer;
  const auto specs = parse_range(find(request_fields, Name::range)->value);
  if (!specs) return answer;
  if (stored.size == 0) {
    // A suffix of nothing is nothing, which no Content-Range can say: the whole, empty as it is, is the answer.
    const bool wants_suffix =
        std::ranges::any_of(*specs, [](const Spec& spec) { return spec.is_suffix() && *spec.last != 0; });
    if (!wants_suffix) answer.kind = RangeAnswer::Kind::unsatisfiable;
    return answer;
  }
  std::uint64_t left = stored.size;
  for (const Spec& spec : *specs) {
    const auto range = resolve(spec, stored.size);
    if (!range) continue;
    if (range->size() > left) return {};
    left -= range->size();
    answer.ranges.push_back(*range);
  }
  answer.kind = answer.ranges.empty() ? RangeAnswer::Kind::unsatisfiable : RangeAnswer::Kind::partial;
  return answer;
}

std::string content_range(ByteRange range, std::uint64_t size) {
  return "bytes " + std::to_string(range.first) + '-' + std::to_string(range.last) + '/' + std::to_string(size);
}

std::string unsatisfied_content_range(std::uint64_t size) { return "bytes */" + std::to_string(size); }

Multipart make_multipart(const std::vector<ByteRange>& ranges, std::string_view content_type, std::string_view body) {
  Multipart out;
  out.boundary = boundary_for(body);
  for (const ByteRange& range : ranges) {
    std::string before = out.before.empty() ? "--" : "\r\n--";
    before.append(out.boundary).append("\r\n");
    if (!content_type.empty()) before.append("Content-Type: ").append(content_type).append("\r\n");
    before.append("Content-Range: ").append(content_range(range, body.size())).append("\r\n\r\n");
    out.length += before.size() + range.size();
    out.before.push_back(std::move(before));
  }
  out.end = "\r\n--" + out.boundary + "--\r\n";
  out.length += out.end.size();
  return out;
}

}  // namespace pillion
