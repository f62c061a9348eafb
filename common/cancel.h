// CancelToken: how a caller stops a long operation. The worker asks `Check()` at least every few
// milliseconds of work; the other side calls Cancel() from any thread (not from a signal handler).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "common/result.h"

namespace strata {

class CancelToken {
 public:
  void Cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_.store(true, std::memory_order_relaxed);
    changed_.notify_all();
  }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  Status Check() const {
    if (cancelled()) return Error(Code::kCancelled, "cancelled by the caller");
    return Ok();
  }
  // Returns after `time`, or as soon as it is cancelled: then with Check's error.
  Status WaitFor(std::chrono::nanoseconds time) const {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, time, [this] { return cancelled(); });
    return Check();
  }

 private:
  mutable std::mutex mutex_;  // For the wait alone.
  mutable std::condition_variable changed_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace strata
