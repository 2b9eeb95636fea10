// The two clocks every caching decision is given. Pure: nothing here reads a clock.
#pragma once

#include <cstdint>

namespace pillion {

/// The moment of a decision. Ages grow by `mono_ms`, so a jump of the wall clock changes no age;
/// `wall_ms` serves dates that go over the wire. Other processes are told times by core/shared_clock.hpp.
struct Now {
  std::int64_t wall_ms = 0;  ///< milliseconds since 1970-01-01 UTC
  std::int64_t mono_ms = 0;  ///< milliseconds of a steady clock of this process
};

}  // namespace pillion
