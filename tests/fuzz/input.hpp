// A fuzzer's bytes taken apart into values. For the fuzz targets alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace pillion::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto out = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return out;
  }
  /// Little-endian; zero bytes where the input ends.
  template <typename T>
  T number() {
    T out{};
    const std::size_t size = rest_.size() < sizeof out ? rest_.size() : sizeof out;
    std::memcpy(&out, rest_.data(), size);
    rest_.remove_prefix(size);
    return out;
  }
  /// Up to the next newline, or all.
  std::string_view line() {
    const std::size_t end = rest_.find('\n');
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    return out;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

/// Ends the run where the oracle disagrees.
inline void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "oracle: %s\n", what);
  std::abort();
}

}  // namespace pillion::fuzz
