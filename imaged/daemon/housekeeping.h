// Housekeeping: what imaged does when nobody asks: a collection some minutes after it started and
// then every hour, for what operations that failed or were killed left behind, and then the
// eviction of copies when room is short (imaged/repository/eviction.h); and the check of all that
// is on disk (imaged/repository/background_check.h), with idle priority of the disk.
#pragma once

#include <thread>

#include "imaged/repository/eviction.h"

namespace strata::imaged {

class Housekeeping {
 public:
  // `repository` must outlive this. The destructor waits for the step that runs. Without
  // `check_disk` there is no such check.
  Housekeeping(Repository* repository, const EvictionRule& eviction, bool check_disk);

 private:
  std::jthread collecting_;
  std::jthread checking_;
};

}  // namespace strata::imaged
