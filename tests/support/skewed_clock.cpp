// A wall clock that is ahead (or behind), for one process of a test: loaded into it before all else (LD_PRELOAD), it
// answers for the C library. The steady clock stays as it is. PILLION_TEST_CLOCK_SKEW says by how much, in seconds.
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

#include <cstdlib>

namespace {

time_t skew() {
  static const time_t seconds = [] {
    const char* text = std::getenv("PILLION_TEST_CLOCK_SKEW");
    return static_cast<time_t>(text ? std::atol(text) : 0);
  }();
  return seconds;
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* at) noexcept {
  static const auto real = next<int (*)(clockid_t, timespec*)>("clock_gettime");
  const int result = real(clock, at);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += skew();
  return result;
}

extern "C" int gettimeofday(timeval* at, void* zone) noexcept {
  static const auto real = next<int (*)(timeval*, void*)>("gettimeofday");
  const int result = real(at, zone);
  if (result == 0) at->tv_sec += skew();
  return result;
}

extern "C" time_t time(time_t* at) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
