// Kills a program at a chosen system call: every point at which a crash can leave something else
// on disk is the edge of one.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "common/result.h"

namespace strata {

// Runs `prepare` in a child, and then the step that it answers, which is killed before its system
// call number `call` (from 1; those of the thread that runs the step count). True: it ended before
// that. A `prepare` that fails answers an empty step.
inline bool RunUntilCall(const std::function<std::function<Status()>()>& prepare, int call) {
  const pid_t child = ::fork();
  if (child == 0) {
    const std::function<Status()> step = prepare();
    if (!step || ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(2);
    ::raise(SIGSTOP);
    ::_exit(step().ok() ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSTOPPED(status)) << "the step cannot be prepared";
  for (int stop = 1; WIFSTOPPED(status); ++stop) {
    // Stops come in pairs: before a call, and after it.
    EXPECT_EQ(::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr), 0);
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    if (WIFSTOPPED(status) && stop == 2 * call - 1) {
      ::kill(child, SIGKILL);
      EXPECT_EQ(::waitpid(child, &status, 0), child);
      return false;
    }
  }
  EXPECT_EQ(status, 0) << "the step failed";
  return true;
}

}  // namespace strata
