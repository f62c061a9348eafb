// LayerBringer: in a catalog that several hosts share an image is known before its layers are here.
// Who is about to use one has them brought first (imaged/peers does it).
//
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

class LayerBringer {
 public:
  virtual ~LayerBringer() = default;

  // Ok when the layers are here, and also when the caller may use no such image: that is told by
  // what he asks for. kFailedPrecondition: no host has them; kUnavailable: none of those that
  // answer has; kCancelled.
  virtual Status Bring(uid_t caller, const std::string& reference, const ProgressSink& progress,
                       const CancelToken& cancel) = 0;
};

}  // namespace strata::imaged
