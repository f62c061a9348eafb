#include "vclusterd/runtime/apparmor.h"

#include "common/file_io.h"
#include "common/subprocess.h"

namespace strata::vcluster {
namespace {

constexpr char kEnabled[] = "/sys/module/apparmor/parameters/enabled";
constexpr char kParser[] = "/usr/sbin/apparmor_parser";

// A list of what is denied, as the rest is for user namespaces to judge: a node's root mounts,
// traces and signals inside of the node as on a machine of its own. Deny rules win over all others,
// and hold for it as for its users.
constexpr char kProfile[] = R"(# Made by vclusterd, which loads it: a change here is lost.
profile strata-node flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  dbus,
  unix,
  umount,
  pivot_root,

  # Only nodes are under this profile, and process ids keep them apart.
  signal (send) peer=strata-node,
  signal (receive),
  ptrace (trace, read) peer=strata-node,
  ptrace (tracedby, readby),

  # File systems that show the kernel of the host, or read a disk.
  mount,
  deny mount fstype=debugfs,
  deny mount fstype=tracefs,
  deny mount fstype=securityfs,
  deny mount fstype=configfs,
  deny mount fstype=pstore,
  deny mount fstype=efivarfs,
  deny mount fstype=bpf,
  deny mount fstype=binfmt_misc,
  deny mount fstype=devtmpfs,
  deny mount fstype=cgroup,
  deny mount fstype=ext*,
  deny mount fstype=xfs,
  deny mount fstype=btrfs,

  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,
  deny /proc/kmsg rwklx,
  deny /proc/kallsyms rwklx,
  deny /proc/keys rwklx,
  deny /proc/timer_list rwklx,
  deny /proc/kpage* rwklx,
  deny /proc/mtrr rwklx,
  deny /proc/scsi/** rwklx,
  deny /proc/acpi/** rwklx,
  deny /proc/bus/** wklx,
  deny /proc/irq/** wklx,
  deny /proc/fs/** wklx,
  # Of these only what belongs to a namespace may be written: IPC, names, network, counters.
  deny /proc/sys/{abi,debug,dev,vm,crypto,sunrpc,fs}/** wklx,
  deny /proc/sys/kernel/{core*,modprobe,modules_disabled,hotplug,poweroff_cmd} wklx,
  deny /proc/sys/kernel/{sysrq,ctrl-alt-del} wklx,
  deny /proc/sys/kernel/{panic*,print*,dmesg_restrict,kptr_restrict,perf*,kexec*,bpf*} wklx,
  deny /proc/sys/kernel/{unprivileged*,randomize_va_space,threads-max,sched*,numa*,hung*} wklx,
  deny /proc/sys/kernel/{watchdog*,nmi*,soft*,hard*,tainted,oops*,warn*,ftrace*,stack*} wklx,
  deny /proc/sys/kernel/{keys,yama,random,firmware_config,usermodehelper}/** wklx,

  deny /sys/firmware/** rwklx,
  deny /sys/kernel/** wklx,
  deny /sys/kernel/{security,debug,tracing}/** rwklx,
  deny /sys/kernel/vmcoreinfo rwklx,
  deny /sys/{block,bus,dev,hypervisor,module,power}/** wklx,
  deny /sys/fs/{bpf,pstore,selinux,ext4,xfs,btrfs}/** wklx,
  deny /dev/{mem,kmem,port,kmsg} rwklx,
}
)";

}  // namespace

std::string NodeProfile() { return kProfile; }

bool HasAppArmor() {
  const auto enabled = ReadFile(kEnabled, 16);
  return enabled.ok() && enabled->starts_with('Y');
}

Result<std::string> LoadNodeProfile(const std::string& run_dir) {
  if (!HasAppArmor()) return std::string();
  if (!PathExists(kParser)) {
    return Error(Code::kFailedPrecondition,
                 "this kernel has AppArmor, but " + std::string(kParser) +
                     " is missing, which loads the profile of nodes: install the package apparmor");
  }
  const std::string path = run_dir + "/apparmor";
  RETURN_IF_ERROR(WriteFileAtomically(path, NodeProfile(), 0600));
  // The cache of the system is not ours to fill.
  RETURN_IF_ERROR(RunChecked({kParser, "--replace", "--skip-cache", path}),
                  "the AppArmor profile of nodes");
  return std::string(kNodeProfile);
}

}  // namespace strata::vcluster
