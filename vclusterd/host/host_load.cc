#include "vclusterd/host/host_load.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>

#include "common/file_io.h"
#include "vclusterd/runtime/cgroups.h"
#include "vclusterd/runtime/network_usage.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kSectorBytes = 512;  // In /proc/diskstats, whatever the device's.

// "MemTotal:       24675432 kB"
std::optional<uint64_t> KibOf(std::string_view text, std::string_view key) {
  const std::string sought = std::string(key) + ":";
  size_t at = text.starts_with(sought) ? 0 : text.find("\n" + sought);
  if (at == std::string_view::npos) return std::nullopt;
  if (at != 0) ++at;
  unsigned long long kib = 0;
  const std::string line(text.substr(at + sought.size(), 40));
  if (std::sscanf(line.c_str(), "%llu", &kib) != 1) return std::nullopt;
  return kib;
}

double HostPressure(const char* resource) {
  const auto text = ReadFile(std::string("/proc/pressure/") + resource);
  return text.ok() ? PressureOf(*text) : 0;  // A kernel without PSI.
}

}  // namespace

Result<double> BusySecondsOf(std::string_view proc_stat) {
  unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0,
                     steal = 0;
  const std::string line(proc_stat.substr(0, proc_stat.find('\n')));
  // Guests' time is a part of user's.
  if (!line.starts_with("cpu ") ||
      std::sscanf(line.c_str(), "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice,
                  &system, &idle, &wait, &irq, &soft, &steal) < 4) {
    return Error(Code::kUnsupported, "/proc/stat has no line of all CPUs");
  }
  const auto ticks = static_cast<double>(user + nice + system + irq + soft);
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

Result<uint64_t> UsedMemoryOf(std::string_view proc_meminfo) {
  const auto total = KibOf(proc_meminfo, "MemTotal");
  const auto available = KibOf(proc_meminfo, "MemAvailable");
  if (!total.has_value() || !available.has_value() || *available > *total) {
    return Error(Code::kUnsupported, "/proc/meminfo does not say what is available");
  }
  return (*total - *available) * 1024;
}

DiskBytes DiskBytesOf(std::string_view proc_diskstats) {
  DiskBytes bytes;
  std::string whole;  // The last disk that was counted; its partitions follow it.
  while (!proc_diskstats.empty()) {
    const size_t end = std::min(proc_diskstats.find('\n'), proc_diskstats.size());
    const std::string line(proc_diskstats.substr(0, end));
    proc_diskstats.remove_prefix(std::min(end + 1, proc_diskstats.size()));
    char name[64] = {};
    unsigned long long read = 0;
    unsigned long long written = 0;
    if (std::sscanf(line.c_str(), "%*u %*u %63s %*u %*u %llu %*u %*u %*u %llu", name, &read,
                    &written) != 3) {
      continue;
    }
    const std::string device = name;
    const bool is_layered = device.starts_with("loop") || device.starts_with("dm-") ||
                            device.starts_with("ram") || device.starts_with("zram") ||
                            device.starts_with("md") || device.starts_with("nbd");
    if (is_layered || (!whole.empty() && device.starts_with(whole))) continue;
    whole = device;
    bytes.read += read * kSectorBytes;
    bytes.written += written * kSectorBytes;
  }
  return bytes;
}

Result<std::optional<host::v1::HostLoad>> HostLoadMeter::Measure() {
  Sample now;
  now.at = Clock::now();
  ASSIGN_OR_RETURN(const std::string stat, ReadFile("/proc/stat"));
  ASSIGN_OR_RETURN(now.totals.cpu_s, BusySecondsOf(stat));
  if (const auto text = ReadFile("/proc/diskstats"); text.ok()) {
    const DiskBytes disks = DiskBytesOf(*text);
    now.totals.read_bytes = disks.read;
    now.totals.written_bytes = disks.written;
  }
  ASSIGN_OR_RETURN(const NetworkUsage network, NetworkUsageOf(::getpid()));
  now.totals.received_bytes = network.received_bytes;
  now.totals.sent_bytes = network.sent_bytes;
  const auto before = std::exchange(last_, now);
  if (!before.has_value()) return std::optional<host::v1::HostLoad>();
  const double seconds = std::chrono::duration<double>(now.at - before->at).count();
  if (seconds <= 0) return std::optional<host::v1::HostLoad>();
  ASSIGN_OR_RETURN(const std::string meminfo, ReadFile("/proc/meminfo"));
  ASSIGN_OR_RETURN(const uint64_t memory_bytes, UsedMemoryOf(meminfo));
  struct statvfs disk = {};
  if (::statvfs(state_dir_.c_str(), &disk) != 0) return Errno(state_dir_);
  host::v1::HostLoad load;
  load.set_disk_free_bytes(uint64_t{disk.f_bavail} * disk.f_frsize);
  *load.mutable_usage() = UsageBetween(before->totals, now.totals, seconds);
  host::v1::Usage* usage = load.mutable_usage();
  usage->set_memory_bytes(memory_bytes);
  usage->set_cpu_pressure(HostPressure("cpu"));
  usage->set_memory_pressure(HostPressure("memory"));
  usage->set_io_pressure(HostPressure("io"));
  return std::optional(load);
}

}  // namespace strata::vcluster
