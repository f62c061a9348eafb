// Ways out by files and mounts.
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "tests/integration/attack/report.h"

namespace attack {
namespace {

constexpr char kPlace[] = "/tmp/attack-mount";

std::string ReadSome(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  char text[4096] = {};
  const ssize_t n = fd < 0 ? -1 : ::read(fd, text, sizeof(text) - 1);
  if (fd >= 0) ::close(fd);
  return n > 0 ? std::string(text, static_cast<size_t>(n)) : std::string();
}

void TryMount(const char* source, const char* type, const char* data, Report* report,
              const char* what) {
  const int result = ::mount(source, kPlace, type, 0, data);
  report->Expect(std::string("mount ") + type + what, result);
  if (result == 0) ::umount2(kPlace, MNT_DETACH);
}

// Runs `body` in a child, so that what it changes of itself ends with it.
template <typename Body>
void InChild(Body body, Report* report) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    Report own;
    body(&own);
    ::_exit(own.ExitCode());
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) report->Breach("in a child, see above");
}

std::vector<std::string> openable;  // nftw(3) has no argument of the caller's.

int TryOpen(const char* path, const struct stat* st, int kind, FTW*) {
  // Thousands of directories that are all alike.
  if (std::string_view(path).starts_with("/sys/kernel/slab/")) return FTW_SKIP_SIBLINGS;
  if (kind != FTW_F || !S_ISREG(st->st_mode)) return FTW_CONTINUE;
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return FTW_CONTINUE;
  ::close(fd);
  openable.emplace_back(path);
  return FTW_CONTINUE;
}

}  // namespace

// File systems that read a disk or show the kernel of the host.
void Mounts(const Arguments&, Report* report) {
  ::mkdir(kPlace, 0700);
  for (const char* type : {"ext4", "xfs", "btrfs", "erofs", "vfat", "iso9660"}) {
    TryMount("/dev/vda", type, "", report, " of a disk");
  }
  for (const char* type : {"debugfs", "tracefs", "securityfs", "configfs", "devtmpfs", "pstore",
                           "efivarfs", "fusectl", "hugetlbfs", "nfsd", "rpc_pipefs"}) {
    TryMount("none", type, "", report, "");
  }
  // The superblock of the host's root cannot be had again by its options either.
  report->Expect("mount of the host's disk over /",
                 ::mount("/dev/root", kPlace, "ext4", MS_RDONLY, ""));
  // A mount of a process that is not ours.
  report->Expect("bind of another process's root", [] {
    for (int pid = 2; pid < 400; ++pid) {
      const std::string root = "/proc/" + std::to_string(pid) + "/root/var/lib/strata";
      if (::mount(root.c_str(), kPlace, nullptr, MS_BIND, nullptr) == 0) return 0;
    }
    return -1;
  }());
  // Memory file systems are charged to the node: fine. But no device works on them.
  if (::mount("none", kPlace, "tmpfs", 0, "") == 0) {
    const std::string disk = std::string(kPlace) + "/disk";
    report->Expect("device node on a tmpfs of ours",
                   ::mknod(disk.c_str(), S_IFBLK | 0666, makedev(254, 0)));
    ::umount2(kPlace, MNT_DETACH);
  }
  ::rmdir(kPlace);
}

// binds [PATH…]: what the host has bound into the node read-only.
void Binds(const Arguments& arguments, Report* report) {
  std::vector<std::string> paths(arguments.values, arguments.values + arguments.count);
  const bool all = paths.empty();
  if (all) {
    paths = {"/dev/.vinit",   "/dev/.strata",     "/etc/hosts",
             "/etc/hostname", "/etc/resolv.conf", "/etc/machine-id"};
  }
  for (const std::string& path : paths) {
    report->Expect("remount of " + path + " writable",
                   ::mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_BIND, nullptr));
    const std::string file = path == "/dev/.strata" ? "/dev/.strata/known_hosts" : path;
    report->Expect("write to " + file, ::open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    report->Expect("chmod of " + file, ::chmod(file.c_str(), 0666));
  }
  if (!all) return;
  for (const char* path :
       {"/dev/.strata/../../lxc.log", "/dev/.vinit/../../../run", "/dev/.strata/../record",
        "/dev/.strata/../../../../../var/lib/strata", "/proc/1/root/../../var/lib/strata",
        "/proc/1/cwd/../../../var/lib/strata", "/proc/self/fd/0/../../var/lib/strata"}) {
    report->Expect(std::string("open of ") + path, ::open(path, O_RDONLY | O_CLOEXEC));
  }
  // chroot and fchdir, the oldest of them.
  InChild(
      [](Report* own) {
        const int root = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ::mkdir("/tmp/attack-root", 0700);
        if (::chroot("/tmp/attack-root") != 0) return own->Refused("chroot", errno);
        if (::fchdir(root) != 0) return own->Refused("fchdir", errno);
        for (int i = 0; i < 64; ++i) {
          if (::chdir("..") != 0) break;
        }
        if (::chroot(".") != 0) return own->Refused("chroot again", errno);
        own->Expect("the host's state beyond a broken chroot", ::access("/var/lib/strata", F_OK));
        own->Expect("the host's /work beyond a broken chroot", ::access("/usr/lib/gcc", F_OK));
      },
      report);
}

