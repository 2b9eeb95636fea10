#include "net/cpu_quota.hpp"

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>

namespace pillion {

namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::size_t affinity() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1u, std::thread::hardware_concurrency());
  return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
}

}  // namespace

std::size_t cpus_of_cpu_max(const std::string& text) noexcept {
  long long quota = 0, period = 0;
  if (std::sscanf(text.c_str(), "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0) return 0;
  return static_cast<std::size_t>((quota - 1) / period + 1);
}

std::size_t available_cpus() {
  std::size_t cpus = affinity();
  std::string quota = first_line("/sys/fs/cgroup/cpu.max");
  if (quota.empty()) {
    quota =
        first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") + ' ' + first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  }
  if (const std::size_t granted = cpus_of_cpu_max(quota); granted > 0) cpus = std::min(cpus, granted);
  return std::max<std::size_t>(1, cpus);
}

}  // namespace pillion
