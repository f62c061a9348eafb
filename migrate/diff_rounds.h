// Diff rounds: copy a container's writable layer while it runs, stop it for a moment, copy only
// what changed meanwhile. One engine for saving (rounds into the local store) and, later, for
// migration and backup (the same rounds into a remote one).
//
//   round 1   everything; the container runs. It begins with syncfs, so that later stores to mapped
//             files fault and change ctime, and round 2 sees them (imaged/save/upper_scan.h)
//   freeze    nothing changes any more
//   round 2   what changed since round 1 began. Reads see the page cache: nothing is synced here
//   thaw
//
// The container is thawed on every path out, errors included.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "common/result.h"

namespace strata::migrate {

// What a container must offer. Implemented by vclusterd's runtime; faked in tests.
class FreezableContainer {
 public:
  virtual ~FreezableContainer() = default;
  // Ok means: no process of the container runs until Thaw.
  virtual Status Freeze() = 0;
  virtual Status Thaw() = 0;
};

struct Rounds {
  std::function<Status()> first;   // While it runs.
  std::function<Status()> second;  // While it is frozen.
};

struct RoundTimes {
  std::chrono::nanoseconds first{0};
  std::chrono::nanoseconds stall{0};  // From the call of Freeze to the end of Thaw.
};

// `running` false: nothing to freeze (a stopped container), the second round follows at once.
Result<RoundTimes> RunDiffRounds(FreezableContainer& container, bool running, const Rounds& rounds);

}  // namespace strata::migrate
