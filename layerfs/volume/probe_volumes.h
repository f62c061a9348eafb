// Which kinds of volumes work here, found out by looking and trying; and which one to take.
#pragma once

#include <string>

#include "layerfs/volume/volume_store.h"

namespace strata::layerfs {

// Ok when volumes of this kind can live on the file system of `state_dir`; otherwise what is
// missing. kLvmThin: whether device-mapper and LVM are there (the pool is the administrator's).
// Needs root. Leaves nothing behind.
Status ProbeVolumeKind(VolumeKind kind, const std::string& state_dir);

// For nodes that have a limit of disk. The order is that of cost: project (nothing but a number on
// a directory), btrfs (a subvolume), loop (an image, a device and a mount per node). lvm-thin takes
// space that somebody must set aside, so it is never picked but chosen. kNone when nothing works.
VolumeKind PickVolumeKind(const std::string& state_dir);

}  // namespace strata::layerfs
