#include "common/rate_bucket.h"

#include <gtest/gtest.h>

namespace strata {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RateBucketTest, FillsWithTimeUpToItsBurst) {
  RateBucket bucket(2, 3);
  RateBucket::Clock::time_point now{seconds(100)};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.Take(now)) << i;
  EXPECT_FALSE(bucket.Take(now));
  EXPECT_GE(bucket.ReadyAt(now), now + milliseconds(499));
  EXPECT_LE(bucket.ReadyAt(now), now + milliseconds(502));
  now = bucket.ReadyAt(now);
  EXPECT_EQ(bucket.ReadyAt(now), now);
  EXPECT_TRUE(bucket.Take(now));
  EXPECT_FALSE(bucket.Take(now));
  now += seconds(1000);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.Take(now)) << i;
  EXPECT_FALSE(bucket.Take(now));
}

TEST(RateBucketTest, WithoutARateNothingIsReady) {
  RateBucket never;
  const RateBucket::Clock::time_point now{seconds(100)};
  EXPECT_FALSE(never.Take(now));
  EXPECT_EQ(never.ReadyAt(now), RateBucket::Clock::time_point::max());
}

}  // namespace
}  // namespace strata
