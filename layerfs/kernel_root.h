// The kernel driver's mount steps: an EROFS tree, and overlayfs over it. Internal to layerfs; the
// way in is root.h.
//
// Paths reach the kernel as descriptors (FSCONFIG_SET_FD) or as /proc/self/fd/N, never as text in
// an option list: colons, commas, backslashes and long paths need no care.
//
// What needs a newer kernel than 6.5 has a fall-back, which can be forced for tests:
//   file-backed EROFS (6.12)            else a loop device, which goes away with the mount
//   detached mounts as layers (6.15)    else overlayfs is put together in a mount namespace that
//                                       lives as long as one helper thread
//
// Data is looked up in the object folder first and, when `object_mount` is given, then in the
// object mount, which has to be mounted (SettleObjects sees to it).
//
// Below 6.5 overlayfs has no data-only lowers and the driver answers kUnsupported.
#pragma once

#include <optional>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "layerfs/root.h"

namespace strata::layerfs {

enum class TreeBacking { kAny, kFile, kLoop };
enum class LayerLookup { kAny, kDetached, kPrivateNamespace };

// A detached read-only mount of the EROFS image. kCorrupt when it is none, kNotFound.
Result<UniqueFd> MountTree(const std::string& tree_path, TreeBacking backing = TreeBacking::kAny);

// A copy of a mount that MountTree answered, with `shift` applied; the superblock is shared.
// Fails with EINVAL where the kernel cannot copy a detached mount (before 6.15).
Result<UniqueFd> CloneTree(int tree_mount, const std::optional<IdShift>& shift);

// The union over a detached tree mount, which already carries the id shift of `spec`. The tree
// mount may be used again afterwards, unless the fall-back had to attach it (kPrivateNamespace).
Result<UniqueFd> MountUnion(int tree_mount, const RootSpec& spec,
                            LayerLookup lookup = LayerLookup::kAny);

// Tree and union, nothing shared. What MountRoot(Driver::kKernel) does.
Result<UniqueFd> MountKernelRoot(const RootSpec& spec, TreeBacking backing = TreeBacking::kAny,
                                 LayerLookup lookup = LayerLookup::kAny);

}  // namespace strata::layerfs
