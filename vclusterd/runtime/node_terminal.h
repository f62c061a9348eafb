// A pseudo terminal out of a node's own /dev/pts, so that programs in it find their terminal by
// name.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::vcluster {

struct NodeTerminal {
  UniqueFd controller;
  UniqueFd terminal;  // For the command's 0, 1 and 2.
};

// `owner`: the user on this host that the terminal belongs to. The node's own files are followed
// only inside its root: a node cannot make this open something of the host.
Result<NodeTerminal> OpenNodeTerminal(pid_t init, uid_t owner, uint32_t rows, uint32_t columns);
Status ResizeTerminal(int controller, uint32_t rows, uint32_t columns);

}  // namespace strata::vcluster
