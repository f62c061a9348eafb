#include "vclusterd/runtime/isolation.h"

#include <fcntl.h>

#include <algorithm>
#include <charconv>

#include "common/file_io.h"
#include "common/log.h"

namespace strata::vcluster {
namespace {

// Each is either of no use outside of the host's own user namespace, or acts on the whole kernel.
// sys_resource has to go with them: it would let a node raise its own counters (`user.*`) again.
constexpr char kDroppedCapabilities[] =
    "audit_control audit_read block_suspend bpf linux_immutable mac_admin mac_override mknod "
    "perfmon sys_boot sys_module sys_pacct sys_rawio sys_resource sys_time sys_tty_config syslog "
    "wake_alarm";

struct DeniedCalls {
  int error;
  std::vector<const char*> names;
};

constexpr int kNotPermitted = 1;  // EPERM, ENOSYS as Linux numbers them on every machine.
constexpr int kNoSuchCall = 38;

const std::vector<DeniedCalls>& Denied() {
  static const std::vector<DeniedCalls> denied = {
      {kNotPermitted,
       {// Change the kernel, or the time, of all.
        "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "swapon",
        "swapoff", "acct", "quotactl", "quotactl_fd", "settimeofday", "stime", "clock_settime",
        "clock_settime64", "iopl", "ioperm",
        // Opens files past every path.
        "open_by_handle_at",
        // The kernel's log tells of the host and of other nodes.
        "syslog",
        // Large, and the source of many faults of the kernel; CRIU dumps none of them.
        "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
        "io_uring_register"}},
      {kNoSuchCall,
       {// Keys are not of a namespace, and their count is of an id on the host.
        "add_key", "keyctl", "request_key",
        // Of old kernels.
        "_sysctl", "create_module", "get_kernel_syms", "lookup_dcookie", "nfsservctl",
        "query_module", "sysfs", "uselib", "ustat", "vm86", "vm86old"}},
  };
  return denied;
}

// As /dev of a node has them, and terminals. A user namespace cannot make others anyway, and roots
// are mounted without devices: this is for the day when one of both fails.
constexpr const char* kDevices[] = {
    "c 1:3 rwm",    // null
    "c 1:5 rwm",    // zero
    "c 1:7 rwm",    // full
    "c 1:8 rwm",    // random
    "c 1:9 rwm",    // urandom
    "c 5:0 rwm",    // tty
    "c 5:1 rwm",    // console
    "c 5:2 rwm",    // ptmx
    "c 136:* rwm",  // pts
};

// Per user of a node. The kernel counts what all nodes have together, too (`user.*` and
// `fs.inotify.*` of the host).
constexpr std::pair<const char*, const char*> kCounters[] = {
    {"user.max_cgroup_namespaces", "256"}, {"user.max_ipc_namespaces", "256"},
    {"user.max_mnt_namespaces", "256"},    {"user.max_net_namespaces", "64"},
    {"user.max_pid_namespaces", "256"},    {"user.max_time_namespaces", "256"},
    {"user.max_user_namespaces", "256"},   {"user.max_uts_namespaces", "256"},
};

// Of the host; one more costs nothing, and what is used is charged to the memory of its node.
constexpr std::pair<const char*, uint64_t> kSharedCounters[] = {
    {"/proc/sys/fs/inotify/max_user_instances", 1u << 20},
    {"/proc/sys/fs/inotify/max_user_watches", 1u << 22},
    {"/proc/sys/fs/fanotify/max_user_groups", 1u << 20},
    {"/proc/sys/fs/fanotify/max_user_marks", 1u << 22},
    {"/proc/sys/kernel/pid_max", 1u << 22},
};

constexpr uint64_t kCgroupsBelowMax = 1024;  // In a node, where it may make any.
// Above the host's programs (0): they are not the ones to be killed when its memory is short.
constexpr int kOomScore = 500;
// Of the host's memory.
constexpr uint64_t kHostShare = 16;
constexpr uint64_t kHostBytesMin = 256u << 20;

}  // namespace

void AddIsolation(const HostLayout& host, bool cores_are_piped, ConfigItems* items) {
  items->emplace_back("lxc.cap.drop", kDroppedCapabilities);
  items->emplace_back("lxc.seccomp.profile", host.SeccompPath());
  if (!host.apparmor_profile.empty()) {
    items->emplace_back("lxc.apparmor.profile", host.apparmor_profile);
  }
  items->emplace_back("lxc.keyring.session", "1");
  const std::string devices = host.unified_cgroups ? "lxc.cgroup2.devices." : "lxc.cgroup.devices.";
  items->emplace_back(devices + "deny", "a");
  for (const char* device : kDevices) items->emplace_back(devices + "allow", device);
  if (host.unified_cgroups) {
    items->emplace_back("lxc.cgroup2.cgroup.max.descendants", std::to_string(kCgroupsBelowMax));
  } else {
    // Without a namespace of cgroups nobody in the node can mount a hierarchy: cgroup v1 has no
    // limit for groups below a group, and 65,535 with memory is what a kernel has.
    items->emplace_back("lxc.namespace.keep", "cgroup");
  }
  items->emplace_back("lxc.proc.oom_score_adj", std::to_string(kOomScore));
  for (const auto& [name, value] : kCounters) {
    items->emplace_back("lxc.sysctl." + std::string(name), value);
  }
  // 1 is what keeps the kernel from starting the host's program for dumps; 0 does not.
  if (cores_are_piped) items->emplace_back("lxc.prlimit.core", "1");
}

std::string SeccompProfile() {
  std::string text =
      "2\n"
      "denylist\n"
      "reject_force_umount\n"
      "[all]\n";
  for (const DeniedCalls& calls : Denied()) {
    for (const char* name : calls.names) {
      text += std::string(name) + " errno " + std::to_string(calls.error) + "\n";
    }
  }
  return text;
}

void RaiseSharedCounters() {
  for (const auto& [path, wanted] : kSharedCounters) {
    const auto text = ReadFile(path, 64);
    if (!text.ok()) continue;  // A kernel without fanotify.
    uint64_t now = 0;
    std::from_chars(text->data(), text->data() + text->size(), now);
    if (now >= wanted) continue;
    const std::string value = std::to_string(wanted);
    auto file = Open(path, O_WRONLY);
    const Status raised = file.ok() ? WriteAll(file->get(), value) : Status(file.error());
    if (raised.ok()) {
      LOG_INFO(std::string(path) + " is raised from " + std::to_string(now) + " to " + value);
    } else {
      LOG_WARNING(std::string(path) + " stays at " + std::to_string(now) +
                  ", which one node can use up for all: " + raised.error().message());
    }
  }
}

bool CoresArePiped() {
  const auto pattern = ReadFile("/proc/sys/kernel/core_pattern", 4096);
  return pattern.ok() && pattern->starts_with('|');
}

uint64_t NodeMemoryMax(uint64_t host_memory_bytes) {
  const uint64_t kept = std::max(host_memory_bytes / kHostShare, kHostBytesMin);
  // A host this small has to be told what its nodes may use.
  return host_memory_bytes > 2 * kept ? host_memory_bytes - kept : 0;
}

}  // namespace strata::vcluster
