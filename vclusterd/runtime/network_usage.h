// What went over network devices so far. Pure, but for NetworkUsageOf.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "common/result.h"

namespace strata::vcluster {

struct NetworkUsage {
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
};

// The text of /proc/net/dev (proc_pid_net(5)): all devices but the loopback.
NetworkUsage ParseNetworkUsage(std::string_view text);
// Of the network that a process is in, which may be a container's or this host's.
Result<NetworkUsage> NetworkUsageOf(pid_t process);

}  // namespace strata::vcluster
