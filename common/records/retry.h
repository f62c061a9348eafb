// Changes that rest on what may change meanwhile: evaluated again and tried again.
#pragma once

#include "common/result.h"

namespace strata::records {

// One of several hosts wins every round, so this is many more than meet.
inline constexpr int kChangeAttemptsMax = 50;

// `change` reads, decides and commits; kFailedPrecondition, of whatever origin, means once more.
template <typename Change>
auto RetryWhileChanged(const Change& change) -> decltype(change()) {
  for (int attempt = 1;; ++attempt) {
    auto done = change();
    if (done.ok() || done.error().code() != Code::kFailedPrecondition ||
        attempt == kChangeAttemptsMax) {
      return done;
    }
  }
}

}  // namespace strata::records
