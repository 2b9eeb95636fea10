// Random values for property tests: the same ones in every run, and the seed that made them is printed by what fails.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pillion::test {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t bits() { return engine_(); }
  /// 0 to n - 1.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(engine_() % n); }
  /// Both ends included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    const auto span = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + (span == 0 ? engine_() : engine_() % span));
  }
  /// True once in n times.
  bool once_in(std::size_t n) { return below(n) == 0; }
  /// Up to `longest` of these bytes.
  std::string text(std::string_view alphabet, std::size_t longest) {
    std::string out;
    for (std::size_t n = below(longest + 1); n > 0; --n) out += alphabet[below(alphabet.size())];
    return out;
  }
  template <typename T>
  const T& one_of(const std::vector<T>& values) {
    return values[below(values.size())];
  }
  /// Some letters in the other case.
  std::string recased(std::string text) {
    for (char& c : text)
      if (((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) && once_in(3)) c = static_cast<char>(c ^ 0x20);
    return text;
  }
  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (std::size_t n = values.size(); n > 1; --n) std::swap(values[n - 1], values[below(n)]);
  }
  /// Optional white space (RFC 9110 5.6.3).
  std::string space() { return text(" \t", once_in(3) ? 2 : 0); }

 private:
  std::mt19937_64 engine_;
};

/// Runs `check(random)` that often, each time with a seed of its own. What fails says the seed.
template <typename Check>
void for_each_seed(std::uint64_t cases, Check check) {
  for (std::uint64_t seed = 1; seed <= cases; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    check(random);
  }
}

}  // namespace pillion::test
