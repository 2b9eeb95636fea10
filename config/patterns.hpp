// Path patterns and templates as a configuration writes them: whether they are well formed, and what they name.
// Pure; used inside config only. proxy/core/route_table matches requests against them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pillion::config {

inline constexpr std::size_t max_parameters = 16;  ///< of a path; core's max_path_parameters

/// One segment of a path pattern, without its slash.
struct Segment {
  enum class Kind { literal, parameter, any, rest };
  Kind kind = Kind::literal;
  std::string_view text;  ///< of a literal the text, of a parameter its name
};

/// What is wrong with a path pattern: literal segments, {name}, *, and /** last. Empty: nothing.
std::string check_pattern(std::string_view pattern);

/// The segments of a pattern that check_pattern finds good; views into it.
std::vector<Segment> segments_of(std::string_view pattern);

/// Cuts the parameter names out of a template such as `character:{id}`. False where a brace has no partner or a name
/// is none; `wrong` then says so.
bool template_names(std::string_view text, std::vector<std::string_view>& names, std::string& wrong);

}  // namespace pillion::config
