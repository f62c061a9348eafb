// Detached mounts (common/mount.h) whose ids are mapped by several extents (mount_setattr(2),
// "idmapped mounts").
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata {

// `count` ids of the file system, from `stored` on, appear as those from `shown` on.
struct IdExtent {
  uint32_t stored = 0;
  uint32_t shown = 0;
  uint32_t count = 0;
};
struct IdMap {
  std::vector<IdExtent> users;
  std::vector<IdExtent> groups;
};

// A detached copy of the mount that holds `fd`, with that directory as its root and nothing that is
// mounted below it.
Result<UniqueFd> CloneMountAt(int fd);

// Sets a detached mount's `attributes` (MOUNT_ATTR_*) and maps its ids; files of others appear as
// nobody's, and nobody can make any. kUnsupported: its file system knows no idmapped mounts.
Status MapMountIds(int mount_fd, const IdMap& map, uint64_t attributes);

// AttachMount at a directory that is open; `path` is for the error.
Status AttachMountAt(int mount_fd, int directory_fd, const std::string& path);

}  // namespace strata
