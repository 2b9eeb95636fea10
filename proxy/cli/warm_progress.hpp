// What `pillion warm` prints of the lines that come from the proxy. Pure but for the streams that it is given.
#pragma once

#include <array>
#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>

#include "core/reasons.hpp"

namespace pillion::cli {

class WarmProgress {
 public:
  enum class Form { bar, lines, json };
  WarmProgress(std::ostream& out, Form form, std::size_t of) : out_(out), form_(form), of_(of) {}

  /// Bytes of the answer, as they come.
  void take(std::string_view bytes);
  /// The last line: how many of each kind.
  void end();
  std::size_t done() const noexcept { return done_; }
  /// URLs with that result.
  std::size_t count(WarmResult result) const noexcept { return counts_[static_cast<std::size_t>(result)]; }

 private:
  void take_line(std::string_view line);
  void draw();
  std::string totals() const;

  std::ostream& out_;
  const Form form_;
  const std::size_t of_;
  std::size_t done_ = 0;
  std::array<std::size_t, warm_result_count> counts_{};
  std::string part_;  // of a line that isn't whole yet
};

}  // namespace pillion::cli
