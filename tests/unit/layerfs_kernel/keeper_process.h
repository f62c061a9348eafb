// The processes of a FUSE server, seen from a test: its keeper, and the server of the moment.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "common/file_io.h"
#include "common/subprocess.h"

namespace strata::layerfs {

inline constexpr auto kServerPatience = std::chrono::seconds(20);

// The keeper whose command line matches `pattern` (pgrep -f); 0: none.
inline pid_t FindKeeper(const std::string& pattern) {
  const auto found = strata::Run({"pgrep", "-f", pattern});
  if (!found.ok() || found->exit_code != 0) return 0;
  for (size_t at = 0; at < found->out.size(); at = found->out.find('\n', at) + 1) {
    const pid_t pid = std::stoi(found->out.substr(at));
    const auto comm = ReadFile("/proc/" + std::to_string(pid) + "/comm");
    if (comm.ok() && *comm == "layerfs-keeper\n") return pid;
  }
  return 0;
}

// Waits for a server other than `not_this`; 0: there is none, even after a while.
inline pid_t ServerOf(pid_t keeper, pid_t not_this = 0) {
  const std::string pid = std::to_string(keeper);
  const auto deadline = std::chrono::steady_clock::now() + kServerPatience;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto children = ReadFile("/proc/" + pid + "/task/" + pid + "/children");
    if (!children.ok()) return 0;
    const pid_t server = static_cast<pid_t>(std::strtol(children->c_str(), nullptr, 10));
    if (server > 0 && server != not_this) return server;
    std::this_thread::yield();
  }
  return 0;
}

// Ends the server; the next one is there when this returns.
inline void KillServerOf(pid_t keeper, int signal = SIGKILL) {
  const pid_t server = ServerOf(keeper);
  ASSERT_GT(server, 0);
  ASSERT_EQ(::kill(server, signal), 0);
  ASSERT_GT(ServerOf(keeper, server), 0);
}

}  // namespace strata::layerfs
