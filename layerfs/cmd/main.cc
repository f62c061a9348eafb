// layerfs: container roots by hand (probe, mount, unmount), and the server process of the fuse
// driver (serve), which layerfs/fuse_launch.cc starts.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>

#include "common/file_io.h"
#include "common/log.h"
#include "common/mount.h"
#include "common/paths.h"
#include "common/version.h"
#include "layerfs/cmd/id_shift_option.h"
#include "layerfs/cmd/requests.h"
#include "layerfs/cmd/serve.h"
#include "layerfs/cmd/upgrade.h"
#include "layerfs/probe.h"
#include "layerfs/root.h"
#include "layerfs/server/keeper.h"

namespace strata::layerfs {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not permitted, 7 in use,\n"
    "8 damaged tree, 9 this kernel or file system cannot.";

int ExitCodeOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return 2;
    case Code::kNotFound:
      return 3;
    case Code::kPermissionDenied:
      return 4;
    case Code::kFailedPrecondition:
    case Code::kResourceExhausted:
      return 7;
    case Code::kCorrupt:
      return 8;
    case Code::kUnsupported:
      return 9;
    default:
      return 1;
  }
}

int Finish(const Status& status) {
  if (status.ok()) return 0;
  std::fprintf(stderr, "layerfs: %s\n", status.error().message().c_str());
  return ExitCodeOf(status.error().code());
}

Status Print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    return Errno("write to standard output");
  }
  return Ok();
}

struct ProbeArguments {
  std::string state_dir = DefaultStateDir();
  bool json = false;
};

Status RunProbe(const ProbeArguments& arguments) {
  RETURN_IF_ERROR(MakeDirectories(arguments.state_dir), arguments.state_dir);
  ASSIGN_OR_RETURN(const ProbeReport report, Probe(arguments.state_dir));
  RETURN_IF_ERROR(Print(arguments.json ? ProbeJson(report) : ProbeText(report)));
  if (!report.driver.has_value()) return Error(Code::kUnsupported, report.no_driver_reason);
  return Ok();
}

struct MountArguments {
  std::string tree;
  std::string objects;
  std::string volume;
  std::string driver;
  std::string id_shift;
  std::string imaged;
  std::string object_mount = DefaultRunDir() + "/objects";
  std::string mountpoint;
};

std::string Absolute(const std::string& path) { return std::filesystem::absolute(path).string(); }

Result<std::string> OwnPath() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return Errno("readlink /proc/self/exe", error.value());
  return path.string();
}

Status RunMount(const MountArguments& arguments) {
  RootSpec spec;
  spec.tree_path = Absolute(arguments.tree);
  spec.objects_dir = Absolute(arguments.objects);
  const std::string volume = Absolute(arguments.volume);
  spec.upper_dir = volume + "/upper";
  spec.work_dir = volume + "/work";
  if (!arguments.id_shift.empty()) {
    ASSIGN_OR_RETURN(spec.id_shift, ParseIdShift(arguments.id_shift));
  }
  Driver driver = Driver::kKernel;
  RETURN_IF_ERROR(MakeDirectories(volume));
  if (arguments.driver.empty()) {
    ASSIGN_OR_RETURN(driver, PickDriver(volume));
  } else {
    ASSIGN_OR_RETURN(driver, ParseDriver(arguments.driver));
  }
  RETURN_IF_ERROR(PrepareUpper(spec));
  ASSIGN_OR_RETURN(const std::string binary, OwnPath());
  if (!arguments.imaged.empty()) {
    spec.object_mount =
        ObjectMountSpec{.mountpoint = Absolute(arguments.object_mount),
                        .imaged_socket = Absolute(arguments.imaged),
                        .binary = binary.substr(0, binary.rfind('/')) + "/layerfs-objects"};
  }
  ASSIGN_OR_RETURN(const UniqueFd mount, MountRoot(driver, spec, binary));
  return AttachMount(mount.get(), arguments.mountpoint);
}

Status RunUnmount(const std::string& mountpoint) {
  ASSIGN_OR_RETURN(const bool mounted, IsMountPoint(mountpoint));
  if (!mounted) return Error(Code::kInvalidArgument, mountpoint + ": nothing is mounted here");
  return Unmount(mountpoint);
}

void AddProbe(CLI::App& app, ProbeArguments* arguments) {
  auto* probe = app.add_subcommand("probe", "Try what this kernel and file system can do");
  probe->add_option("--state-dir", arguments->state_dir, "Where containers' data will be")
      ->capture_default_str();
  probe->add_flag("--json", arguments->json, "Print JSON");
}

void AddMount(CLI::App& app, MountArguments* arguments) {
  auto* mount = app.add_subcommand("mount", "Mount an image with a writable volume");
  mount->add_option("--tree", arguments->tree, "The image's flattened tree (EROFS)")->required();
  mount->add_option("--objects", arguments->objects, "The store's objects directory")->required();
  mount
      ->add_option("--volume", arguments->volume,
                   "Directory that holds upper/ and work/ (made when missing)")
      ->required();
  mount->add_option("--driver", arguments->driver, "kernel or fuse (default: what probe picks)");
  mount->add_option("--id-shift", arguments->id_shift,
                    "FIRST[:COUNT]: id N of the image is FIRST+N (COUNT 65536)");
  mount->add_option("--imaged", arguments->imaged,
                    "Socket of the imaged that fetches objects which are missing (default: none)");
  mount
      ->add_option("--object-mount", arguments->object_mount,
                   "Where the store's object mount is, or is put when it is needed")
      ->capture_default_str();
  mount->add_option("mountpoint", arguments->mountpoint, "An existing directory")->required();
}

int Main(int argc, char** argv) {
  CLI::App app("layerfs: container roots from content-addressed images");
  app.set_version_flag("--version", "layerfs " + Version());
  app.footer(kExitCodes);
  app.require_subcommand(1);
  ProbeArguments probe;
  AddProbe(app, &probe);
  MountArguments mount;
  AddMount(app, &mount);
  auto* unmount = app.add_subcommand("unmount", "Take a mounted image away");
  std::string mountpoint;
  unmount->add_option("mountpoint", mountpoint, "Where it is mounted")->required();
  ServeArguments serve;
  AddServe(app, &serve);
  UpgradeArguments upgrade;
  AddUpgrade(app, &upgrade);
  RequestsArguments requests;
  AddRequests(app, &requests);
  app.add_subcommand(kStateVersionCommand, "Print the version of a running server's state");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (app.got_subcommand("probe")) return Finish(RunProbe(probe));
  if (app.got_subcommand("mount")) return Finish(RunMount(mount));
  if (app.got_subcommand("serve")) return RunServe(serve);
  if (app.got_subcommand("upgrade")) return Finish(RunUpgrade(upgrade));
  if (app.got_subcommand("requests")) return Finish(RunRequests(requests));
  if (app.got_subcommand(kStateVersionCommand)) {
    return Finish(Print(std::to_string(kServerStateVersion) + "\n"));
  }
  return Finish(RunUnmount(mountpoint));
}

}  // namespace
}  // namespace strata::layerfs

int main(int argc, char** argv) {
  strata::InitLog("layerfs", strata::LogLevel::kInfo);
  try {
    return strata::layerfs::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "layerfs: %s\n", error.what());
    return 1;
  }
}
