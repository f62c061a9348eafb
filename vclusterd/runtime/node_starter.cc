#include "vclusterd/runtime/node_starter.h"

#include <sys/socket.h>

#include "common/fd_passing.h"
#include "common/log.h"
#include "vclusterd/shim/node_record.h"
#include "vclusterd/shim/node_request.h"

namespace strata::vcluster {
namespace {

constexpr timeval kAnswerTimeMax = {10, 0};  // It forks, no more.

}  // namespace

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
  options.argv = {node_binary_, "serve"};
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
  RETURN_IF_ERROR(sent, node_binary_);
  auto answer = ReceivePassed(socket_.get(), kStarterAnswerBytesMax);
  if (answer.ok() && answer->bytes == kStarterRuns && answer->fds.size() == 1) {
    return std::move(answer->fds[0]);
  }
  socket_.reset();
  server_.reset();  // It is killed: it must not begin later what nobody waits for any more.
  if (!answer.ok()) return answer.error().Wrap(node_binary_);
  return Error(Code::kInternal,
               node_binary_ + ": " + (answer->bytes.empty() ? "it has ended" : answer->bytes));
}

Status NodeStarter::Run(const std::vector<int>& fds, std::chrono::milliseconds timeout) {
  ASSIGN_OR_RETURN(const UniqueFd process, Ask(fds));
  Status ended = WaitProcess(process.get(), timeout);
  if (!ended.ok()) KillProcess(process);
  return ended;
}

}  // namespace strata::vcluster
