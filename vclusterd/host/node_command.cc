#include "vclusterd/host/node_command.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "common/file_io.h"
#include "common/log.h"
#include "common/printable.h"
#include "net/ipv4.h"
#include "vclusterd/definition/definition.h"
#include "vclusterd/host/process_marks.h"
#include "vclusterd/runtime/ssh_keys.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long nobody notices that the caller gave up.
constexpr milliseconds kCancelPause(50);
constexpr milliseconds kConnectMax(1000);
constexpr milliseconds kCheckMax(10'000);  // For one run of a check's command.
constexpr std::chrono::seconds kHookDefault(300);
constexpr size_t kMarkBytes = 8;

Status TryConnect(const std::string& address, uint32_t port) {
  ASSIGN_OR_RETURN(const net::Ipv4 ip, net::Ipv4::Parse(address));
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Errno("socket");
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(ip.value);
  const std::string what = "port " + std::to_string(port);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) return Ok();
  if (errno != EINPROGRESS) return Errno(what);
  pollfd event{fd.get(), POLLOUT, 0};
  const int n = ::poll(&event, 1, static_cast<int>(kConnectMax.count()));
  if (n == 0) return Error(Code::kDeadlineExceeded, what + " does not answer");
  int error = 0;
  socklen_t size = sizeof(error);
  if (n < 0 || ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return Errno(what);
  return error == 0 ? Ok() : Status(Errno(what, error));
}

std::string LastLine(const std::string& output) {
  std::string text = output.substr(output.size() - std::min<size_t>(output.size(), 4096));
  while (text.ends_with('\n')) text.pop_back();
  const size_t line = text.rfind('\n');
  return Printable(line == std::string::npos ? text : text.substr(line + 1));
}

Status CheckOnce(const NodeLife& life, const ExecTarget& target, const std::string& address,
                 const host::v1::ReadyCheck& check, const CancelToken& cancel) {
  if (check.argv().empty()) return TryConnect(address, check.tcp_port());
  std::string output;
  ASSIGN_OR_RETURN(const NodeCommandResult result,
                   RunInNode(life, target, {check.argv().begin(), check.argv().end()}, kCheckMax,
                             cancel, &output));
  if (result.exit_code == 0) return Ok();
  return Error(Code::kFailedPrecondition,
               "exit code " + std::to_string(result.exit_code) + " " + LastLine(result.output));
}

}  // namespace

Result<NodeCommand> NodeCommand::Start(const NodeLife& life, const ExecTarget& target,
                                       const ExecParameters& parameters) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Errno("pipe2");
  UniqueFd from(ends[0]);
  const UniqueFd to(ends[1]);
  if (::fcntl(from.get(), F_SETFL, O_NONBLOCK) != 0) return Errno("fcntl");
  ASSIGN_OR_RETURN(Subprocess process, life.Exec(target, parameters, -1, to.get(), to.get()));
  UniqueFd pid_fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid(), 0)));
  if (!pid_fd.valid()) return Errno("pidfd_open");
  return NodeCommand(std::move(process), std::move(pid_fd), std::move(from));
}

Result<bool> NodeCommand::Follow(Clock::time_point until, const CancelToken& cancel,
                                 const Sink& sink) {
  const auto drain = [&] {  // Without waiting.
    char buffer[16384];
    ssize_t n;
    while ((n = ::read(from_.get(), buffer, sizeof(buffer))) > 0) {
      sink({buffer, static_cast<size_t>(n)});
    }
    // A command that closed its output would have us spin.
    if (n == 0) from_.reset();
  };
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    if (left.count() <= 0 || cancel.cancelled()) return false;
    pollfd fds[] = {{pid_fd_.get(), POLLIN, 0}, {from_.get(), POLLIN, 0}};
    const auto pause = std::min(left, kCancelPause);
    if (::poll(fds, 2, static_cast<int>(pause.count())) < 0 && errno != EINTR) return Errno("poll");
    // After its end: what it wrote before.
    if (from_.valid() && (fds[0].revents != 0 || fds[1].revents != 0)) drain();
    if ((fds[0].revents & POLLIN) != 0) return true;
  }
}

void OutputEnd::Add(std::string_view data) {
  bytes_ += data.size();
  end_ += data;
  if (end_.size() > 2 * bytes_max_) end_.erase(0, end_.size() - bytes_max_);
}

