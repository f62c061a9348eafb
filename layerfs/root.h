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

// The object mount of a store (layerfs/object_mount.h): one for all roots of a host, started when
// the first root needs it.
struct ObjectMountSpec {
  std::string mountpoint;     // Made when missing; <mountpoint>.lock and .log lie beside it.
  std::string imaged_socket;  // Of the imaged that has the store open and fetches for it.
  std::string binary = "layerfs-objects";  // Looked up in PATH when it has no slash.
};

struct RootSpec {
  std::string tree_path;    // The image's flattened tree: an EROFS metadata image.
  std::string objects_dir;  // The store's objects.
  std::string upper_dir;    // Both exist, on one file system that can hold trusted.* attributes.
  std::string work_dir;     // Empty or overlayfs's own.
  std::optional<IdShift> id_shift;  // Unprivileged containers; absent: ids as they are.
  // Where objects come from that are not in objects_dir, or are damaged. Absent: from nowhere.
  std::optional<ObjectMountSpec> object_mount;
  bool objects_missing = false;  // Found out by MountRoot: opens may have to wait for fetches.
};

// Creates the upper (mode, owner, mtime and attributes of the tree's root directory, shifted) and
// the work directory (0755, the shifted root's) of a new root. What is there already is left alone;
// a directory of that name is always a finished one. Not durable by itself.
Status PrepareUpper(const RootSpec& spec);

// MOUNT_ATTR_* of the root's mount. Device nodes that an image holds work only in roots whose ids
// are not shifted: an unprivileged container gets its devices from the host. suid works in both.
uint64_t RootAttributes(const RootSpec& spec);

// A detached mount of the union. kUnsupported when this kernel cannot (the message says what is
// missing; see Probe), kFailedPrecondition when the upper is in use, kCorrupt for a bad tree (the
// message names the path in it).
//
// The first mount of a tree looks at all of it and at every object's size; that all are there is
// recorded beside the tree (imaged/manifest/tree_objects.h), and such roots use the object folder
// alone. Otherwise the object mount is started, damaged objects are repaired through it, and it
// stands behind the folder: missing objects are fetched when they are opened; EIO for that file,
// and a line naming the digest in the log, when that fails. A root that was mounted so goes on so,
// but every object that has arrived is used from the folder by files that were not opened before.
//
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
