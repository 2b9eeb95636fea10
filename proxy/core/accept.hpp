// Request fields that say what a client accepts, reduced to one spelling each, so that what means the same selects the
// same variant (RFC 9111 4.1). What goes to the upstream is reduced likewise: nothing that the key leaves out. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/headers.hpp"

namespace pillion {

/// One member of such a list: what is accepted, and how much, in thousandths (RFC 9110 12.4.2).
struct Weighed {
  std::string_view what;  ///< a token, as it came
  int weight = 1000;
};
/// nullopt where it is malformed: no token, another parameter than `q`, a weight of more than three digits or above 1.
std::optional<Weighed> parse_weighed(std::string_view member) noexcept;

/// Accept-Encoding over all its lines (RFC 9110 12.5.3): codings in lower case, `x-gzip` and `x-compress` as what they
/// mean, sorted, each once, weights kept where they say something (`gzip;q=0.5`, `br;q=0`) and left out where they are
/// 1. Absent: nullopt. Present and empty: empty. What is malformed, or gives one coding two weights, stays as it came,
/// lines joined by `, `.
std::optional<std::string> normalised_accept_encoding(Fields request_fields);

/// Accept-Language (RFC 9110 12.5.4) reduced to the one of `spoken` that the client likes best (lookup, RFC 4647 3.4;
/// highest weight first, then the client's order), as `spoken` spells it. What the client refuses by name (`;q=0`) it
/// doesn't get. nullopt where the field is absent, malformed or names none of them: the application's default.
std::optional<std::string> normalised_accept_language(Fields request_fields, const std::vector<std::string>& spoken);

}  // namespace pillion
