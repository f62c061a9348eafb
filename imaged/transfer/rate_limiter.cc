#include "imaged/transfer/rate_limiter.h"

#include <algorithm>

namespace strata::imaged::transfer {
namespace {

constexpr std::chrono::milliseconds kCancelInterval(50);  // How often a waiting stream looks.

class SystemClock final : public Clock {
 public:
  TimePoint Now() override { return std::chrono::steady_clock::now(); }
  void WaitUntil(TimePoint when) override {
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    never.wait_until(lock, when, [] { return false; });
  }
};

}  // namespace

Clock& Clock::System() {
  static SystemClock clock;
  return clock;
}

RateLimiter::RateLimiter(uint64_t bytes_per_second, uint64_t burst_bytes, Clock& clock)
    : bytes_per_second_(static_cast<double>(bytes_per_second)),
      burst_bytes_(static_cast<double>(burst_bytes)),
      clock_(clock),
      tokens_(burst_bytes_),
      filled_(clock.Now()) {}

Status RateLimiter::Take(uint64_t bytes, const CancelToken& cancel) {
  RETURN_IF_ERROR(cancel.Check());
  const auto taken = static_cast<double>(bytes);
  Clock::TimePoint until;
  {
    const std::lock_guard lock(mutex_);
    const Clock::TimePoint now = clock_.Now();
    const double passed = std::chrono::duration<double>(now - filled_).count();
    tokens_ = std::min(burst_bytes_, tokens_ + passed * bytes_per_second_) - taken;
    filled_ = now;
    if (tokens_ >= 0) return Ok();
    until = now + std::chrono::duration_cast<Clock::TimePoint::duration>(
                      std::chrono::duration<double>(-tokens_ / bytes_per_second_));
  }
  while (clock_.Now() < until) {
    clock_.WaitUntil(std::min(until, clock_.Now() + kCancelInterval));
    if (const Status status = cancel.Check(); !status.ok()) {
      const std::lock_guard lock(mutex_);
      tokens_ += taken;
      return status;
    }
  }
  return Ok();
}

}  // namespace strata::imaged::transfer
