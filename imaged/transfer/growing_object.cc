#include "imaged/transfer/growing_object.h"

#include <algorithm>

namespace strata::imaged::transfer {

Status GrowingObject::WaitFor(uint64_t end, std::chrono::milliseconds stall_max) {
  std::unique_lock lock(mutex_);
  while (verified_ < end) {
    const uint64_t seen = verified_;
    const bool moved =
        changed_.wait_for(lock, stall_max, [&] { return ended_ || verified_ != seen; });
    if (ended_ && verified_ < end) {
      return Error(Code::kUnavailable, "the object did not come to its end here");
    }
    if (!moved) return Error(Code::kUnavailable, "the object does not come on here");
  }
  return Ok();
}

void GrowingObject::Verified(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  verified_ = std::max(verified_, bytes);
  changed_.notify_all();
}

void GrowingObject::End() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

}  // namespace strata::imaged::transfer
