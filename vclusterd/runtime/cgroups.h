// The control groups of containers, on hosts with cgroup v1, v2 or both.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/result.h"

namespace strata::vcluster {

// True when /sys/fs/cgroup is the one cgroup v2 hierarchy.
bool HasUnifiedCgroups();

// Stops or continues every process of the cgroup of `init`, as the kernel's freezer does it, and
// waits until that is so (kDeadlineExceeded after 10 s; frozen processes are then thawed again).
Status FreezeCgroupOf(pid_t init);
Status ThawCgroupOf(pid_t init);

// Kills what is left in liblxc's cgroups of a container and removes them. Nothing there is Ok.
Status RemoveContainerCgroups(const std::string& container);

}  // namespace strata::vcluster
