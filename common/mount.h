// The kernel's mount API as file descriptors (fsopen(2), fsmount(2), open_tree(2),
// mount_setattr(2), move_mount(2)). A mount is built detached, seen by nobody, and can be handed to
// another process or attached in another mount namespace; when its last descriptor closes before it
// was attached, the kernel takes it away, so a failure half-way leaves nothing behind.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata {

struct MountOption {
  std::string key;
  std::string value;  // Empty: a flag.
  int fd = -1;        // Instead of a value, where the file system takes a descriptor. Not owned.
};

struct MountSpec {
  std::string type;                  // "overlay", "erofs", "fuse", …
  std::vector<MountOption> options;  // In this order. "source" is an option.
  uint64_t attributes = 0;           // MOUNT_ATTR_*
};

// A detached mount. The kernel's own message (from the fs context) is part of the error.
Result<UniqueFd> CreateDetachedMount(const MountSpec& spec);

// A detached copy of the mount at `path` in which ids are shifted: id N of the file system appears
// as `first_id + N` for N < `count` (mount_setattr(2), "idmapped mounts").
Result<UniqueFd> CloneMountIdShifted(const std::string& path, uint32_t first_id, uint32_t count);
Result<UniqueFd> CloneMountIdShifted(int mount_fd, uint32_t first_id, uint32_t count);

// The same shift on a detached mount itself, which nobody has used yet: no copy is made.
Status ShiftMountIds(int mount_fd, uint32_t first_id, uint32_t count);

// Makes the mount visible at `path`.
Status AttachMount(int mount_fd, const std::string& path);

// Makes the directory a mount of its own, unless it is one: what is mounted below it is not passed
// on to other mount namespaces (MS_PRIVATE).
Status MakePrivateMountPoint(const std::string& path);

// umount2(2) with MNT_DETACH only when `lazy`. Nothing mounted there is Ok.
Status Unmount(const std::string& path, bool lazy = false);

// True when `path` itself is a mount point.
Result<bool> IsMountPoint(const std::string& path);

}  // namespace strata
