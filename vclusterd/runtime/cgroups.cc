#include "vclusterd/runtime/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <memory>
#include <thread>
#include <vector>

#include "common/file_io.h"
#include "vclusterd/runtime/cgroup_path.h"
#include "vclusterd/runtime/node_spec.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kCpuPeriodUs = 100'000;
constexpr uint64_t kCpuQuotaMinUs = 1'000;  // The kernel's own least quota.

constexpr char kRoot[] = "/sys/fs/cgroup";
constexpr std::chrono::seconds kFreezeTimeout(10);
constexpr std::chrono::milliseconds kFreezeAgain(200);
constexpr std::chrono::seconds kKillTimeout(10);
// cgroup v1 has no event for "frozen" nor for "empty": these states are looked at again.
constexpr std::chrono::microseconds kPollPause(200);

Status WriteControl(const std::string& path, std::string_view value) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_WRONLY));
  RETURN_IF_ERROR(WriteAll(fd.get(), value), path);
  return fd.Close();
}

Status WaitFrozenUnified(const std::string& directory) {
  ASSIGN_OR_RETURN(UniqueFd events, Open(directory + "/cgroup.events", O_RDONLY));
  const auto deadline = Clock::now() + kFreezeTimeout;
  while (true) {
    if (::lseek(events.get(), 0, SEEK_SET) < 0) return Errno("seek cgroup.events");
    ASSIGN_OR_RETURN(const std::string text, ReadAll(events.get(), 4096));
    if (text.find("frozen 1") != std::string::npos) return Ok();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return Error(Code::kDeadlineExceeded, "the node does not freeze");
    pollfd fd{events.get(), POLLPRI, 0};
    if (::poll(&fd, 1, static_cast<int>(left.count())) < 0 && errno != EINTR) return Errno("poll");
  }
}

// While processes keep coming the kernel may never be done (runc,
// libcontainer/cgroups/fs/freezer.go, has found the same): it is told again, after a thaw that lets
// them pass.
Status WaitFrozenV1(const std::string& directory) {
  const auto deadline = Clock::now() + kFreezeTimeout;
  auto again = Clock::now() + kFreezeAgain;
  while (true) {
    if (Clock::now() >= again) {
      RETURN_IF_ERROR(WriteControl(directory + "/freezer.state", "THAWED"));
      std::this_thread::sleep_for(kPollPause);
      RETURN_IF_ERROR(WriteControl(directory + "/freezer.state", "FROZEN"));
      again = Clock::now() + kFreezeAgain;
    }
    // Reading makes the kernel look again whether all tasks have stopped.
    ASSIGN_OR_RETURN(const std::string state, ReadFile(directory + "/freezer.state", 64));
    if (state.starts_with("FROZEN")) return Ok();
    if (Clock::now() >= deadline) {
      return Error(Code::kDeadlineExceeded, "the node does not freeze");
    }
    std::this_thread::sleep_for(kPollPause);
  }
}

Status Thaw(const Cgroup& freezer) {
  return freezer.unified ? WriteControl(freezer.directory + "/cgroup.freeze", "0")
                         : WriteControl(freezer.directory + "/freezer.state", "THAWED");
}

std::vector<std::string> Subdirectories(const std::string& path) {
  std::vector<std::string> names;
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir(::opendir(path.c_str()));
  if (dir == nullptr) return names;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.push_back(name);
  }
  return names;
}

void KillAll(const std::string& cgroup) {
  const auto text = ReadFile(cgroup + "/cgroup.procs");
  if (!text.ok()) return;
  const char* at = text->data();
  const char* const end = at + text->size();
  while (at < end) {
    pid_t pid = 0;
    const auto parsed = std::from_chars(at, end, pid);
    if (parsed.ec != std::errc()) return;
    if (pid > 1) ::kill(pid, SIGKILL);
    at = parsed.ptr + 1;
  }
}

Status RemoveCgroup(const std::string& path) {
  const auto deadline = Clock::now() + kKillTimeout;
  for (const std::string& name : Subdirectories(path)) {
    RETURN_IF_ERROR(RemoveCgroup(path + "/" + name));
  }
  while (::rmdir(path.c_str()) != 0) {
    if (errno == ENOENT) return Ok();
    if (errno != EBUSY || Clock::now() >= deadline) return Errno("rmdir " + path);
    if (PathExists(path + "/cgroup.freeze")) {
      RETURN_IF_ERROR(WriteControl(path + "/cgroup.freeze", "0"));
    }
    KillAll(path);
    std::this_thread::sleep_for(kPollPause);
  }
  return Ok();
}

// The path in the hierarchy of a controller (empty name: the one of version 2), from the lines
// "N:controllers:/path" of /proc/<pid>/cgroup. `controllers`: all of that hierarchy. False: there
// is none.
bool FindPath(std::string_view text, std::string_view controller, std::string* controllers,
              std::string* path) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    *controllers = line.substr(first + 1, second - first - 1);
    *path = line.substr(second + 1);
    if (controller.empty() ? controllers->empty()
                           : ("," + *controllers + ",").find("," + std::string(controller) + ",") !=
                                 std::string::npos) {
      return true;
    }
  }
  return false;
}

Result<std::string> CgroupsFileOf(pid_t pid) {
  return ReadFile("/proc/" + std::to_string(pid) + "/cgroup", 64 * 1024);
}

}  // namespace

std::string ContainerCgroup(const std::string& path) {
  const size_t at = path.find("/lxc.payload.");
  return at == std::string::npos ? path : path.substr(0, path.find('/', at + 1));
}

