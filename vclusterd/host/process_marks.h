// Finds the processes that a command in a node has started, whatever has become of it, by a
// variable that was in the environment of all of them. A process that was started without its
// parent's environment is not found.
//
// Stateless, thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "common/result.h"

namespace strata::vcluster {

// Sends `signal` to every process that is in the process namespace of `init` (the node's process 1)
// and was started with the variable `mark` ("NAME=value"). Answers how many there were.
Result<size_t> SignalMarked(pid_t init, const std::string& mark, int signal);

// SIGKILL, again and again until there is none: some may start others meanwhile.
// kDeadlineExceeded: there still are some, and how many.
Status KillMarked(pid_t init, const std::string& mark);

}  // namespace strata::vcluster
