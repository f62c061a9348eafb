// The ids in POSIX ACL attributes (acl(5), struct posix_acl_xattr_entry), moved from the layers'
// canonical ids to those that an unprivileged container's upper holds (imaged/save: the reverse).
#pragma once

#include "common/result.h"
#include "common/xattr.h"
#include "layerfs/root.h"

namespace strata::layerfs {

// Leaves every other attribute alone. kCorrupt for a malformed ACL, kInvalidArgument for an id that
// the range does not hold.
Status ShiftAclIds(const IdShift& shift, Xattr* xattr);

}  // namespace strata::layerfs
