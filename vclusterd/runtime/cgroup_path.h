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

// Of this controller's own hierarchy (v1), or of the one of all. kUnsupported.
Result<Cgroup> CgroupOf(pid_t pid, std::string_view controller);

}  // namespace strata::vcluster
