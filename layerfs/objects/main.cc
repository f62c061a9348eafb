// layerfs-objects: the server of a store's object mount. Started by layerfs/object_mount.cc, which
// gives it its descriptors (layerfs/server_process.h). A program of its own because the servers of
// roots, of which there are many, must not load gRPC.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string_view>

#include "common/log.h"
#include "layerfs/objects/imaged_source.h"
#include "layerfs/objects/object_server.h"
#include "layerfs/server/keeper.h"

namespace strata::layerfs {
namespace {

struct Arguments {
  ObjectServerOptions options;
  int ready_fd = -1;
  int state_fd = -1;
  std::string broken_file;
  std::string imaged;
  bool no_passthrough = false;
};

void AddOptions(CLI::App* app, Arguments* arguments) {
  ObjectServerOptions& options = arguments->options;
  app->add_option("--fuse-fd", options.fuse_fd, "The mounted connection")->required();
  app->add_option("--ready-fd", arguments->ready_fd, "Told when the mount can be used");
  app->add_option(kStateFdOption, arguments->state_fd, "The state of the server to replace");
  app->add_option("--broken-file", arguments->broken_file, "Where to say that the mount broke")
      ->required();
  app->add_option("--objects", options.objects_dir, "The store's objects directory")->required();
  app->add_option("--imaged", arguments->imaged, "The socket of the store's imaged")->required();
  app->add_option("--threads", options.threads_max, "At most so many threads answer")
      ->capture_default_str()
      ->check(CLI::Range(1u, 64u));
  app->add_option("--fetches", options.fetch_threads_max, "At most so many fetches at once")
      ->capture_default_str()
      ->check(CLI::Range(1u, 256u));
  app->add_flag("--no-passthrough", arguments->no_passthrough, "Carry all data ourselves");
  app->add_flag("--debug", options.debug, "Every request on standard error");
}

// gRPC starts threads, so not before the process is the one that stays.
int Serve(const Arguments& arguments, ServerState* state, Launcher& launcher) {
  ImagedSource source(arguments.imaged);
  ObjectServerOptions options = arguments.options;
  options.state = state;
  if (launcher.waits()) options.on_ready = [&launcher] { launcher.TellReady(); };
  const Result<int> served = ServeObjects(options, source);
  if (served.ok()) return *served;
  LOG_ERROR(served.error().message());
  launcher.TellFailure(served.error().message());
  return 1;
}

int Main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == kStateVersionCommand) {
    std::printf("%u\n", kServerStateVersion);
    return 0;
  }
  CLI::App app("layerfs-objects: serves the object mount of a store (internal)");
  Arguments arguments;
  AddOptions(&app, &arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  arguments.options.passthrough = !arguments.no_passthrough;
  KeeperOptions keeper;
  keeper.fuse_fd = arguments.options.fuse_fd;
  keeper.ready_fd = arguments.ready_fd;
  keeper.state_fd = arguments.state_fd;
  keeper.broken_file = arguments.broken_file;
  return KeepServing(keeper, [&arguments](ServerState* state, Launcher& launcher) {
    return Serve(arguments, state, launcher);
  });
}

}  // namespace
}  // namespace strata::layerfs

int main(int argc, char** argv) {
  strata::InitLog("layerfs-objects", strata::LogLevel::kInfo);
  try {
    return strata::layerfs::Main(argc, argv);
  } catch (const std::exception& error) {
    LOG_ERROR(error.what());
    return 1;
  }
}
