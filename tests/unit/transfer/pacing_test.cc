// The rate limiter and the progress meter, on a clock that only moves when told.
#include <gtest/gtest.h>

#include "imaged/transfer/progress.h"
#include "imaged/transfer/rate_limiter.h"

namespace strata::imaged::transfer {
namespace {

using std::chrono::milliseconds;

class FakeClock final : public Clock {
 public:
  TimePoint Now() override { return now_; }
  void WaitUntil(TimePoint when) override {
    now_ = std::max(now_, when);
    if (cancel_at_ && now_ >= *cancel_at_) cancel_->Cancel();
  }
  void Pass(milliseconds time) { now_ += time; }
  void CancelAfter(milliseconds time, CancelToken* cancel) {
    cancel_at_ = now_ + time;
    cancel_ = cancel;
  }
  milliseconds Since(TimePoint then) {
    return std::chrono::duration_cast<milliseconds>(now_ - then);
  }

 private:
  TimePoint now_ = TimePoint(std::chrono::hours(1));
  std::optional<TimePoint> cancel_at_;
  CancelToken* cancel_ = nullptr;
};

TEST(RateLimiterTest, ABurstIsFreeAndThenTheRateHolds) {
  FakeClock clock;
  RateLimiter limiter(1000, 500, clock);
  const CancelToken cancel;
  const auto start = clock.Now();
  ASSERT_TRUE(limiter.Take(500, cancel).ok());
  EXPECT_EQ(clock.Since(start), milliseconds(0));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(limiter.Take(100, cancel).ok());
  EXPECT_EQ(clock.Since(start), milliseconds(2000));
}

TEST(RateLimiterTest, APieceLargerThanTheBucketWaitsItsTime) {
  FakeClock clock;
  RateLimiter limiter(1000, 10, clock);
  const CancelToken cancel;
  const auto start = clock.Now();
  ASSERT_TRUE(limiter.Take(5010, cancel).ok());
  EXPECT_EQ(clock.Since(start), milliseconds(5000));
}

TEST(RateLimiterTest, APauseSavesNoMoreThanABurst) {
  FakeClock clock;
  RateLimiter limiter(1000, 500, clock);
  const CancelToken cancel;
  ASSERT_TRUE(limiter.Take(500, cancel).ok());
  clock.Pass(milliseconds(60'000));
  const auto start = clock.Now();
  ASSERT_TRUE(limiter.Take(1500, cancel).ok());
  EXPECT_EQ(clock.Since(start), milliseconds(1000));
}

TEST(RateLimiterTest, ACancelledWaitEndsSoonAndGivesItsShareBack) {
  FakeClock clock;
  RateLimiter limiter(1000, 10, clock);
  CancelToken cancel;
  clock.CancelAfter(milliseconds(100), &cancel);
  const auto start = clock.Now();
  EXPECT_EQ(limiter.Take(100'000, cancel).error().code(), Code::kCancelled);
  EXPECT_LE(clock.Since(start), milliseconds(200));
  const CancelToken other;
  const auto next = clock.Now();
  ASSERT_TRUE(limiter.Take(1000, other).ok());
  EXPECT_LE(clock.Since(next), milliseconds(1000));
}

TEST(ProgressMeterTest, RatesAreAveragedAndTheRestIsTold) {
  FakeClock clock;
  ProgressMeter meter(10, 10'000, clock);
  EXPECT_FALSE(meter.Look().seconds_left.has_value());
  for (int i = 0; i < 5; ++i) {
    clock.Pass(milliseconds(1000));
    meter.AddPlain(1000);
    meter.AddWire(100);
    meter.AddObjects(1);
    meter.Look();
  }
  EXPECT_EQ(meter.Look().objects, 5u);
  EXPECT_NEAR(meter.Look().plain_bytes_per_second, 1000, 1);
  EXPECT_NEAR(meter.Look().wire_bytes_per_second, 100, 1);
  EXPECT_NEAR(*meter.Look().seconds_left, 5, 0.1);
  // A stall shows after some seconds and not at once.
  clock.Pass(milliseconds(1000));
  EXPECT_GT(meter.Look().plain_bytes_per_second, 700);
  clock.Pass(milliseconds(20'000));
  EXPECT_LT(meter.Look().plain_bytes_per_second, 50);
}

}  // namespace
}  // namespace strata::imaged::transfer
