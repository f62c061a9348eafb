// RateLimit: how often somebody may ask: a bucket of tokens each (who asks often has an empty one,
// which fills again). Of those who have not asked for longest nothing is remembered. Thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <mutex>
#include <string>

#include "vclusterd/users/recent_map.h"

namespace strata::vcluster::rest {

class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;

  RateLimit(double per_s, double burst) : per_s_(per_s), burst_(burst) {}

  // False: not now.
  bool Admit(const std::string& who, Clock::time_point now) {
    const std::lock_guard lock(mutex_);
    Bucket& bucket = buckets_.Touch(who);
    if (bucket.at == Clock::time_point()) {
      bucket.tokens = burst_;
    } else {
      const double passed_s = std::chrono::duration<double>(now - bucket.at).count();
      bucket.tokens = std::min(burst_, bucket.tokens + passed_s * per_s_);
    }
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

 private:
  struct Bucket {
    double tokens = 0;
    Clock::time_point at;
  };
  const double per_s_;
  const double burst_;
  std::mutex mutex_;  // Guards buckets_; a leaf.
  RecentMap<Bucket> buckets_{8192};
};

}  // namespace strata::vcluster::rest
