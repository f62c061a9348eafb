#include "vclusterd/host/usage_totals.h"

#include <algorithm>

namespace strata::vcluster {
namespace {

uint64_t PerSecond(uint64_t before, uint64_t after, double seconds) {
  return after > before ? static_cast<uint64_t>(static_cast<double>(after - before) / seconds) : 0;
}

}  // namespace

host::v1::Usage UsageBetween(const UsageTotals& before, const UsageTotals& after, double seconds) {
  host::v1::Usage usage;
  usage.set_seconds(seconds);
  usage.set_cpus(std::max(0.0, after.cpu_s - before.cpu_s) / seconds);
  usage.set_read_bytes_per_s(PerSecond(before.read_bytes, after.read_bytes, seconds));
  usage.set_written_bytes_per_s(PerSecond(before.written_bytes, after.written_bytes, seconds));
  usage.set_received_bytes_per_s(PerSecond(before.received_bytes, after.received_bytes, seconds));
  usage.set_sent_bytes_per_s(PerSecond(before.sent_bytes, after.sent_bytes, seconds));
  return usage;
}

}  // namespace strata::vcluster
