#include "layerfs/fuse_launch.h"

#include <fcntl.h>
#include <poll.h>

#include <vector>

#include "common/file_io.h"
#include "common/mount.h"
#include "common/subprocess.h"
#include "layerfs/upper_lock.h"

namespace strata::layerfs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMessageBytesMax = 8192;

Result<UniqueFd> MountConnection(int fuse_fd, const RootSpec& spec) {
  return CreateDetachedMount({.type = "fuse",
                              .options = {{"source", "strata"},
                                          {"subtype", "layerfs"},
                                          {"fd", std::to_string(fuse_fd)},
                                          {"rootmode", "40755"},
                                          {"user_id", "0"},
                                          {"group_id", "0"},
                                          {"allow_other", ""},
                                          {"default_permissions", ""}},
                              .attributes = RootAttributes(spec)});
}

std::vector<std::string> ServerCommand(const RootSpec& spec, const std::string& binary) {
  std::vector<std::string> argv = {binary,       "serve",
                                   "--fuse-fd",  std::to_string(kServerFuseFd),
                                   "--ready-fd", std::to_string(kServerReadyFd),
                                   "--tree",     spec.tree_path,
                                   "--objects",  spec.objects_dir,
                                   "--upper",    spec.upper_dir,
                                   "--work",     spec.work_dir};
  if (spec.id_shift.has_value()) {
    argv.insert(argv.end(), {"--id-shift", std::to_string(spec.id_shift->first_id) + ":" +
                                               std::to_string(spec.id_shift->count)});
  }
  return argv;
}

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

// The process we start hands over to one of its own (no child for our caller to reap) and ends with
// 0 once that serves.
Status StartServer(const RootSpec& spec, const std::string& binary, UniqueFd fuse_fd, UniqueFd lock,
                   Clock::time_point deadline) {
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) return Errno("pipe");
  const UniqueFd read_end(pipe_fds[0]);
  UniqueFd write_end(pipe_fds[1]);
  // Not our standard error: the server outlives us, and whoever reads from us waits for its end.
  ASSIGN_OR_RETURN(const UniqueFd log,
                   Open(spec.upper_dir + ".log", O_WRONLY | O_CREAT | O_APPEND, 0640));
  SubprocessOptions options;
  options.argv = ServerCommand(spec, binary);
  options.stdout_fd = -1;
  options.stderr_fd = log.get();
  options.extra_fds = {fuse_fd.get(), write_end.get(), lock.get()};
  options.new_session = true;
  ASSIGN_OR_RETURN(Subprocess server, Subprocess::Start(options), "fuse driver");
  write_end.reset();
  ASSIGN_OR_RETURN(std::string text, ReadReadiness(read_end.get(), deadline), spec.upper_dir);
  ASSIGN_OR_RETURN(const int exit_code, server.WaitFor(std::chrono::milliseconds(5000)));
  if (text == kServerReady && exit_code == 0) return Ok();
  return ServerFailure(std::move(text), exit_code);
}

}  // namespace

std::string BrokenFile(const std::string& upper_dir) { return upper_dir + ".broken"; }

Result<UniqueFd> MountFuseRoot(const RootSpec& spec, const std::string& layerfs_binary,
                               std::chrono::milliseconds ready_within) {
  const auto deadline = Clock::now() + ready_within;
  ASSIGN_OR_RETURN(UniqueFd lock, TakeUpperLock(spec.upper_dir));
  const std::string broken = BrokenFile(spec.upper_dir);
  if (::unlink(broken.c_str()) != 0 && errno != ENOENT) return Errno("remove " + broken);
  Result<UniqueFd> fuse_fd = Open("/dev/fuse", O_RDWR);
  if (!fuse_fd.ok()) {
    return Error(Code::kUnsupported, "no FUSE here: " + fuse_fd.error().message(),
                 fuse_fd.error().sys_errno());
  }
  ASSIGN_OR_RETURN(UniqueFd mount, MountConnection(fuse_fd->get(), spec));
  RETURN_IF_ERROR(
      StartServer(spec, layerfs_binary, std::move(*fuse_fd), std::move(lock), deadline));
  return mount;
}

}  // namespace strata::layerfs
