// The disks behind a node's files, and what they may do for it in a second.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"

namespace strata::vcluster {

// As cgroups name them, "254:0".
struct IoDevices {
  // Of the node's volume, when nobody else writes to it.
  std::string own;
  // All that hold its files, `own` included.
  std::vector<std::string> all;
};

// The whole disk (cgroups know no partitions) that holds the file system of `path`.
// kUnsupported: it is on none.
Result<std::string> DiskOf(const std::string& path);

// `volume`: directory of the node's volume; `own`: it is a file system of its own on a device of
// its own. `others`: what else the node reads.
Result<IoDevices> IoDevicesOf(const std::string& volume, bool own,
                              const std::vector<std::string>& others);

// Limits reads and writes of the processes beside `init` (its cgroup), each, to so many bytes per
// second on each device; 0 takes the limit away. Under cgroup v1 the kernel writes back what was
// written to a file in the name of all, so there the device of the volume is limited for all, which
// is nobody but the node; without such a device that is kUnsupported.
Status LimitIoOf(pid_t init, const IoDevices& devices, uint64_t bytes_per_s);

// Takes away what LimitIoOf left on the device of a volume: another may have the device next. A
// host with cgroup v2 has nothing of that kind.
Status ForgetIoLimit(const IoDevices& devices);

}  // namespace strata::vcluster