std::string OutputEnd::Text() const {
  return end_.substr(end_.size() - std::min(end_.size(), bytes_max_));
}

namespace {

// Every process of it is found by `mark`, which is a variable of its environment.
Result<NodeCommandResult> RunMarked(const NodeLife& life, const ExecTarget& target,
                                    const std::vector<std::string>& argv, const std::string& mark,
                                    milliseconds timeout, const CancelToken& cancel,
                                    std::string* output) {
  ExecParameters parameters;
  parameters.argv = argv;
  parameters.env.push_back(mark);
  ASSIGN_OR_RETURN(NodeCommand command, NodeCommand::Start(life, target, parameters));
  OutputEnd end(kHookOutputBytesMax);
  const auto ended =
      command.Follow(Clock::now() + timeout, cancel, [&](std::string_view data) { end.Add(data); });
  *output = end.Text();
  if (!ended.ok() || !*ended) {
    // The command's end kills it alone; what it has started would go on beside the next try.
    if (Status killed = KillMarked(target.init_pid, mark); !killed.ok()) {
      LOG_ERROR("node " + target.id + ": " + killed.error().message());
    }
  }
  if (!ended.ok()) return ended.error();
  RETURN_IF_ERROR(cancel.Check());
  if (!*ended) {
    return Error(Code::kDeadlineExceeded,
                 "it did not end within " + std::to_string(timeout.count() / 1000) + " s");
  }
  NodeCommandResult result;
  ASSIGN_OR_RETURN(result.exit_code, command.ExitCode());
  result.output = *output;
  return result;
}

}  // namespace

Result<NodeCommandResult> RunInNode(const NodeLife& life, const ExecTarget& target,
                                    const std::vector<std::string>& argv, milliseconds timeout,
                                    const CancelToken& cancel, std::string* output) {
  ASSIGN_OR_RETURN(const std::string random, RandomBytes(kMarkBytes));
  return RunMarked(life, target, argv, "STRATA_COMMAND=" + ToHex(random), timeout, cancel, output);
}

host::v1::HookRun RunHook(const NodeLife& life, const ExecTarget& target, const std::string& hook,
                          const host::v1::Command& command, const CancelToken& cancel) {
  host::v1::HookRun run;
  run.set_hook(hook);
  run.set_unix_ms(
      std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  const auto start = Clock::now();
  const std::chrono::seconds timeout =
      command.timeout_s() == 0 ? kHookDefault : std::chrono::seconds(command.timeout_s());
  std::string output;
  const auto result = [&]() -> Result<NodeCommandResult> {
    // vclusterd may have been killed while it ran: what is left of that would run beside this one.
    const std::string mark = "STRATA_HOOK=" + hook;
    RETURN_IF_ERROR(KillMarked(target.init_pid, mark));
    return RunMarked(life, target, {command.argv().begin(), command.argv().end()}, mark, timeout,
                     cancel, &output);
  }();
  run.set_seconds(std::chrono::duration<double>(Clock::now() - start).count());
  run.set_output(PrintableText(output));
  run.set_exit_code(result.ok() ? result->exit_code : -1);
  if (!result.ok()) {
    run.set_problem(hook + ": " + result.error().message());
  } else if (result->exit_code != 0) {
    run.set_problem(hook + " failed with exit code " + std::to_string(result->exit_code) + ": " +
                    LastLine(output));
  }
  return run;
}

Status AwaitReady(const NodeLife& life, const ExecTarget& target, const std::string& address,
                  const host::v1::ReadyCheck& check, const CancelToken& cancel) {
  const auto deadline = Clock::now() + std::chrono::seconds(check.timeout_s());
  while (true) {
    const Status ready = CheckOnce(life, target, address, check, cancel);
    if (ready.ok()) return Ok();
    RETURN_IF_ERROR(cancel.Check());
    if (Clock::now() >= deadline) {
      return Error(Code::kDeadlineExceeded, "not ready within " +
                                                std::to_string(check.timeout_s()) +
                                                " s: " + ready.error().message());
    }
    RETURN_IF_ERROR(cancel.WaitFor(milliseconds(std::max<uint32_t>(check.every_ms(), 50))));
  }
}

}  // namespace strata::vcluster