void Proc(const Arguments&, Report* report) {
  for (const char* path : {"/proc/sysrq-trigger",
                           "/proc/sys/kernel/core_pattern",
                           "/proc/sys/kernel/modprobe",
                           "/proc/sys/kernel/hotplug",
                           "/proc/sys/kernel/sysrq",
                           "/proc/sys/kernel/panic",
                           "/proc/sys/kernel/threads-max",
                           "/proc/sys/kernel/randomize_va_space",
                           "/proc/sys/kernel/kptr_restrict",
                           "/proc/sys/kernel/dmesg_restrict",
                           "/proc/sys/kernel/printk",
                           "/proc/sys/kernel/perf_event_paranoid",
                           "/proc/sys/kernel/unprivileged_bpf_disabled",
                           "/proc/sys/kernel/yama/ptrace_scope",
                           "/proc/sys/kernel/keys/maxkeys",
                           "/proc/sys/vm/drop_caches",
                           "/proc/sys/vm/overcommit_memory",
                           "/proc/sys/vm/swappiness",
                           "/proc/sys/vm/panic_on_oom",
                           "/proc/sys/vm/mmap_min_addr",
                           "/proc/sys/fs/file-max",
                           "/proc/sys/fs/suid_dumpable",
                           "/proc/sys/fs/protected_symlinks",
                           "/proc/sys/fs/inotify/max_user_instances",
                           "/proc/sys/fs/binfmt_misc/register",
                           "/proc/sys/net/core/rmem_max",
                           "/proc/sys/user/max_user_namespaces",
                           "/proc/sys/user/max_inotify_instances",
                           "/proc/irq/default_smp_affinity",
                           "/proc/acpi/wakeup",
                           "/proc/mtrr",
                           "/proc/scsi/scsi",
                           "/proc/kcore",
                           "/proc/timer_list",
                           "/proc/bus/pci/00/00.0",
                           "/proc/fs/ext4/vda/mb_groups"}) {
    report->Expect(std::string("write to ") + path, ::open(path, O_WRONLY | O_CLOEXEC));
  }
  for (const char* path : {"/proc/kcore", "/proc/kmsg", "/proc/timer_list", "/proc/kpageflags",
                           "/proc/slabinfo", "/proc/vmallocinfo", "/proc/pagetypeinfo"}) {
    report->Expect(std::string("read of ") + path, ::open(path, O_RDONLY | O_CLOEXEC));
  }
  // Addresses of the kernel are shown as zeros.
  const std::string symbols = ReadSome("/proc/kallsyms");
  symbols.empty() || symbols.starts_with("0000000000000000 ")
      ? report->Refused("addresses in /proc/kallsyms", 0)
      : report->Breach("addresses in /proc/kallsyms");
  const std::string memory = ReadSome("/proc/iomem");
  memory.find("00100000-") == std::string::npos ? report->Refused("addresses in /proc/iomem", 0)
                                                : report->Breach("addresses in /proc/iomem");
  // To be killed later than others when memory is short.
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  report->Expect("a better oom_score_adj", ::write(fd, "-1000", 5));
  ::close(fd);
}

