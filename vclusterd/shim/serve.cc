#include "vclusterd/shim/serve.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "common/fd_passing.h"
#include "common/file_io.h"
#include "vclusterd/shim/node_request.h"
#include "vclusterd/shim/start_exec.h"

namespace strata::vcluster {
namespace {

// Descriptors of a request, in this order; then volumes.
enum : size_t { kRequest, kErrors, kRoot, kVolumes };

Status Start(std::vector<UniqueFd> fds) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadAll(fds[kRequest].get(), kRequestBytesMax));
  fds[kRequest].reset();  // It is not for the container.
  ASSIGN_OR_RETURN(const StartNodeRequest request, DecodeStart(bytes));
  if (request.volumes.size() != fds.size() - kVolumes) {
    return Error(Code::kInvalidArgument, "not as many mounts as volumes");
  }
  UniqueFd root = std::move(fds[kRoot]);
  fds.erase(fds.begin(), fds.begin() + kVolumes);
  return StartNode(request, std::move(root), std::move(fds));
}

// The forked process, as if it were a program of its own: the signals as they were when serve
// began, a session, standard streams.
[[noreturn]] void StartAndExit(std::vector<UniqueFd> fds, const sigset_t& mask) {
  ::signal(SIGCHLD, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  if (::setsid() < 0 || ::dup2(fds[kErrors].get(), 1) < 0 || ::dup2(fds[kErrors].get(), 2) < 0) {
    ::_exit(1);
  }
  fds[kErrors].reset();
  const Status started = Start(std::move(fds));
  if (!started.ok()) std::fprintf(stderr, "%s\n", started.error().message().c_str());
  ::_exit(started.ok() ? 0 : 1);
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
  return SendPassing(socket, kStarterRuns, {pid_fd.get()});
}

}  // namespace

Status ServeStarts(UniqueFd socket) {
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
    const pid_t pid = ::fork();
    if (pid == 0) {
      socket.reset();
      StartAndExit(std::move(request.fds), before);
    }
    RETURN_IF_ERROR(Answer(socket.get(), pid));
  }
}

}  // namespace strata::vcluster
