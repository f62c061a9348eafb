#include "net/dns/sandbox.h"

#include <grp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace strata::net {
namespace {

constexpr uid_t kNobody = 65534;
// A socket for each question to a resolver, a connection of a node, and two for each network.
constexpr rlim_t kDescriptorsMax = 16384;
constexpr rlim_t kMemoryMax = 256u << 20;

Status Limit(__rlimit_resource what, rlim_t most) {
  rlimit limit = {};
  if (::getrlimit(what, &limit) != 0) return Errno("getrlimit");
  limit.rlim_cur = limit.rlim_max = std::min(limit.rlim_max, most);
  return ::setrlimit(what, &limit) == 0 ? Ok() : Status(Errno("setrlimit"));
}

Status BecomeNobody(const std::string& empty_dir) {
  if (::chroot(empty_dir.c_str()) != 0 || ::chdir("/") != 0) return Errno("chroot " + empty_dir);
  if (::setgroups(0, nullptr) != 0) return Errno("setgroups");
  if (::setresgid(kNobody, kNobody, kNobody) != 0) return Errno("setresgid");
  // Capabilities go with the last id that is root's (capabilities(7)).
  if (::setresuid(kNobody, kNobody, kNobody) != 0) return Errno("setresuid");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Errno("no_new_privs");
  // Others of this user may not look into it.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Errno("dumpable");
  return Ok();
}

Status FilterCalls() {
  const std::unique_ptr<void, void (*)(void*)> filter(::seccomp_init(SCMP_ACT_ERRNO(EPERM)),
                                                      ::seccomp_release);
  if (filter == nullptr) return Error(Code::kInternal, "seccomp_init");
  int failed = 0;
  for (const int call : {SCMP_SYS(epoll_wait),     SCMP_SYS(epoll_pwait),
                         SCMP_SYS(epoll_ctl),      SCMP_SYS(recvfrom),
                         SCMP_SYS(recvmsg),        SCMP_SYS(sendto),
                         SCMP_SYS(sendmsg),        SCMP_SYS(accept4),
                         SCMP_SYS(connect),        SCMP_SYS(getsockopt),
                         SCMP_SYS(close),          SCMP_SYS(write),
                         SCMP_SYS(getrandom),      SCMP_SYS(clock_gettime),
                         SCMP_SYS(gettimeofday),   SCMP_SYS(brk),
                         SCMP_SYS(mmap),           SCMP_SYS(munmap),
                         SCMP_SYS(mremap),         SCMP_SYS(madvise),
                         SCMP_SYS(futex),          SCMP_SYS(exit),
                         SCMP_SYS(exit_group),     SCMP_SYS(rt_sigreturn),
                         SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall),
                         SCMP_SYS(getpid),         SCMP_SYS(gettid),
                         SCMP_SYS(tgkill)}) {
    failed |= ::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
  }
  for (const int family : {AF_INET, AF_INET6}) {
    failed |= ::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                 SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)));
  }
  if (failed != 0 || ::seccomp_load(filter.get()) != 0) {
    return Error(Code::kUnsupported, "this kernel has no filter of system calls (seccomp)");
  }
  return Ok();
}

}  // namespace

Status EnterSandbox(const std::string& empty_dir) {
  RETURN_IF_ERROR(Limit(RLIMIT_NOFILE, kDescriptorsMax));
  RETURN_IF_ERROR(Limit(RLIMIT_DATA, kMemoryMax));
  RETURN_IF_ERROR(Limit(RLIMIT_CORE, 0));
  RETURN_IF_ERROR(BecomeNobody(empty_dir));
  RETURN_IF_ERROR(Limit(RLIMIT_NPROC, 0));
  return FilterCalls();
}

}  // namespace strata::net
