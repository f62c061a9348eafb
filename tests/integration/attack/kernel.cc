// Ways out by system calls: those that are refused, keys, handles, processes, namespaces.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "tests/integration/attack/report.h"

namespace attack {
namespace {

constexpr int kKeyctlDescribe = 6, kKeyctlRead = 11, kKeyctlGetKeyring = 0, kKeyctlJoin = 1;
constexpr int kProcessKeyring = -2;  // Ends with us, wherever this runs.

#if defined(__x86_64__)
// The same call by the kernel's 32-bit entry, whose numbers are others.
long Call32(long number, long a, long b, long c) {
  long result = 0;
  asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
  if (result < 0 && result > -4096) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
}
#endif

}  // namespace

void Calls(const Arguments&, Report* report) {
  const auto call = [&](const char* name, long number, long a = 0, long b = 0, long c = 0,
                        long d = 0) { report->Expect(name, ::syscall(number, a, b, c, d)); };
  std::array<uint64_t, 32> room = {};
  const auto at = reinterpret_cast<long>(room.data());
  call("init_module", SYS_init_module, at, 8, at);
  call("finit_module", SYS_finit_module, 0, at);
  call("delete_module", SYS_delete_module, at, 0);
  call("kexec_load", SYS_kexec_load, 0, 0, 0, 0);
  call("kexec_file_load", SYS_kexec_file_load, 0, 0, 0, 0);
  call("bpf", SYS_bpf, 5, at, 48);
  call("perf_event_open", SYS_perf_event_open, at, 0, -1, -1);
  call("userfaultfd", SYS_userfaultfd, 1);
  call("io_uring_setup", SYS_io_uring_setup, 4, at);
  call("syslog: read all", SYS_syslog, 3, at, sizeof(room));
  call("syslog: clear", SYS_syslog, 5, 0, 0);
  call("swapon", SYS_swapon, at, 0);
  call("acct", SYS_acct, 0);
  call("settimeofday", SYS_settimeofday, at, 0);
  call("clock_settime", SYS_clock_settime, 0, at);
  call("quotactl", SYS_quotactl, 0x80000500, at, 0, at);
  // Dropped capabilities.
  call("reboot", SYS_reboot, static_cast<long>(0xfee1dead), 672274793, 0x01234567);
#if defined(__x86_64__)
  call("iopl", SYS_iopl, 3);
  call("ioperm", SYS_ioperm, 0, 8, 1);
  // ENOSYS where the kernel has no 32-bit entry; SIGSEGV would end us, and that is a refusal, too.
  const pid_t pid = ::fork();
  if (pid == 0) {
    Report own;
    own.Expect("keyctl by the 32-bit entry", Call32(288, kKeyctlGetKeyring, -3, 0));
    own.Expect("bpf by the 32-bit entry", Call32(357, 5, 0, 0));
    own.Expect("init_module by the 32-bit entry", Call32(128, 0, 0, 0));
    ::_exit(own.ExitCode());
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) report->Breach("by the 32-bit entry");
#endif
}

// keys SERIAL: of a key of the host that everybody may see.
void Keys(const Arguments& arguments, Report* report) {
  const long serial = static_cast<long>(arguments.Number(0, 1));
  char text[256] = {};
  const auto at = reinterpret_cast<long>(text);
  report->Expect("describe the host's key",
                 ::syscall(SYS_keyctl, kKeyctlDescribe, serial, at, sizeof(text)));
  report->Expect("read the host's key",
                 ::syscall(SYS_keyctl, kKeyctlRead, serial, at, sizeof(text)));
  report->Expect("get the session's keyring", ::syscall(SYS_keyctl, kKeyctlGetKeyring, -3, 0));
  report->Expect("join a session's keyring", ::syscall(SYS_keyctl, kKeyctlJoin, "strata-attack"));
  uint64_t made = 0;
  while (made < 1000 && ::syscall(SYS_add_key, "user", ("attack-" + std::to_string(made)).c_str(),
                                  "x", 1, kProcessKeyring) >= 0) {
    ++made;
  }
  made > 0 ? report->Breach("add_key: " + std::to_string(made)) : report->Refused("add_key", errno);
  report->Expect("request_key", ::syscall(SYS_request_key, "user", "attack", nullptr, -3));
}

// The number of an inode is enough to open any file of a file system, whatever the path.
void Handles(const Arguments&, Report* report) {
  struct {
    file_handle head;
    unsigned char bytes[128];
  } handle = {};
  const int root = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  handle.head.handle_bytes = 8;
  handle.head.handle_type = 1;  // FILEID_INO32_GEN
  const uint32_t root_inode[2] = {2, 0};
  std::memcpy(handle.bytes, root_inode, sizeof(root_inode));
  for (const char* path : {"/", "/etc/hosts", "/dev/.vinit", "/dev/.strata"}) {
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    report->Expect(std::string("inode 2 of what holds ") + path,
                   ::open_by_handle_at(fd, &handle.head, O_RDONLY));
    ::close(fd);
  }
  ::close(root);
}

// processes HOST_PID…: of the host, of which the node must know nothing.
void Processes(const Arguments& arguments, Report* report) {
  for (int i = 0; i < arguments.count; ++i) {
    const auto pid = static_cast<pid_t>(arguments.Number(i));
    const std::string name = std::to_string(pid);
    report->Expect("kill of the host's " + name, ::kill(pid, 0));
    report->Expect("ptrace of the host's " + name, ::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr));
    report->Expect("pidfd of the host's " + name, ::syscall(SYS_pidfd_open, pid, 0));
    report->Expect("environment of the host's " + name,
                   ::open(("/proc/" + name + "/environ").c_str(), O_RDONLY | O_CLOEXEC));
    report->Expect("priority of the host's " + name, ::syscall(SYS_setpriority, 0, pid, 19));
  }
  // Process 1 is the node's own, and its parent is nobody.
  report->Expect("more priority than the host gives", ::syscall(SYS_setpriority, 0, 0, -20));
}

