// UpperLock: says that a layerfs server works on an upper directory. An flock(2) on the directory,
// held by whoever has a copy of the descriptor: the server inherits it and gives it up by ending,
// however it ends. (overlayfs keeps track of its own uppers; see EBUSY in kernel_root.)
//
// After an unmount the server needs a moment to end: Take and WaitUntilFree wait for it.
#pragma once

#include <chrono>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::layerfs {

inline constexpr std::chrono::milliseconds kUpperLockWait{5000};

// The locked descriptor. kFailedPrecondition when another server keeps it for longer than `wait`.
Result<UniqueFd> TakeUpperLock(const std::string& upper_dir,
                               std::chrono::milliseconds wait = kUpperLockWait);
// Ok when no server works on the upper (any more).
Status WaitUntilUpperFree(const std::string& upper_dir,
                          std::chrono::milliseconds wait = kUpperLockWait);

}  // namespace strata::layerfs
