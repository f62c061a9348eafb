// The control groups of containers, on hosts with cgroup v1, v2 or both.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"
#include "vclusterd/definition/definition.h"

namespace strata::vcluster {

// True when /sys/fs/cgroup is the one cgroup v2 hierarchy.
bool HasUnifiedCgroups();

// Stops or continues every process of the cgroup of `init`, as the kernel's freezer does it, and
// waits until that is so (kDeadlineExceeded after 10 s; frozen processes are then thawed again).
Status FreezeCgroupOf(pid_t init);
Status ThawCgroupOf(pid_t init);

// What a limit is in the files of a cgroup.
struct CgroupSetting {
  std::string controller;
  std::string file;
  std::string value;
};
// Of what is limited; with `all` also of what is not, to take an earlier limit away. Pure.
std::vector<CgroupSetting> SettingsOf(const Limits& limits, bool unified, bool all);

// Puts these limits of CPU, memory and processes on the cgroups of `init` while it runs.
// kFailedPrecondition: more memory is in use.
Status LimitCgroupsOf(pid_t init, const Limits& limits);
// A node with a limit of memory uses no swap of the host beyond it. A kernel that does not count
// swap has nothing to set.
Status LimitSwapOf(pid_t init, const Limits& limits);

// What the processes of a cgroup have used so far.
struct CgroupUsage {
  std::chrono::nanoseconds cpu{0};
  uint64_t memory_bytes = 0;
  uint64_t read_bytes = 0;  // Of block devices; 0 where the kernel does not count them.
  uint64_t written_bytes = 0;
};
Result<CgroupUsage> UsageOf(pid_t init);

// Kills what is left in liblxc's cgroups of a container and removes them. Nothing there is Ok.
Status RemoveContainerCgroups(const std::string& container);

}  // namespace strata::vcluster
