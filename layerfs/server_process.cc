#include "layerfs/server_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file_io.h"
#include "common/log.h"
#include "common/subprocess.h"

namespace strata::layerfs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMessageBytesMax = 8192;

// Everything the server says until it is ready or closes the pipe.
Result<std::string> ReadReadiness(int fd, Clock::time_point deadline) {
  std::string text;
  while (text != kServerReady && text.size() < kMessageBytesMax) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return Error(Code::kDeadlineExceeded, "the layerfs server is not ready in time");
    pollfd poll_fd{fd, POLLIN, 0};
    const int n = ::poll(&poll_fd, 1, static_cast<int>(left));
    if (n < 0 && errno != EINTR) return Errno("poll");
    if (n <= 0) continue;
    char buffer[512];
    const ssize_t got = ::read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno != EINTR) return Errno("read from the layerfs server");
    if (got == 0) break;
    if (got > 0) text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

Error ServerFailure(std::string text, int exit_code) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.empty()) text = "ended with exit code " + std::to_string(exit_code);
  const Code code = exit_code == 127 ? Code::kUnsupported : Code::kFailedPrecondition;
  return Error(code, "layerfs server: " + text);
}

void Tell(int fd, std::string_view text) {
  if (Status told = WriteAll(fd, text); !told.ok()) {
    LOG_WARNING("tell the launcher: " + told.error().message());
  }
}

// The launcher's child: ends with 0 when the server is ready, otherwise with the server's code.
int AwaitServer(pid_t server, UniqueFd started) {
  char byte;
  ssize_t n;
  while ((n = ::read(started.get(), &byte, 1)) < 0 && errno == EINTR) {
  }
  if (n == 1) return 0;
  int status = 0;
  while (::waitpid(server, &status, 0) < 0) {
    if (errno != EINTR) return 1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Status StartServer(ServerProcess process, Clock::time_point deadline) {
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) return Errno("pipe");
  const UniqueFd read_end(pipe_fds[0]);
  UniqueFd write_end(pipe_fds[1]);
  // Not our standard error: the server outlives us, and whoever reads from us waits for its end.
  ASSIGN_OR_RETURN(const UniqueFd log, Open(process.log_path, O_WRONLY | O_CREAT | O_APPEND, 0640));
  SubprocessOptions options;
  options.argv = process.argv;
  options.stdout_fd = -1;
  options.stderr_fd = log.get();
  options.extra_fds = {process.fuse_fd.get(), write_end.get()};
  if (process.kept.valid()) options.extra_fds.push_back(process.kept.get());
  options.new_session = true;
  ASSIGN_OR_RETURN(Subprocess server, Subprocess::Start(options));
  write_end.reset();
  process.fuse_fd.reset();  // A dead server must be the end of the connection.
  process.kept.reset();
  ASSIGN_OR_RETURN(std::string text, ReadReadiness(read_end.get(), deadline));
  ASSIGN_OR_RETURN(const int exit_code, server.WaitFor(std::chrono::milliseconds(5000)));
  if (text == kServerReady && exit_code == 0) return Ok();
  return ServerFailure(std::move(text), exit_code);
}

void Launcher::TellReady() {
  Tell(started_.get(), "1");
  Tell(ready_.get(), kServerReady);
  started_.reset();
  ready_.reset();
}

void Launcher::TellFailure(std::string_view reason) {
  if (ready_.valid()) Tell(ready_.get(), reason);
}

void Launcher::Forget() {
  [[maybe_unused]] int not_ours = started_.release();
  not_ours = ready_.release();
}

int ServeApart(int fuse_fd, int ready_fd, const std::function<int(Launcher)>& serve) {
  UniqueFd ready(ready_fd);
  ::fcntl(ready.get(), F_SETFD, FD_CLOEXEC);
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) return 1;
  UniqueFd started_read(pipe_fds[0]);
  UniqueFd started_write(pipe_fds[1]);
  const pid_t server = ::fork();
  if (server < 0) {
    Tell(ready.get(), Errno("fork").message());
    return 1;
  }
  if (server > 0) {
    started_write.reset();
    ready.reset();
    ::close(fuse_fd);  // A dead server must be the end of the connection.
    return AwaitServer(server, std::move(started_read));
  }
  started_read.reset();
  // A launcher that gave up has closed the mount: the connection ends, and SIGPIPE ends whoever
  // still tells it of being ready.
  return serve(Launcher(std::move(ready), std::move(started_write)));
}

}  // namespace strata::layerfs