void Namespace(const Arguments&, Report* report) {
  // Process 1 has no other namespaces than we do; the files of the host are not behind it.
  const int fd = ::open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || ::setns(fd, CLONE_NEWNS) != 0) {
    report->Refused("the mounts of process 1", errno);
  } else {
    report->Expect("the host's files in the mounts of process 1", ::access("/usr/lib/gcc", F_OK));
  }
  ::close(fd);
  const pid_t pid = ::fork();
  if (pid == 0) {
    Report own;
    // A user namespace of its own gives every capability, over nothing of the host.
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) != 0) {
      own.Refused("a user namespace inside of the node", errno);
      ::_exit(own.ExitCode());
    }
    ::mkdir("/attack-nested", 0700);
    own.Expect("nested: mount of a disk", ::mount("/dev/vda", "/tmp", "ext4", MS_RDONLY, ""));
    own.Expect("nested: unmount of /proc", ::umount2("/proc", MNT_DETACH));
    own.Expect("nested: unmount of /etc/hosts", ::umount2("/etc/hosts", MNT_DETACH));
    own.Expect("nested: /etc/hosts writable",
               ::mount(nullptr, "/etc/hosts", nullptr, MS_REMOUNT | MS_BIND, nullptr));
    own.Expect("nested: the host's clock", ::syscall(SYS_clock_settime, 0, "0123456789abcdef"));
    own.Expect("nested: write to /proc/sys/kernel/core_pattern",
               ::open("/proc/sys/kernel/core_pattern", O_WRONLY | O_CLOEXEC));
    own.Expect("nested: init_module", ::syscall(SYS_init_module, "x", 1, ""));
    ::_exit(own.ExitCode());
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) report->Breach("in a nested user namespace");
}

}  // namespace attack
