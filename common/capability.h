// Capabilities of the calling thread (capabilities(7)). Only the effective set is touched: what is
// permitted can be raised again. Per-thread state; new threads inherit it from their maker.
#pragma once

#include "common/result.h"

namespace strata {

// `capability`: CAP_* of <linux/capability.h>.
bool HasCapability(int capability);

// Raising what is not permitted is kPermissionDenied; lowering always works.
Status SetCapability(int capability, bool effective);

// Lowers one for as long as this object lives, on the thread that made it.
class LoweredCapability {
 public:
  explicit LoweredCapability(int capability);
  ~LoweredCapability();
  LoweredCapability(const LoweredCapability&) = delete;
  LoweredCapability& operator=(const LoweredCapability&) = delete;

 private:
  const int capability_;
  const bool lowered_;
};

}  // namespace strata
