#include "layerfs/fuse/rights.h"

#include <linux/capability.h>

#include "common/capability.h"
#include "common/log.h"

namespace strata::layerfs {

Status LowerRights() {
  RETURN_IF_ERROR(SetCapability(CAP_FSETID, false));
  return SetCapability(CAP_SYS_RESOURCE, false);
}

FsetidScope::FsetidScope()
    : raised_(!HasCapability(CAP_FSETID) && SetCapability(CAP_FSETID, true).ok()) {}

FsetidScope::~FsetidScope() {
  if (raised_) CHECK(SetCapability(CAP_FSETID, false).ok());
}

}  // namespace strata::layerfs
