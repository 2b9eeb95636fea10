// How many threads the container may keep busy.
#pragma once

#include <cstddef>
#include <string>

namespace pillion {

/// CPUs that this process may use: the least of its affinity mask and its cgroup's quota (v2 or v1), rounded up; at
/// least 1.
std::size_t available_cpus();

/// CPUs that `cpu.max` of cgroup v2 grants (`quota period` or `max period`), rounded up; 0: no bound. Pure.
std::size_t cpus_of_cpu_max(const std::string& text) noexcept;

}  // namespace pillion
