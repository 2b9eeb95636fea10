// A wall clock that is ahead (or behind), for one process of a test: loaded into it before all else (LD_PRELOAD), it
// answers for the C library. The steady clock stays as it is. PILLION_TEST_CLOCK_SKEW says by how much, in seconds.
//
// It asks the kernel itself: a sanitizer asks for the time while it begins, when neither dlsym() nor the guard of a
// static variable may be used.
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

namespace {

time_t skew() {
  const char* text = std::getenv("PILLION_TEST_CLOCK_SKEW");
  return static_cast<time_t>(text ? std::atol(text) : 0);
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* at) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, at));
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += skew();
  return result;
}

extern "C" int gettimeofday(timeval* at, void*) noexcept {
  timespec now{};
  const int result = clock_gettime(CLOCK_REALTIME, &now);
  if (result == 0) *at = {.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return result;
}

extern "C" time_t time(time_t* at) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