// Every file of sysfs that root in the node may open for writing has to be of its own network.
void Sys(const Arguments&, Report* report) {
  ::nftw("/sys", TryOpen, 32, FTW_PHYS | FTW_MOUNT | FTW_ACTIONRETVAL);
  uint64_t own = 0;
  for (const std::string& path : openable) {
    const bool network = path.starts_with("/sys/devices/virtual/net/");
    network ? static_cast<void>(++own) : report->Breach("write to " + path);
  }
  report->Bounded("writable files in /sys, all of its own network devices", own);
  for (const char* path :
       {"/sys/kernel/vmcoreinfo", "/sys/firmware/dmi/tables/DMI", "/sys/firmware/acpi/tables/DSDT",
        "/sys/kernel/debug/sched", "/sys/kernel/security/lsm", "/sys/kernel/tracing/trace"}) {
    report->Expect(std::string("read of ") + path, [&] {
      const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
      return path == std::string_view("/sys/kernel/vmcoreinfo") && fd >= 0 ? -1 : fd;
    }());
  }
}

// devices PATH…: paths of device nodes that came with the image.
void Devices(const Arguments& arguments, Report* report) {
  struct Device {
    mode_t kind;
    unsigned int major, minor;
  };
  for (const Device& device : {Device{S_IFBLK, 254, 0},
                               {S_IFBLK, 8, 0},
                               {S_IFBLK, 7, 0},
                               {S_IFCHR, 1, 1},
                               {S_IFCHR, 1, 4},
                               {S_IFCHR, 1, 11},
                               {S_IFCHR, 10, 229},
                               {S_IFCHR, 10, 237},
                               {S_IFCHR, 10, 200}}) {
    const std::string what = std::string(device.kind == S_IFBLK ? "b " : "c ") +
                             std::to_string(device.major) + ":" + std::to_string(device.minor);
    report->Expect("mknod " + what, ::mknod("/tmp/attack-device", device.kind | 0666,
                                            makedev(device.major, device.minor)));
    ::unlink("/tmp/attack-device");
  }
  for (int i = 0; i < arguments.count; ++i) {
    struct stat st = {};
    const char* const path = arguments.Text(i);
    if (::stat(path, &st) != 0 || (!S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode))) {
      report->Refused(std::string(path) + " (the image has no such device)", ENOENT);
      continue;
    }
    report->Expect(std::string("open of the image's ") + path, ::open(path, O_RDONLY | O_CLOEXEC));
  }
  for (const char* path : {"/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/dev/vda",
                           "/dev/sda", "/dev/fuse", "/dev/kvm", "/dev/loop-control", "/dev/net/tun",
                           "/dev/mapper/control", "/dev/console", "/dev/tty0", "/dev/hwrng"}) {
    report->Expect(std::string("open of ") + path, ::open(path, O_RDWR | O_CLOEXEC));
  }
}

// The host's logs.
void Logs(const Arguments&, Report* report) {
  for (const char* path : {"/dev/console", "/dev/kmsg", "/dev/tty0", "/dev/log", "/proc/kmsg",
                           "/run/systemd/journal/socket"}) {
    report->Expect(std::string("open of ") + path, ::open(path, O_WRONLY | O_CLOEXEC));
  }
}

// A cgroup below the node's own would count against the host's, which has 65,535 at most.
void Cgroups(const Arguments& arguments, Report* report) {
  const uint64_t max = arguments.Number(0, 2000);
  ::mkdir(kPlace, 0700);
  for (const char* controller : {"memory", "pids", "blkio", "cpu", "devices", "freezer"}) {
    TryMount("none", "cgroup", controller, report, (std::string(" ") + controller).c_str());
  }
  if (::mount("none", kPlace, "cgroup2", 0, "") != 0) {
    report->Refused("mount cgroup2", errno);
  } else {
    for (const char* file : {"memory.max", "pids.max", "cpu.max", "io.max",
                             "cgroup.max.descendants", "cgroup.freeze", "cgroup.kill"}) {
      report->Expect(std::string("open of ") + file + " of the node's cgroup",
                     ::open((std::string(kPlace) + "/" + file).c_str(), O_WRONLY | O_CLOEXEC));
    }
    uint64_t made = 0;
    while (made < max &&
           ::mkdir((std::string(kPlace) + "/a" + std::to_string(made)).c_str(), 0700) == 0) {
      ++made;
    }
    made >= max ? report->Breach("cgroups: " + std::to_string(made))
                : report->Bounded("cgroups", made);
    for (uint64_t i = 0; i < made; ++i) {
      ::rmdir((std::string(kPlace) + "/a" + std::to_string(i)).c_str());
    }
    ::umount2(kPlace, MNT_DETACH);
  }
  ::rmdir(kPlace);
}

}  // namespace attack
