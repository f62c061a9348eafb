#include "vclusterd/runtime/node_starter.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/fd_passing.h"
#include "common/log.h"
#include "vclusterd/shim/node_record.h"
#include "vclusterd/shim/node_request.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr timeval kAnswerTimeMax = {10, 0};  // It forks, no more.

// The next message of process 1; without bytes: its monitor has ended without one.
Result<PassedMessage> AwaitMessage(int socket, const UniqueFd& monitor,
                                   Clock::time_point deadline) {
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
    // First: what it said before its end counts. The monitor has that end of the socket, too.
    if (fds[0].revents != 0) return ReceivePassed(socket, 1);
    return PassedMessage();
  }
}

}  // namespace

NodeStarter::NodeStarter(const std::string& node_binary, const std::vector<std::string>& needed)
    : argv_({node_binary, "serve"}) {
  argv_.insert(argv_.end(), needed.begin(), needed.end());
}

Status NodeStarter::Begin() {
  socket_.reset();
  server_.reset();
  ASSIGN_OR_RETURN(auto sockets, MessageSockets());
  auto& [ours, theirs] = sockets;
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

Result<NodeStarter::Monitor> NodeStarter::Ask(const std::vector<int>& fds) {
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
  if (answer.ok() && answer->bytes.starts_with(kStarterRuns) && answer->fds.size() == 1) {
    Monitor monitor = {std::move(answer->fds[0]), 0};
    const char* const end = answer->bytes.data() + answer->bytes.size();
    const auto number =
        std::from_chars(answer->bytes.data() + kStarterRuns.size(), end, monitor.pid);
    if (number.ptr == end && number.ec == std::errc()) return monitor;
  }
  socket_.reset();
  server_.reset();  // It is killed: it must not begin later what nobody waits for any more.
  if (!answer.ok()) return answer.error().Wrap(argv_[0]);
  return Error(Code::kInternal,
               argv_[0] + ": " + (answer->bytes.empty() ? "it has ended" : answer->bytes));
}

Result<bool> NodeStarter::Run(const StartFds& fds, const Keep& keep, milliseconds timeout) {
  ASSIGN_OR_RETURN(auto sockets, MessageSockets());
  auto& [ours, theirs] = sockets;
  const int yes = 1;
  if (::setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) != 0) {
    return Errno("setsockopt");
  }
  std::vector<int> passed = {fds.request, fds.errors, fds.root, theirs.get()};
  passed.insert(passed.end(), fds.volumes.begin(), fds.volumes.end());
  const auto deadline = Clock::now() + timeout;
  ASSIGN_OR_RETURN(const Monitor monitor, Ask(passed));
  theirs.reset();
  ASSIGN_OR_RETURN(const PassedMessage runs, AwaitMessage(ours.get(), monitor.pid_fd, deadline));
  if (runs.bytes.empty()) return false;
  RETURN_IF_ERROR(keep(runs.sender, monitor.pid));
  RETURN_IF_ERROR(SendPassing(ours.get(), "1", {}));
  // Whoever freezes the node next must not freeze it with the lock.
  RETURN_IF_ERROR(AwaitMessage(ours.get(), monitor.pid_fd, deadline));
  return true;
}

}  // namespace strata::vcluster
