// RateBucket: how often something may be done: `burst` times at once, and `per_s` times a second in
// the long run. Not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>

namespace strata {

class RateBucket {
 public:
  using Clock = std::chrono::steady_clock;

  RateBucket() = default;  // Never.
  RateBucket(double per_s, double burst) : per_s_(per_s), burst_(burst), left_(burst) {}

  // False: not now. `now` does not go back.
  bool Take(Clock::time_point now) {
    Fill(now);
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }
  // From when on Take says true.
  Clock::time_point ReadyAt(Clock::time_point now) {
    Fill(now);
    if (left_ >= 1) return now;
    if (per_s_ <= 0) return Clock::time_point::max();
    // A little later than the sum says, so that rounding makes nobody look twice.
    return now + std::chrono::ceil<std::chrono::milliseconds>(
                     std::chrono::duration<double>((1 - left_) / per_s_));
  }

 private:
  void Fill(Clock::time_point now) {
    if (filled_ != Clock::time_point()) {
      const double passed_s = std::chrono::duration<double>(now - filled_).count();
      left_ = std::min(burst_, left_ + passed_s * per_s_);
    }
    filled_ = now;
  }

  double per_s_ = 0;
  double burst_ = 0;
  double left_ = 0;
  Clock::time_point filled_;
};

}  // namespace strata
