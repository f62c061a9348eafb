#include "layerfs/cmd/serve.h"

#include "common/log.h"
#include "common/unique_fd.h"
#include "layerfs/cmd/id_shift_option.h"
#include "layerfs/fuse/fuse_server.h"
#include "layerfs/fuse_launch.h"
#include "layerfs/server/keeper.h"
#include "layerfs/server_process.h"

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
  if (!arguments.object_mount.empty()) {
    options.root.object_mount = {.mountpoint = arguments.object_mount,
                                 .imaged_socket = arguments.imaged,
                                 .binary = arguments.objects_binary};
  }
  options.passthrough = !arguments.no_passthrough;
  options.debug = arguments.debug;
  options.kept_fds = {kServerLockFd};
  return options;
}

int Serve(FuseServerOptions options, ServerState* state, Launcher& launcher) {
  options.state = state;
  if (launcher.waits()) options.on_ready = [&launcher] { launcher.TellReady(); };
  const Result<int> served = ServeFuse(options);
  if (served.ok()) return *served;
  LOG_ERROR(served.error().message());
  launcher.TellFailure(served.error().message());
  return 1;
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
  serve->add_option("--object-mount", arguments->object_mount, "Where missing objects come from");
  serve->add_option("--imaged", arguments->imaged, "The socket of imaged, for the object mount");
  serve->add_option("--objects-binary", arguments->objects_binary, "The object mount's program");
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
    if (arguments.ready_fd >= 0) {
      Launcher(UniqueFd(arguments.ready_fd), UniqueFd()).TellFailure(options.error().message());
    }
    return 1;
  }
  KeeperOptions keeper;
  keeper.fuse_fd = arguments.fuse_fd;
  keeper.ready_fd = arguments.ready_fd;
  keeper.state_fd = arguments.state_fd;
  keeper.broken_file = BrokenFile(arguments.upper);
  keeper.kept_fds = options->kept_fds;
  return KeepServing(keeper, [&options](ServerState* state, Launcher& launcher) {
    return Serve(*options, state, launcher);
  });
}

}  // namespace strata::layerfs
