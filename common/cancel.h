// CancelToken: how a caller stops a long operation. The worker asks `Check()` at least every few
// milliseconds of work; the other side calls Cancel() from any thread.
#pragma once

#include <atomic>

#include "common/result.h"

namespace strata {

class CancelToken {
 public:
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  Status Check() const {
    if (cancelled()) return Error(Code::kCancelled, "cancelled by the caller");
    return Ok();
  }

 private:
  std::atomic<bool> cancelled_{false};
};

}  // namespace strata
