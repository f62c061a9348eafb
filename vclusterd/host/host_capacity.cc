#include "vclusterd/host/host_capacity.h"

#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include <thread>

namespace strata::vcluster {

Result<host::v1::Capacity> CapacityOf(const HostConfig& config) {
  struct sysinfo info = {};
  if (::sysinfo(&info) != 0) return Errno("sysinfo");
  struct statvfs disk = {};
  if (::statvfs(config.state_dir.c_str(), &disk) != 0) return Errno(config.state_dir);
  host::v1::Capacity capacity;
  capacity.set_cpus(std::thread::hardware_concurrency());
  capacity.set_memory_bytes(uint64_t{info.totalram} * info.mem_unit);
  capacity.set_disk_bytes(uint64_t{disk.f_bavail} * disk.f_frsize);
  return capacity;
}

}  // namespace strata::vcluster
