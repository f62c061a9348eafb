// HostLoad: what a whole host uses: its CPUs, memory, block devices and network, and how much of
// its time processes waited for them (PSI). From /proc of this mount namespace and network.
//
// Sources: proc_stat(5), proc_meminfo(5), Documentation/accounting/psi.rst,
// Documentation/admin-guide/iostats.rst. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "vclusterd/api/worker.pb.h"
#include "vclusterd/host/usage_totals.h"

namespace strata::vcluster {

// Seconds of all CPUs that were not idle, from the text of /proc/stat.
Result<double> BusySecondsOf(std::string_view proc_stat);
// Bytes that programs have, from the text of /proc/meminfo: all but what is available.
Result<uint64_t> UsedMemoryOf(std::string_view proc_meminfo);
// Bytes read and written of whole disks, from the text of /proc/diskstats. Partitions, loop
// devices and device-mapper devices lie on others and are not counted again.
struct DiskBytes {
  uint64_t read = 0;
  uint64_t written = 0;
};
DiskBytes DiskBytesOf(std::string_view proc_diskstats);

class HostLoadMeter {
 public:
  // `state_dir`: where nodes keep what they write.
  explicit HostLoadMeter(std::string state_dir) : state_dir_(std::move(state_dir)) {}
  // Since the last call; nullopt at the first.
  Result<std::optional<host::v1::HostLoad>> Measure();
  // Since the host started, as of the last call of Measure that succeeded.
  std::optional<UsageTotals> totals() const {
    return last_.has_value() ? std::optional(last_->totals) : std::nullopt;
  }

 private:
  struct Sample {
    std::chrono::steady_clock::time_point at;
    UsageTotals totals;
  };
  const std::string state_dir_;
  std::optional<Sample> last_;
};

}  // namespace strata::vcluster
