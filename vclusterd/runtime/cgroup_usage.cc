#include <algorithm>
#include <charconv>
#include <cmath>

#include "common/file_io.h"
#include "vclusterd/runtime/cgroup_path.h"
#include "vclusterd/runtime/cgroups.h"

namespace strata::vcluster {
namespace {

constexpr size_t kControlBytesMax = 1u << 20;

uint64_t Number(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The number behind every `name` in lines of words: "8:0 rbytes=12", "8:0 Read 12", "usage_usec 5".
uint64_t SumOf(std::string_view text, std::string_view name) {
  uint64_t sum = 0;
  for (size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    const bool starts_word = at == 0 || text[at - 1] == ' ' || text[at - 1] == '\n';
    if (starts_word) sum += Number(text.substr(at + name.size()));
  }
  return sum;
}

Result<std::string> Read(pid_t init, std::string_view controller, const std::string& unified_file,
                         const std::string& v1_file) {
  ASSIGN_OR_RETURN(const Cgroup cgroup, CgroupOf(init, controller));
  return ReadFile(cgroup.directory + "/" + (cgroup.unified ? unified_file : v1_file),
                  kControlBytesMax);
}

double Pressure(const std::string& directory, const char* resource) {
  const auto text = ReadFile(directory + "/" + resource + ".pressure", kControlBytesMax);
  return text.ok() ? PressureOf(*text) : 0;
}

}  // namespace

double PressureOf(std::string_view text) {
  constexpr std::string_view kStart = "some avg10=";
  if (!text.starts_with(kStart)) return 0;
  text.remove_prefix(kStart.size());
  double percent = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), percent);
  const bool sane = parsed.ec == std::errc() && std::isfinite(percent);
  return sane ? std::clamp(percent / 100, 0.0, 1.0) : 0;
}

Result<CgroupUsage> UsageOf(pid_t init) {
  const bool unified = HasUnifiedCgroups();
  CgroupUsage usage;
  ASSIGN_OR_RETURN(const std::string cpu, Read(init, "cpuacct", "cpu.stat", "cpuacct.usage"));
  usage.cpu = unified ? std::chrono::microseconds(SumOf(cpu, "usage_usec "))
                      : std::chrono::nanoseconds(Number(cpu));
  ASSIGN_OR_RETURN(const std::string memory,
                   Read(init, "memory", "memory.current", "memory.usage_in_bytes"));
  usage.memory_bytes = Number(memory);
  // Not every host has this controller.
  if (const auto io = Read(init, "blkio", "io.stat", "blkio.throttle.io_service_bytes"); io.ok()) {
    usage.read_bytes = SumOf(*io, unified ? "rbytes=" : "Read ");
    usage.written_bytes = SumOf(*io, unified ? "wbytes=" : "Write ");
  }
  if (const auto directory = UnifiedCgroupOf(init); directory.ok()) {
    usage.cpu_pressure = Pressure(*directory, "cpu");
    usage.memory_pressure = Pressure(*directory, "memory");
    usage.io_pressure = Pressure(*directory, "io");
  }
  return usage;
}

}  // namespace strata::vcluster
