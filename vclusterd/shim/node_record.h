// The two processes of a running node, named so that a reused pid is not taken for them: pid and
// start time (field 22 of /proc/<pid>/stat). Kept in the run directory: gone with a reboot, like
// the processes.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::vcluster {

struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;
  auto operator<=>(const ProcessId&) const = default;
};

struct ProcessStat {
  pid_t parent = 0;
  char state = '?';  // As in proc(5): 'Z' is a zombie.
  uint64_t start_ticks = 0;
};

// kNotFound: there is no such process.
Result<ProcessStat> ReadProcessStat(pid_t pid);
Result<ProcessId> IdentifyProcess(pid_t pid);
// A pidfd of exactly this process; kNotFound when it ended (or is a zombie).
Result<UniqueFd> OpenProcess(const ProcessId& process);

// Until the process behind a pidfd has ended; kDeadlineExceeded.
Status WaitProcess(int pid_fd, std::chrono::milliseconds timeout);

// SIGKILL; one that has ended is fine.
void KillProcess(const UniqueFd& pid_fd);

struct NodeRecord {
  ProcessId init;
  ProcessId monitor;  // liblxc's; it cleans up after init and ends.
};

std::string FormatRecord(const NodeRecord& record);
Result<NodeRecord> ParseRecord(std::string_view text);

}  // namespace strata::vcluster
