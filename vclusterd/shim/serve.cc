#include "vclusterd/shim/serve.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iterator>

#include "common/fd_passing.h"
#include "common/file_io.h"
#include "vclusterd/shim/node_request.h"
#include "vclusterd/shim/private_mounts.h"
#include "vclusterd/shim/start_exec.h"

namespace strata::vcluster {
namespace {

// Descriptors of a request, in this order; then volumes.
enum : size_t { kRequest, kErrors, kRoot, kStarted, kVolumes };

// Done once, for all that is forked off.
Status PrepareMounts(std::vector<std::string> needed) {
  needed.insert(needed.end(), {"/usr/share/lxc/config", "/usr/lib", "/etc", "/run/lxc"});
  return EnterPrivateMounts(needed);
}

// For ps: the process stays as long as its container.
void SetTitle(const std::string& name, std::span<char> title) {
  ::prctl(PR_SET_NAME, name.c_str());
  const std::string text = "strata-node: " + name;
  std::fill(title.begin(), title.end(), '\0');
  if (!title.empty()) text.copy(title.data(), title.size() - 1);
}

// After an error `fds` still has what tells vclusterd that the start is over: that must be later
// than the words of the error.
Status Start(std::vector<UniqueFd>& fds, std::span<char> title) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadAll(fds[kRequest].get(), kRequestBytesMax));
  fds[kRequest].reset();  // It is not for the container.
  ASSIGN_OR_RETURN(const StartNodeRequest request, DecodeStart(bytes));
  if (request.volumes.size() != fds.size() - kVolumes) {
    return Error(Code::kInvalidArgument, "not as many mounts as volumes");
  }
  // Its root must be seen by nobody else, nor keep the host's file systems busy.
  if (::unshare(CLONE_NEWNS) != 0) return Errno("unshare the mount namespace");
  SetTitle(request.name, title);
  std::vector<UniqueFd> volumes(std::make_move_iterator(fds.begin() + kVolumes),
                                std::make_move_iterator(fds.end()));
  return StartNode(request, std::move(fds[kRoot]), &fds[kStarted], std::move(volumes));
}

// Until process 1 takes the node's /dev/null for them.
Status SetStandardStreams(int errors) {
  ASSIGN_OR_RETURN(const UniqueFd null, Open("/dev/null", O_RDWR));
  if (::dup2(null.get(), 0) < 0 || ::dup2(null.get(), 1) < 0 || ::dup2(errors, 2) < 0) {
    return Errno("dup2");
  }
  return Ok();
}

// The forked process, as if it were a daemon of its own: the signals as they were when serve began,
// a session, no standard streams but for errors.
[[noreturn]] void StartAndExit(std::vector<UniqueFd> fds, const sigset_t& mask,
                               std::span<char> title) {
  ::signal(SIGCHLD, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  const UniqueFd errors = std::move(fds[kErrors]);
  Status ended =
      ::setsid() < 0 || ::chdir("/") != 0 ? Errno("a session") : SetStandardStreams(errors.get());
  if (ended.ok()) ended = Start(fds, title);
  if (!ended.ok()) ::dprintf(errors.get(), "%s\n", ended.error().message().c_str());
  ::_exit(ended.ok() ? 0 : 1);
}

void ReapEnded() {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

Status Answer(int socket, pid_t pid) {
  if (pid < 0) return SendPassing(socket, Errno("fork").message(), {});
  // It is not reaped yet, so the number is its own.
  const UniqueFd pid_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pid_fd.valid()) return SendPassing(socket, Errno("pidfd_open").message(), {});
  return SendPassing(socket, std::string(kStarterRuns) + std::to_string(pid), {pid_fd.get()});
}

}  // namespace

Status ServeStarts(UniqueFd socket, const std::vector<std::string>& needed, std::span<char> title) {
  const Status ready = PrepareMounts(needed);
  // The signal arrives in ppoll alone, which it ends.
  sigset_t blocked;
  sigset_t before;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  ::signal(SIGCHLD, [](int) {});
  while (true) {
    ReapEnded();
    pollfd fd = {socket.get(), POLLIN, 0};
    if (::ppoll(&fd, 1, nullptr, &before) < 0) {
      if (errno == EINTR) continue;
      return Errno("poll");
    }
    ASSIGN_OR_RETURN(PassedMessage request, ReceivePassed(socket.get(), kStartRequest.size()));
    if (request.bytes.empty()) return Ok();
    if (request.bytes != kStartRequest || request.fds.size() < kVolumes) {
      return Error(Code::kInvalidArgument, "not a request to start a node");
    }
    if (!ready.ok()) {
      RETURN_IF_ERROR(SendPassing(socket.get(), ready.error().message(), {}));
      continue;
    }
    const pid_t pid = ::fork();
    if (pid == 0) {
      socket.reset();
      StartAndExit(std::move(request.fds), before, title);
    }
    RETURN_IF_ERROR(Answer(socket.get(), pid));
  }
}

}  // namespace strata::vcluster
