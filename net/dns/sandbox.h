// What a program gives up before it reads what nodes send: its user, all capabilities, files, other
// programs, and all system calls but those that sockets and memory need. For good, and for what it
// has open, too.
#pragma once

#include <string>

#include "common/result.h"

namespace strata::net {

// REQUIRES: root, one thread. `empty_dir` is its root directory afterwards. An error: it must not
// go on.
Status EnterSandbox(const std::string& empty_dir);

}  // namespace strata::net
