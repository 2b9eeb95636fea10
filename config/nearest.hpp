// The known word nearest to an unknown one, for 'did you mean'. Pure; used inside config only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pillion::config {

/// Fewest insertions, deletions, replacements and swaps of neighbours that make one word of the other.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The nearest of `known`, the first where several are as near. Empty where nothing is known.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace pillion::config
