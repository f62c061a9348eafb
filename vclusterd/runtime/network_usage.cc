#include "vclusterd/runtime/network_usage.h"

#include <cstdio>
#include <string>

#include "common/file_io.h"

namespace strata::vcluster {

NetworkUsage ParseNetworkUsage(std::string_view text) {
  NetworkUsage usage;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t colon = line.find(':');
    const size_t name = line.find_first_not_of(' ');
    if (colon == std::string::npos || line.compare(name, colon - name, "lo") == 0) continue;
    unsigned long long received = 0;
    unsigned long long sent = 0;
    // Eight columns of what came, then those of what went.
    if (std::sscanf(line.c_str() + colon + 1, "%llu %*u %*u %*u %*u %*u %*u %*u %llu", &received,
                    &sent) == 2) {
      usage.received_bytes += received;
      usage.sent_bytes += sent;
    }
  }
  return usage;
}

Result<NetworkUsage> NetworkUsageOf(pid_t process) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadFile("/proc/" + std::to_string(process) + "/net/dev"));
  return ParseNetworkUsage(text);
}

}  // namespace strata::vcluster
