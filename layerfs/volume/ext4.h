// ext4 as the file system of a volume on a block device or in an image file.
//
// The limit is not the size of the file system. ext4 grows online only for a process with
// CAP_SYS_RESOURCE (EXT4_IOC_RESIZE_FS; many containers and sandboxes lack it) and does not shrink
// while mounted. Therefore the file system is made a little larger than the limit, and what lies
// above it is withheld from everybody, root included, through
// /sys/fs/ext4/<device>/reserved_clusters (Documentation/ABI/testing/sysfs-fs-ext4). That number
// can be moved both ways at any time; only growth past the file system's own end needs the ioctl.
// Unused space of a sparse file system costs nothing.
//
// The limit is an attribute of the root directory, trusted.strata.limit (decimal bytes), so that it
// changes together with the file system and travels with every copy of it. The attribute is read
// and applied whenever it is mounted.
//
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "layerfs/volume/volume_store.h"

namespace strata::layerfs {

// Whether this process may grow a mounted ext4 past its end.
bool MayGrowExt4Online();

// The size of a file system that holds `limit_bytes` of data, as MakeExt4 lays it out: with room to
// grow online where the ioctl is not allowed.
uint64_t Ext4BytesFor(uint64_t limit_bytes);

// An empty file system on `path`, which reads as zeros and has its final size; nothing is written
// but what is not zero, and the kernel initialises nothing later.
Status MakeExt4(const std::string& path);

enum class Ext4Access { kReadWrite, kSnapshot };

// A detached mount; replays the journal. kSnapshot: read-only, the device is writable all the same.
// kCorrupt when it is none, with the remedy; `backing` names it in messages.
Result<UniqueFd> MountExt4(const std::string& device, Ext4Access access,
                           const std::string& backing);

// Of a mounted one. SetExt4Limit is durable and REQUIRES: limit <= the capacity.
Status SetExt4Limit(const std::string& mountpoint, uint64_t limit_bytes);
// Makes the kernel keep to the limit that is recorded. Without a record there is none.
Status ApplyExt4Limit(const std::string& mountpoint);
Result<VolumeUsage> Ext4Usage(const std::string& mountpoint);
// What the file system could hold without a limit.
Result<uint64_t> Ext4Capacity(const std::string& mountpoint);

// Grows to the device's new size. kUnsupported without CAP_SYS_RESOURCE.
Status GrowMountedExt4(const std::string& mountpoint, uint64_t size_bytes);
// The same for one that is not mounted (e2fsck, resize2fs), with any rights.
Status GrowUnmountedExt4(const std::string& path);

}  // namespace strata::layerfs
