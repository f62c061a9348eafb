// Where a process's cgroup is. For the files of this folder.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "common/result.h"

namespace strata::vcluster {

struct Cgroup {
  std::string directory;
  bool unified = false;
};

// liblxc's group of a container for the path of a group of one of its processes: a node's root may
// make groups below it and move process 1 there. Other paths stay as they are. Pure.
std::string ContainerCgroup(const std::string& path);

// In the cgroup v2 hierarchy, which may have no controllers: where the kernel tells pressure.
// kUnsupported.
Result<std::string> UnifiedCgroupOf(pid_t pid);

// Of this controller's own hierarchy (v1), or of the one of all. kUnsupported.
Result<Cgroup> CgroupOf(pid_t pid, std::string_view controller);

}  // namespace strata::vcluster
