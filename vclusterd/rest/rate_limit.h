// RateLimit: how often somebody may ask: a bucket of tokens each (who asks often has an empty one,
// which fills again). Of those who have not asked for longest nothing is remembered. Thread-safe.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "common/rate_bucket.h"
#include "vclusterd/users/recent_map.h"

namespace strata::vcluster::rest {

class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;

  RateLimit(double per_s, double burst) : per_s_(per_s), burst_(burst) {}

  // False: not now.
  bool Admit(const std::string& who, Clock::time_point now) {
    const std::lock_guard lock(mutex_);
    if (buckets_.Find(who) == nullptr) buckets_.Touch(who) = RateBucket(per_s_, burst_);
    return buckets_.Touch(who).Take(now);
  }

 private:
  const double per_s_;
  const double burst_;
  std::mutex mutex_;  // Guards buckets_; a leaf.
  RecentMap<RateBucket> buckets_{8192};
};

}  // namespace strata::vcluster::rest
