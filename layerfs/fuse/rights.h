// The rights of the threads that serve requests.
//
// CAP_FSETID stays out of the effective set: so the file system below strips set-id bits and file
// capabilities when a file is written or truncated, also through a backing file that was registered
// by such a thread (passthrough writes run with the rights of that moment). CAP_SYS_RESOURCE stays
// out so that a volume's reserve is not eaten. FsetidScope raises CAP_FSETID where the
// application's own chmod is carried out. Per-thread state; threads inherit it from their maker.
#pragma once

#include "common/result.h"

namespace strata::layerfs {

Status LowerRights();

class FsetidScope {
 public:
  FsetidScope();
  ~FsetidScope();
  FsetidScope(const FsetidScope&) = delete;

 private:
  const bool raised_;
};

}  // namespace strata::layerfs
