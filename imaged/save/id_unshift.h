// Turns the shifted ids of an unprivileged container's upper into the canonical ids of layers:
// owner, POSIX ACL entries (acl(5), struct posix_acl_xattr_entry) and the root id of file
// capabilities (capabilities(7), VFS_CAP_REVISION_3).
#pragma once

#include <cstdint>

#include "imaged/manifest/tree.h"

namespace strata::imaged {

struct IdRange {
  uint32_t first_id = 0;
  uint32_t count = 0;  // 0: nothing is shifted.
};

// False when the inode carries an id outside the range: it was made by the host, not by the
// container, and becomes nobody (65534) as the container itself would see it.
bool UnshiftIds(const IdRange& range, Inode* inode);

}  // namespace strata::imaged
