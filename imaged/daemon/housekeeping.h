// Housekeeping: what imaged does when nobody asks: a collection some minutes after it started and
// then every hour, for what operations that failed or were killed left behind.
#pragma once

#include <thread>

#include "imaged/repository/repository.h"

namespace strata::imaged {

class Housekeeping {
 public:
  // `repository` must outlive this. The destructor waits for the step that runs.
  explicit Housekeeping(Repository* repository);

 private:
  std::jthread thread_;
};

}  // namespace strata::imaged