Result<Cgroup> CgroupOf(pid_t pid, std::string_view controller) {
  ASSIGN_OR_RETURN(const std::string text, CgroupsFileOf(pid));
  std::string controllers;
  std::string path;
  if (FindPath(text, controller, &controllers, &path)) {
    return Cgroup{std::string(kRoot) + "/" + controllers + ContainerCgroup(path), false};
  }
  if (HasUnifiedCgroups() && FindPath(text, "", &controllers, &path) && path != "/") {
    return Cgroup{kRoot + ContainerCgroup(path), true};
  }
  return Error(Code::kUnsupported, "/proc/" + std::to_string(pid) +
                                       "/cgroup: this host has no cgroup controller " +
                                       std::string(controller));
}

Result<std::string> UnifiedCgroupOf(pid_t pid) {
  ASSIGN_OR_RETURN(const std::string text, CgroupsFileOf(pid));
  std::string controllers;
  std::string path;
  if (!FindPath(text, "", &controllers, &path) || path == "/") {
    return Error(Code::kUnsupported, "the process is in no cgroup of version 2");
  }
  return std::string(kRoot) + (HasUnifiedCgroups() ? "" : "/unified") + ContainerCgroup(path);
}

bool HasUnifiedCgroups() {
  struct statfs fs;
  return ::statfs(kRoot, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

Status FreezeCgroupOf(pid_t init) {
  ASSIGN_OR_RETURN(const Cgroup freezer, CgroupOf(init, "freezer"));
  RETURN_IF_ERROR(freezer.unified ? WriteControl(freezer.directory + "/cgroup.freeze", "1")
                                  : WriteControl(freezer.directory + "/freezer.state", "FROZEN"));
  Status frozen =
      freezer.unified ? WaitFrozenUnified(freezer.directory) : WaitFrozenV1(freezer.directory);
  if (!frozen.ok()) RETURN_IF_ERROR(Thaw(freezer));
  return frozen;
}

Status ThawCgroupOf(pid_t init) {
  ASSIGN_OR_RETURN(const Cgroup freezer, CgroupOf(init, "freezer"));
  return Thaw(freezer);
}

std::vector<CgroupSetting> SettingsOf(const Limits& limits, bool unified, bool all) {
  const uint64_t processes = limits.processes != 0 ? limits.processes : kDefaultProcessesMax;
  std::vector<CgroupSetting> settings = {{"pids", "pids.max", std::to_string(processes)}};
  const std::string none = unified ? "max" : "-1";
  if (all || limits.memory_bytes != 0) {
    settings.push_back({"memory", unified ? "memory.max" : "memory.limit_in_bytes",
                        limits.memory_bytes != 0 ? std::to_string(limits.memory_bytes) : none});
  }
  if (!all && limits.cpus <= 0) return settings;
  const std::string period = std::to_string(kCpuPeriodUs);
  const auto quota_us =
      std::max(kCpuQuotaMinUs, static_cast<uint64_t>(std::llround(limits.cpus * kCpuPeriodUs)));
  const std::string quota = limits.cpus > 0 ? std::to_string(quota_us) : none;
  if (unified) {
    settings.push_back({"cpu", "cpu.max", quota + " " + period});
  } else {
    settings.push_back({"cpu", "cpu.cfs_period_us", period});
    settings.push_back({"cpu", "cpu.cfs_quota_us", quota});
  }
  return settings;
}

Status LimitSwapOf(pid_t init, const Limits& limits) {
  ASSIGN_OR_RETURN(const Cgroup cgroup, CgroupOf(init, "memory"));
  // v1 limits memory and swap together, v2 swap alone.
  const std::string path =
      cgroup.directory + (cgroup.unified ? "/memory.swap.max" : "/memory.memsw.limit_in_bytes");
  if (!PathExists(path)) return Ok();
  const std::string none = cgroup.unified ? "max" : "-1";
  const std::string some = cgroup.unified ? "0" : std::to_string(limits.memory_bytes);
  return WriteControl(path, limits.memory_bytes != 0 ? some : none);
}

Status LimitCgroupsOf(pid_t init, const Limits& limits) {
  // In v1 the sum may never be below the limit of memory alone.
  if (!HasUnifiedCgroups()) RETURN_IF_ERROR(LimitSwapOf(init, Limits()));
  for (const CgroupSetting& setting : SettingsOf(limits, HasUnifiedCgroups(), /*all=*/true)) {
    ASSIGN_OR_RETURN(const Cgroup cgroup, CgroupOf(init, setting.controller));
    Status written = WriteControl(cgroup.directory + "/" + setting.file, setting.value);
    if (written.ok()) continue;
    if (written.error().sys_errno() == EBUSY) {
      return Error(Code::kFailedPrecondition, "more memory is in use than the new limit allows");
    }
    return written;
  }
  return LimitSwapOf(init, limits);
}

Status RemoveContainerCgroups(const std::string& container) {
  std::vector<std::string> hierarchies = {kRoot};
  if (!HasUnifiedCgroups()) {
    hierarchies.clear();
    for (const std::string& name : Subdirectories(kRoot)) {
      hierarchies.push_back(std::string(kRoot) + "/" + name);
    }
  }
  // Under v1 the freezer is a hierarchy of its own, and a frozen process does not die.
  const std::string state =
      std::string(kRoot) + "/freezer/lxc.payload." + container + "/freezer.state";
  if (Status thawed = WriteControl(state, "THAWED");
      !thawed.ok() && thawed.error().sys_errno() != ENOENT &&
      thawed.error().sys_errno() != ENODEV) {  // liblxc is removing it.
    return thawed;
  }
  for (const std::string& hierarchy : hierarchies) {
    for (const char* part : {"/lxc.payload.", "/lxc.monitor."}) {
      const std::string path = hierarchy + part + container;
      if (PathExists(path)) RETURN_IF_ERROR(RemoveCgroup(path));
    }
  }
  return Ok();
}

}  // namespace strata::vcluster
