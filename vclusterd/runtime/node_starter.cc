#include "vclusterd/runtime/node_starter.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "common/fd_passing.h"
#include "common/log.h"
#include "vclusterd/shim/node_record.h"
#include "vclusterd/shim/node_request.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr timeval kAnswerTimeMax = {10, 0};  // It forks, no more.

// Process 1 has told that it runs (its pid), or its monitor has ended without that (0).
Result<pid_t> AwaitStarted(int socket, const UniqueFd& monitor, milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  while (true) {
    pollfd fds[] = {{socket, POLLIN, 0}, {monitor.get(), POLLIN, 0}};
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    const int ready = ::poll(fds, 2, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return Errno("poll");
    if (ready == 0) {
      KillProcess(monitor);
      return Error(Code::kDeadlineExceeded, "the start did not end in time");
    }
    // First: a container that ran, however shortly, was started.
    if (fds[0].revents != 0) {
      ASSIGN_OR_RETURN(const PassedMessage told, ReceivePassed(socket, 1));
      if (!told.bytes.empty()) return told.sender;
      RETURN_IF_ERROR(WaitProcess(monitor.get(), timeout));  // Nobody has the other end any more.
    }
    return 0;
  }
}

}  // namespace

NodeStarter::NodeStarter(const std::string& node_binary, const std::string& nodes_dir,
                         const std::vector<std::string>& files)
    : argv_({node_binary, "serve", nodes_dir}) {
  argv_.insert(argv_.end(), files.begin(), files.end());
}

Status NodeStarter::Begin() {
  socket_.reset();
  server_.reset();
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return Errno("socketpair");
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  if (::setsockopt(ours.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerTimeMax, sizeof(kAnswerTimeMax)) !=
      0) {
    return Errno("setsockopt");
  }
  SubprocessOptions options;
  options.argv = argv_;
  options.extra_fds = {theirs.get()};
  // Symbols are looked up once, here, and not in every process that is forked off.
  options.extra_env = {"LD_BIND_NOW=1"};
  options.new_session = true;
  ASSIGN_OR_RETURN(Subprocess server, Subprocess::Start(options));
  server_.emplace(std::move(server));
  socket_ = std::move(ours);
  return Ok();
}

Result<UniqueFd> NodeStarter::Ask(const std::vector<int>& fds) {
  const std::lock_guard lock(mutex_);
  if (!socket_.valid()) RETURN_IF_ERROR(Begin());
  Status sent = SendPassing(socket_.get(), kStartRequest, fds);
  if (!sent.ok() && sent.error().code() == Code::kUnavailable) {
    LOG_WARNING("strata-node serve has ended and begins anew");
    RETURN_IF_ERROR(Begin());
    sent = SendPassing(socket_.get(), kStartRequest, fds);
  }
  RETURN_IF_ERROR(sent, argv_[0]);
  auto answer = ReceivePassed(socket_.get(), kStarterAnswerBytesMax);
  if (answer.ok() && answer->bytes == kStarterRuns && answer->fds.size() == 1) {
    return std::move(answer->fds[0]);
  }
  socket_.reset();
  server_.reset();  // It is killed: it must not begin later what nobody waits for any more.
  if (!answer.ok()) return answer.error().Wrap(argv_[0]);
  return Error(Code::kInternal,
               argv_[0] + ": " + (answer->bytes.empty() ? "it has ended" : answer->bytes));
}

Result<pid_t> NodeStarter::Run(const StartFds& fds, std::chrono::milliseconds timeout) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return Errno("socketpair");
  }
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const int yes = 1;
  if (::setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) != 0) {
    return Errno("setsockopt");
  }
  std::vector<int> passed = {fds.request, fds.errors, fds.root, theirs.get()};
  passed.insert(passed.end(), fds.volumes.begin(), fds.volumes.end());
  ASSIGN_OR_RETURN(const UniqueFd process, Ask(passed));
  theirs.reset();
  return AwaitStarted(ours.get(), process, timeout);
}

}  // namespace strata::vcluster
