// RateLimiter: a token bucket that several streams share. A stream takes what it sent; when the
// bucket is overdrawn it waits until its share has come in, so that the sum of all stays at the
// rate and pieces larger than the bucket still pass.
//
// Thread-safe. Clock is injected, so that tests need not wait.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "common/cancel.h"
#include "common/result.h"

namespace strata::imaged::transfer {

class Clock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  virtual ~Clock() = default;
  virtual TimePoint Now() = 0;
  virtual void WaitUntil(TimePoint when) = 0;
  // The system's steady clock. Thread-safe, lives for ever.
  static Clock& System();
};

class RateLimiter {
 public:
  // `burst_bytes`: what may go at once after a pause. REQUIRES: both above 0. `clock` outlives it.
  RateLimiter(uint64_t bytes_per_second, uint64_t burst_bytes, Clock& clock = Clock::System());

  // Waits until `bytes` may go. kCancelled, then nothing was taken.
  Status Take(uint64_t bytes, const CancelToken& cancel);

 private:
  const double bytes_per_second_;
  const double burst_bytes_;
  Clock& clock_;
  std::mutex mutex_;  // Guards the next two.
  double tokens_;     // Below 0: promised to streams that wait.
  Clock::TimePoint filled_;
};

}  // namespace strata::imaged::transfer
