// Project quota (ext4, xfs) through quotactl_fd(2) and FS_IOC_FSSETXATTR: a directory, and all that
// is made below it, belongs to a project, and the project has a limit. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"
#include "layerfs/volume/volume_store.h"

namespace strata::layerfs {

// Ok when limits of projects are enforced on the file system of `directory`; kUnsupported, and how
// to have it, otherwise.
Status CheckProjectQuota(const std::string& directory);

// 0: none.
Result<uint32_t> ProjectOf(const std::string& directory);
// Also for what is made below it later.
Status SetProject(const std::string& directory, uint32_t project);

// `directory` is any one of the file system. 0 bytes: no limit.
Status SetProjectLimit(const std::string& directory, uint32_t project, uint64_t limit_bytes);
Result<VolumeUsage> ProjectUsage(const std::string& directory, uint32_t project);

}  // namespace strata::layerfs
