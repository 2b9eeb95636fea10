// Messages for tests of the core, written as they look on the wire. Pure.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "core/message.hpp"

namespace pillion::test {

/// Fields from lines such as `Cache-Control: max-age=60\nETag: "a"`; they live as long as this object.
class Lines {
 public:
  Lines(std::string_view text = {}) : text_(text) {  // NOLINT: implicit, so that tables of tests hold plain text
    std::string_view rest = text_;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const std::size_t colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      const std::string_view name = line.substr(0, colon);
      fields_.push_back({name, trim(line.substr(colon + 1)), name_of(name)});
    }
  }
  Lines(const char* text) : Lines(std::string_view(text)) {}  // NOLINT
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  Fields fields() const { return fields_; }
  operator Fields() const { return fields_; }  // NOLINT

 private:
  std::string text_;
  std::vector<Field> fields_;
};

/// A moment: `seconds` after a fixed one, on both clocks.
inline constexpr std::int64_t start_s = 1'700'000'000;  // Tue, 14 Nov 2023 22:13:20 GMT

}  // namespace pillion::test
