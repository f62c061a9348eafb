// Time as records carry it: milliseconds since 1970, from a clock that tests turn.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace strata::vcluster {

using UnixClock = std::function<int64_t()>;

inline int64_t HostUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

inline constexpr int64_t kSecondMs = 1000;
inline constexpr int64_t kMinuteMs = 60 * kSecondMs;
inline constexpr int64_t kHourMs = 60 * kMinuteMs;
inline constexpr int64_t kDayMs = 24 * kHourMs;

}  // namespace strata::vcluster
