// The keepers of FUSE servers (layerfs/server/keeper.h) that run on this machine.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/result.h"

namespace strata::layerfs {

struct KeeperProcess {
  pid_t pid = 0;
  std::string upper;  // Empty: of an object mount.

  std::string Name() const { return upper.empty() ? "object mount" : upper; }
};

Result<std::vector<KeeperProcess>> FindKeepers();

}  // namespace strata::layerfs
