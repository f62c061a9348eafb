#include "layerfs/cmd/serve.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file_io.h"
#include "common/log.h"
#include "common/unique_fd.h"
#include "layerfs/cmd/id_shift_option.h"
#include "layerfs/cmd/keeper.h"
#include "layerfs/fuse/fuse_server.h"
#include "layerfs/fuse_launch.h"

namespace strata::layerfs {
namespace {

Result<FuseServerOptions> OptionsOf(const ServeArguments& arguments) {
  FuseServerOptions options;
  options.fuse_fd = arguments.fuse_fd;
  options.root.tree_path = arguments.tree;
  options.root.objects_dir = arguments.objects;
  options.root.upper_dir = arguments.upper;
  options.root.work_dir = arguments.work;
  if (!arguments.id_shift.empty()) {
    ASSIGN_OR_RETURN(options.root.id_shift, ParseIdShift(arguments.id_shift));
  }
  options.threads_max = arguments.threads;
  options.passthrough = !arguments.no_passthrough;
  options.debug = arguments.debug;
  options.kept_fds = {arguments.fuse_fd, kServerLockFd};
  return options;
}

void Tell(int fd, std::string_view text) {
  if (Status told = WriteAll(fd, text); !told.ok()) {
    LOG_WARNING("tell the launcher: " + told.error().message());
  }
}

// The server's side of the two pipes to its launcher. Before a server was ready they are the
// keeper's too; afterwards their numbers may be other descriptors'.
struct Launcher {
  UniqueFd ready;
  UniqueFd started;

  void TellReady() {
    Tell(started.get(), "1");
    Tell(ready.get(), kServerReady);
    started.reset();
    ready.reset();
  }
  void Forget() {
    [[maybe_unused]] int not_ours = started.release();
    not_ours = ready.release();
  }
};

// A server that is watched by a keeper when `state` is not null.
int Serve(FuseServerOptions options, ServerState* state, Launcher launcher) {
  options.state = state;
  if (state != nullptr && state->header().serving.load() != 0) launcher.Forget();
  if (launcher.ready.valid()) options.on_ready = [&launcher] { launcher.TellReady(); };
  const Result<int> served = ServeFuse(options);
  if (served.ok()) return *served;
  LOG_ERROR(served.error().message());
  if (launcher.ready.valid()) Tell(launcher.ready.get(), served.error().message());
  return 1;
}

int ServeKept(const FuseServerOptions& options, std::unique_ptr<ServerState> state,
              Launcher launcher) {
  KeeperOptions keeper;
  keeper.state = state.get();
  keeper.broken_file = BrokenFile(options.root.upper_dir);
  keeper.kept_fds = options.kept_fds;
  const int code =
      KeepServing(keeper, [&] { return Serve(options, state.get(), std::move(launcher)); });
  launcher.Forget();
  return code;
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

int ServeApart(const ServeArguments& arguments, const FuseServerOptions& options) {
  UniqueFd ready(arguments.ready_fd);
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
    ::close(arguments.fuse_fd);  // A dead server must be the end of the connection.
    return AwaitServer(server, std::move(started_read));
  }
  started_read.reset();
  // A launcher that gave up has closed the mount: the connection ends, and SIGPIPE ends whoever
  // still tells it of being ready.
  auto state = ServerState::Create();
  if (!state.ok()) {
    Tell(ready.get(), state.error().message());
    return 1;
  }
  return ServeKept(options, std::move(*state), {std::move(ready), std::move(started_write)});
}

int ServeAfterUpgrade(const FuseServerOptions& options, int state_fd) {
  auto state = ServerState::Adopt(UniqueFd(state_fd));
  if (!state.ok()) {
    LOG_ERROR(state.error().message());
    return 1;
  }
  return ServeKept(options, std::move(*state), {});
}

}  // namespace

void AddServe(CLI::App& app, ServeArguments* arguments) {
  auto* serve = app.add_subcommand("serve", "Serve a mounted /dev/fuse connection (internal)");
  serve->add_option("--fuse-fd", arguments->fuse_fd, "The mounted connection")->required();
  serve->add_option("--ready-fd", arguments->ready_fd, "Told when the mount can be used");
  serve->add_option(kStateFdOption, arguments->state_fd, "The state of the server to replace");
  serve->add_option("--tree", arguments->tree, "The image's flattened tree")->required();
  serve->add_option("--objects", arguments->objects, "The objects directory")->required();
  serve->add_option("--upper", arguments->upper, "The upper directory")->required();
  serve->add_option("--work", arguments->work, "The work directory")->required();
  serve->add_option("--id-shift", arguments->id_shift, "FIRST[:COUNT]");
  serve->add_option("--threads", arguments->threads, "At most so many threads")
      ->capture_default_str()
      ->check(CLI::Range(1u, 64u));
  serve->add_flag("--no-passthrough", arguments->no_passthrough, "Carry all data ourselves");
  serve->add_flag("--debug", arguments->debug, "Every request on standard error");
}

int RunServe(const ServeArguments& arguments) {
  const Result<FuseServerOptions> options = OptionsOf(arguments);
  if (!options.ok()) {
    LOG_ERROR(options.error().message());
    if (arguments.ready_fd >= 0) Tell(arguments.ready_fd, options.error().message());
    return 1;
  }
  if (arguments.state_fd >= 0) return ServeAfterUpgrade(*options, arguments.state_fd);
  if (arguments.ready_fd >= 0) return ServeApart(arguments, *options);
  return Serve(*options, nullptr, {});
}

}  // namespace strata::layerfs
