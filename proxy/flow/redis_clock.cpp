#include "flow/redis_clock.hpp"

#include <charconv>
#include <string_view>

namespace pillion {

namespace {

constexpr std::int64_t slow_us = 100000;

std::optional<std::int64_t> number(std::string_view text, std::int64_t most) {
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n < 0 || n > most) return std::nullopt;
  return n;
}

}  // namespace

void RedisClock::learn(const RedisReply& time, std::int64_t sent_us, std::int64_t received_us) {
  if (time.elements.size() != 2) return;
  const auto seconds = number(time.elements[0].text, std::int64_t{1} << 40);
  const auto micros = number(time.elements[1].text, 999999);
  if (!seconds || !micros || (received_us - sent_us > slow_us && offset_us_)) return;
  offset_us_ = *seconds * 1000000 + *micros - (sent_us + received_us) / 2;
  shared_.set(*offset_us_ / 1000);
}

std::optional<std::int64_t> RedisClock::at_us(std::int64_t steady_us) const {
  if (!offset_us_) return std::nullopt;
  return steady_us + *offset_us_;
}

std::optional<std::int64_t> RedisClock::steady_ms(std::int64_t redis_ms) const {
  if (!offset_us_) return std::nullopt;
  return redis_ms - *offset_us_ / 1000;
}

}  // namespace pillion
