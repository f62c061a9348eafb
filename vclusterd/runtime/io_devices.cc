#include "vclusterd/runtime/io_devices.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "common/file_io.h"
#include "vclusterd/runtime/cgroup_path.h"
#include "vclusterd/runtime/cgroups.h"

namespace strata::vcluster {
namespace {

constexpr char kV1Root[] = "/sys/fs/cgroup/blkio";
constexpr char kV1Read[] = "blkio.throttle.read_bps_device";
constexpr char kV1Write[] = "blkio.throttle.write_bps_device";

std::string NameOf(dev_t device) {
  return std::to_string(major(device)) + ":" + std::to_string(minor(device));
}

// "id parent 0:35 / MOUNT_POINT options - btrfs /dev/vdb rw" of the mount with this id. A file
// system that spans devices (btrfs) says one of them here.
Result<std::string> SourceOfMount(uint64_t mount_id) {
  ASSIGN_OR_RETURN(const std::string mountinfo, ReadFile("/proc/self/mountinfo"));
  const std::string head = std::to_string(mount_id) + " ";
  size_t at = 0;
  while (at < mountinfo.size()) {
    const size_t end = std::min(mountinfo.find('\n', at), mountinfo.size());
    const std::string_view line = std::string_view(mountinfo).substr(at, end - at);
    at = end + 1;
    if (!line.starts_with(head)) continue;
    const size_t tail = line.find(" - ");
    if (tail == std::string_view::npos) break;
    const size_t source = line.find(' ', tail + 3);
    if (source == std::string_view::npos) break;
    const size_t source_end = std::min(line.find(' ', source + 1), line.size());
    return std::string(line.substr(source + 1, source_end - source - 1));
  }
  return Error(Code::kNotFound, "mount " + std::to_string(mount_id) + " in mountinfo");
}

Error OnNoDisk(const std::string& path) {
  return Error(Code::kUnsupported,
               path + " is on no block device, so I/O on it cannot be limited (limits: io)");
}

Result<dev_t> DeviceOf(const std::string& path) {
  struct statx info = {};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_BASIC_STATS | STATX_MNT_ID, &info) != 0) {
    return Errno(path);
  }
  // Those without a device of their own have major 0: btrfs, overlayfs, tmpfs, network.
  if (info.stx_dev_major != 0) return makedev(info.stx_dev_major, info.stx_dev_minor);
  const auto source = SourceOfMount(info.stx_mnt_id);
  struct stat st = {};
  if (!source.ok() || ::stat(source->c_str(), &st) != 0 || !S_ISBLK(st.st_mode)) {
    return OnNoDisk(path);
  }
  return st.st_rdev;
}

Status WriteSetting(const std::string& path, const std::string& value) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_WRONLY));
  RETURN_IF_ERROR(WriteAll(fd.get(), value), path);
  return fd.Close();
}

}  // namespace

Result<std::string> DiskOf(const std::string& path) {
  ASSIGN_OR_RETURN(const dev_t device, DeviceOf(path));
  const std::string entry = "/sys/dev/block/" + NameOf(device);
  if (!PathExists(entry)) return OnNoDisk(path);
  if (!PathExists(entry + "/partition")) return NameOf(device);
  // A partition's directory is in that of its disk.
  ASSIGN_OR_RETURN(std::string name, ReadFile(entry + "/../dev", 64));
  while (name.ends_with('\n')) name.pop_back();
  return name;
}

Result<IoDevices> IoDevicesOf(const std::string& volume, bool own,
                              const std::vector<std::string>& others) {
  IoDevices devices;
  ASSIGN_OR_RETURN(const std::string disk, DiskOf(volume));
  devices.all.push_back(disk);
  if (own) devices.own = disk;
  for (const std::string& path : others) {
    ASSIGN_OR_RETURN(std::string other, DiskOf(path));
    if (std::find(devices.all.begin(), devices.all.end(), other) == devices.all.end()) {
      devices.all.push_back(std::move(other));
    }
  }
  return devices;
}

Status LimitIoOf(pid_t init, const IoDevices& devices, uint64_t bytes_per_s) {
  const bool unified = HasUnifiedCgroups();
  if (bytes_per_s != 0 && !unified && devices.own.empty()) {
    return Error(
        Code::kUnsupported,
        "limits: io needs a volume with a device of its own on this host (cgroup v1): give "
        "the node a limit of disk, and the host volumes of kind loop or lvm-thin");
  }
  const auto cgroup = CgroupOf(init, unified ? "io" : "blkio");
  if (!cgroup.ok()) {
    if (bytes_per_s == 0) return Ok();
    return Error(Code::kUnsupported, "limits: io: " + cgroup.error().message());
  }
  const std::string amount = std::to_string(bytes_per_s);
  for (const std::string& device : devices.all) {
    if (unified) {
      const std::string rate = bytes_per_s == 0 ? "max" : amount;
      const std::string path = cgroup->directory + "/io.max";
      // A kernel without throttling has no such file.
      if (!PathExists(path)) {
        if (bytes_per_s == 0) return Ok();
        return Error(Code::kUnsupported, "limits: io: this kernel cannot limit I/O (no io.max)");
      }
      RETURN_IF_ERROR(WriteSetting(path, device + " rbps=" + rate + " wbps=" + rate));
    } else {
      RETURN_IF_ERROR(WriteSetting(cgroup->directory + "/" + kV1Read, device + " " + amount));
      RETURN_IF_ERROR(WriteSetting(cgroup->directory + "/" + kV1Write, device + " " + amount));
    }
  }
  if (unified || devices.own.empty()) return Ok();
  return WriteSetting(std::string(kV1Root) + "/" + kV1Write, devices.own + " " + amount);
}

Status ForgetIoLimit(const IoDevices& devices) {
  const std::string path = std::string(kV1Root) + "/" + kV1Write;
  if (devices.own.empty() || HasUnifiedCgroups() || !PathExists(path)) return Ok();
  return WriteSetting(path, devices.own + " 0");
}

}  // namespace strata::vcluster
