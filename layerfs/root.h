// A container's root: N read-only layers, flattened into one tree, under one writable upper
// directory. Two drivers give the same union:
//
//   kKernel  overlayfs over the EROFS tree with the object folder as data-only lower
//            (metacopy=on, redirect_dir=on, index=on)
//   kFuse    the whole union in user space, one `layerfs` process per mount, with passthrough
//
// The upper directory is in overlayfs's on-disk format for both, so a container that was stopped
// under one driver starts under the other.
//
// Both give a detached mount (common/mount.h): the caller attaches it where it wants, in whatever
// mount namespace. Closing the descriptor without attaching takes everything down again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::layerfs {

enum class Driver { kKernel, kFuse };

std::string_view DriverName(Driver driver);         // "kernel", "fuse"
Result<Driver> ParseDriver(std::string_view name);  // kInvalidArgument lists the names.

// Id N of the layers is seen as first_id + N for N < count, and so it is stored in the upper.
struct IdShift {
  uint32_t first_id = 0;
  uint32_t count = 65536;
};

struct RootSpec {
  std::string tree_path;    // The image's flattened tree: an EROFS metadata image.
  std::string objects_dir;  // The store's objects, complete for this tree.
  std::string upper_dir;    // Both exist, on one file system that can hold trusted.* attributes.
  std::string work_dir;     // Empty or overlayfs's own.
  std::optional<IdShift> id_shift;  // Unprivileged containers; absent: ids as they are.
};

// Creates the upper (mode, owner, mtime and attributes of the tree's root directory, shifted) and
// the work directory (0755, the shifted root's) of a new root. What is there already is left alone;
// a directory of that name is always a finished one. Not durable by itself.
Status PrepareUpper(const RootSpec& spec);

// MOUNT_ATTR_* of the root's mount. Device nodes that an image holds work only in roots whose ids
// are not shifted: an unprivileged container gets its devices from the host. suid works in both.
uint64_t RootAttributes(const RootSpec& spec);

// A detached mount of the union. kUnsupported when this kernel cannot (the message says what is
// missing; see Probe), kFailedPrecondition when the upper is in use, kCorrupt for a bad tree.
// kFuse starts the server process (`layerfs_binary` serve …), which ends with the mount. It is in a
// session of its own, no child of the caller (nothing to reap), survives it, and logs to
// <upper_dir>.log. A mount soon after an unmount of the same upper waits up to 5 s for the old
// server to end.
Result<UniqueFd> MountRoot(Driver driver, const RootSpec& spec,
                           const std::string& layerfs_binary = "layerfs");
// The same for a process with many roots: the kernel driver shares the mounts of the trees.
class TreeMounts;
Result<UniqueFd> MountRoot(Driver driver, const RootSpec& spec, TreeMounts& trees,
                           const std::string& layerfs_binary = "layerfs");

// Why the root of this upper directory ended before it was unmounted; nullopt: it did not. Until
// the next mount.
std::optional<std::string> BrokenReason(const std::string& upper_dir);

// The better driver that this kernel supports for `spec`-like roots on the file system of
// `state_dir`, by trying (a real mount of a tiny tree). Fast enough for every daemon start.
Result<Driver> PickDriver(const std::string& state_dir);

}  // namespace strata::layerfs
