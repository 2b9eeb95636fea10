// Which coding a client wants. See content_coding.hpp.
#include "core/content_coding.hpp"

#include <algorithm>
#include <optional>

#include "core/accept.hpp"

namespace pillion {
namespace {

constexpr int unnamed = -1;

/// Thousandths; -1 where nothing was said.
struct Weights {
  std::array<int, coding_count + 1> of{unnamed, unnamed, unnamed, unnamed};  // by Coding
  int others = unnamed;                                                      // `*`
};

/// False where the two contradict each other.
bool set(int& weight, int to) noexcept {
  if (weight != unnamed && weight != to) return false;
  weight = to;
  return true;
}

/// One line's members. False where something is malformed.
bool read_line(std::string_view list, Weights& weights) noexcept {
  while (const auto member = next_member(list)) {
    const auto weighed = parse_weighed(*member);
    if (!weighed) return false;
    const std::string_view what = weighed->what;
    int* weight = nullptr;
    if (what == "*") weight = &weights.others;
    if (iequals(what, "zstd")) weight = &weights.of[static_cast<std::size_t>(Coding::zstd)];
    if (iequals(what, "br")) weight = &weights.of[static_cast<std::size_t>(Coding::br)];
    if (iequals(what, "gzip") || iequals(what, "x-gzip")) weight = &weights.of[static_cast<std::size_t>(Coding::gzip)];
    if (iequals(what, "identity")) weight = &weights.of[static_cast<std::size_t>(Coding::identity)];
    if (weight != nullptr && !set(*weight, weighed->weight)) return false;
  }
  return true;
}

CodingWishes wishes_of(Weights weights) noexcept {
  for (int& weight : weights.of)
    if (weight == unnamed) weight = weights.others;
  CodingWishes wishes;
  const int plain = weights.of[static_cast<std::size_t>(Coding::identity)];
  wishes.refuses_plain = plain == 0;
  for (std::size_t i = 0; i < coding_count; ++i) {
    const int weight = weights.of[i];
    if (weight > 0 && weight >= plain) wishes.order[wishes.count++] = static_cast<Coding>(i);
  }
  const auto is_better = [&](Coding a, Coding b) {
    const int of_a = weights.of[static_cast<std::size_t>(a)], of_b = weights.of[static_cast<std::size_t>(b)];
    return of_a != of_b ? of_a > of_b : a < b;
  };
  std::sort(wishes.order.begin(), wishes.order.begin() + wishes.count, is_better);
  return wishes;
}

constexpr CodingWishes gzip_alone{{Coding::gzip}, 1, false};
constexpr CodingWishes without_zstd{{Coding::br, Coding::gzip}, 2, false};
constexpr CodingWishes all{{Coding::zstd, Coding::br, Coding::gzip}, 3, false};

/// What most clients send, to the byte.
std::optional<CodingWishes> well_known(std::string_view text) noexcept {
  switch (text.size()) {
    case 4:
      if (text == "gzip") return gzip_alone;
      break;
    case 8:
      if (text == "identity") return CodingWishes{};
      break;
    case 13:
      if (text == "gzip, deflate") return gzip_alone;
      break;
    case 17:
      if (text == "gzip, deflate, br") return without_zstd;
      break;
    case 23:
      if (text == "gzip, deflate, br, zstd") return all;
      break;
    default:
      break;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Coding coding) noexcept {
  constexpr std::array<std::string_view, coding_count + 1> names{"zstd", "br", "gzip", "identity"};
  return names[static_cast<std::size_t>(coding)];
}

CodingWishes coding_wishes(const Fields& request_fields) noexcept {
  const Field* first = find(request_fields, Name::accept_encoding);
  if (first == nullptr) return {};
  if (count(request_fields, Name::accept_encoding) == 1) {
    if (const auto known = well_known(first->value)) return *known;
  }
  Weights weights;
  for (const Field& field : request_fields)
    if (field.id == Name::accept_encoding && !read_line(field.value, weights)) return {};
  return wishes_of(weights);
}

}  // namespace pillion
