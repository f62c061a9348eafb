// btrfs by its ioctls (linux/btrfs.h): subvolumes, snapshots, qgroup limits. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"

namespace strata::layerfs {

// Ok when `directory` is on btrfs and quotas are on; kUnsupported, and how to have them, otherwise.
Status CheckBtrfsQuota(const std::string& directory);
// Switches quotas on (they stay on) unless they are, and waits until everything is counted.
Status EnableBtrfsQuota(const std::string& directory);

Status CreateSubvolume(const std::string& parent, const std::string& name);
// Of the subvolume at `path`, as `parent`/`name`, read-only. What was written before is in it.
Status SnapshotSubvolume(const std::string& path, const std::string& parent,
                         const std::string& name);
// With everything in it; its blocks are freed in the background. Missing is Ok.
Status DeleteSubvolume(const std::string& parent, const std::string& name);

// Limits what the subvolume refers to. Takes effect at once.
Status LimitSubvolume(const std::string& path, uint64_t limit_bytes);

struct SubvolumeUsage {
  uint64_t referenced_bytes = 0;  // As of the last commit of the file system.
  uint64_t limit_bytes = 0;       // 0: none.
};
Result<SubvolumeUsage> UsageOfSubvolume(const std::string& path);

// Removes the qgroups of subvolumes that do not exist any more.
Status RemoveStaleQgroups(const std::string& directory);

}  // namespace strata::layerfs
