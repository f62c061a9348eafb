// Ends a streaming call of either side when nothing has moved for a while, or when its token is
// set. A live connection is not enough: the program behind it may read or write no more.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "common/cancel.h"

namespace strata::rpc {

// `end` (the context's TryCancel) is called at most once, from a thread of this. `token` may be
// null; it can only be asked, so it is asked every 50 ms.
class CallWatch {
 public:
  CallWatch(std::function<void()> end, std::chrono::milliseconds stall_max,
            const CancelToken* token = nullptr)
      : end_(std::move(end)),
        stall_max_(stall_max),
        token_(token),
        moved_(Clock::now()),
        watcher_([this](const std::stop_token& stop) { Watch(stop); }) {}

  // Something was sent or received.
  void Moved() {
    const std::lock_guard lock(mutex_);
    moved_ = Clock::now();
  }
  // Whether the call was ended because nothing moved.
  bool stalled() const {
    const std::lock_guard lock(mutex_);
    return stalled_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  void Watch(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      stalled_ = Clock::now() - moved_ > stall_max_;
      if (stalled_ || (token_ != nullptr && token_->cancelled())) {
        lock.unlock();
        return end_();
      }
      wake_.wait_for(lock, stop, std::chrono::milliseconds(50), [] { return false; });
    }
  }

  const std::function<void()> end_;
  const std::chrono::milliseconds stall_max_;
  const CancelToken* const token_;
  mutable std::mutex mutex_;  // Guards moved_ and stalled_.
  std::condition_variable_any wake_;
  Clock::time_point moved_;
  bool stalled_ = false;
  std::jthread watcher_;  // Last: it uses all of the above.
};

}  // namespace strata::rpc
