// vclusterd: the Vclusters of one host. Parses its flags, wires, serves.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>

#include "common/digest.h"
#include "common/file_io.h"
#include "common/log.h"
#include "common/mount.h"
#include "common/paths.h"
#include "common/rpc/local_server.h"
#include "imaged/client/host_image_client.h"
#include "layerfs/volume/probe_volumes.h"
#include "vclusterd/master/single_host.h"
#include "vclusterd/runtime/cgroups.h"
#include "vclusterd/service/vcluster_service.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::seconds kShutdownGrace(2);

struct Flags {
  std::string state_dir = DefaultStateDir();
  std::string run_dir = DefaultRunDir();
  std::string imaged_socket;  // Empty: in run_dir.
  std::string subnet_pool = "10.90.0.0/16";
  uint32_t id_base = 1'000'000;
  std::string driver;   // Empty: the better one.
  std::string volumes;  // Empty: the best kind that works.
  std::string volume_pool;
  uint64_t volume_size = 0;
  uint32_t record_starts_s = 20;
  bool down = false;
};

// The other programs lie beside this one.
Result<std::string> ProgramDirectory() {
  char path[4096];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof(path));
  if (n <= 0 || n == sizeof(path)) return Errno("readlink /proc/self/exe");
  const std::string program(path, static_cast<size_t>(n));
  return program.substr(0, program.rfind('/'));
}

// Containers must be able to reach the file, wherever this program was installed: the run directory
// is passable, a build directory may not be.
Result<std::string> ProvideVinit(const std::string& from, const std::string& run_dir) {
  ASSIGN_OR_RETURN(const std::string program, ReadFile(from + "/vinit"));
  const std::string path = run_dir + "/vinit";
  const auto present = ReadFile(path);
  // Left alone when it is the same: running nodes have it mounted, and all share its one page.
  if (!present.ok() || *present != program) {
    RETURN_IF_ERROR(WriteFileAtomically(path, program, 0755));
  }
  return path;
}

// One vclusterd per state directory. Held until the process ends.
Result<UniqueFd> LockState(const std::string& state_dir) {
  const std::string path = state_dir + "/vclusterd/lock";
  RETURN_IF_ERROR(MakeDirectories(state_dir + "/vclusterd"));
  ASSIGN_OR_RETURN(UniqueFd lock, Open(path, O_RDWR | O_CREAT, 0600));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Errno("lock " + path);
    return Error(Code::kFailedPrecondition, "another vclusterd serves " + state_dir);
  }
  return lock;
}

Status ChooseVolumes(const Flags& flags, HostConfig* config) {
  config->lvm_pool = flags.volume_pool;
  config->disk_bytes_default = flags.volume_size;
  if (flags.volumes.empty()) {
    config->volumes = flags.volume_pool.empty() ? layerfs::PickVolumeKind(flags.state_dir)
                                                : layerfs::VolumeKind::kLvmThin;
  } else {
    ASSIGN_OR_RETURN(config->volumes, layerfs::ParseVolumeKind(flags.volumes));
  }
  if ((config->volumes == layerfs::VolumeKind::kLvmThin) == flags.volume_pool.empty()) {
    return Error(Code::kInvalidArgument, "--volumes lvm-thin and --volume-pool go together");
  }
  if (flags.volume_size != 0) {
    RETURN_IF_ERROR(layerfs::CheckVolumeSize(flags.volume_size), "--volume-size");
    if (config->volumes == layerfs::VolumeKind::kNone) {
      return Error(Code::kUnsupported, "--volume-size: no kind of volume works here");
    }
  }
  return Ok();
}

Result<HostConfig> MakeConfig(const Flags& flags) {
  ASSIGN_OR_RETURN(const std::string programs, ProgramDirectory());
  HostConfig config;
  config.state_dir = flags.state_dir;
  config.id_first = flags.id_base;
  config.record_starts = std::chrono::seconds(flags.record_starts_s);
  config.layerfs_binary = programs + "/layerfs";
  config.object_mount = layerfs::ObjectMountSpec{.mountpoint = flags.run_dir + "/objects",
                                                 .imaged_socket = flags.imaged_socket,
                                                 .binary = programs + "/layerfs-objects"};
  ASSIGN_OR_RETURN(config.pool, net::Ipv4Prefix::Parse(flags.subnet_pool));
  if (config.pool.length > net::kClusterPrefixLength || config.pool.length < 8) {
    return Error(Code::kInvalidArgument, "--subnet-pool is a /8 to /24");
  }
  if (flags.id_base < kIdCount) {
    return Error(Code::kInvalidArgument, "--id-base is at least 65536");
  }
  RETURN_IF_ERROR(MakeDirectories(flags.run_dir));
  config.host.run_dir = flags.run_dir;
  config.host.instance = Hasher::Of(flags.state_dir).Hex().substr(0, net::kInstanceDigits);
  config.host.node_binary = programs + "/strata-node";
  config.host.unified_cgroups = HasUnifiedCgroups();
  ASSIGN_OR_RETURN(config.host.vinit, ProvideVinit(programs, flags.run_dir));
  if (flags.driver.empty()) {
    ASSIGN_OR_RETURN(config.driver, layerfs::PickDriver(flags.state_dir));
  } else {
    ASSIGN_OR_RETURN(config.driver, layerfs::ParseDriver(flags.driver));
  }
  RETURN_IF_ERROR(ChooseVolumes(flags, &config));
  return config;
}

// A path that stays the same whatever the working directory is, without symbolic links: the
// instance's name is made from it.
Result<std::string> Canonical(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectories(path));
  return CanonicalPath(path);
}

Status Serve(Flags flags) {
  if (::geteuid() != 0) return Error(Code::kPermissionDenied, "vclusterd runs as root");
  ASSIGN_OR_RETURN(flags.state_dir, Canonical(flags.state_dir));
  ASSIGN_OR_RETURN(flags.run_dir, Canonical(flags.run_dir));
  if (flags.imaged_socket.empty()) flags.imaged_socket = ImagedSocket(flags.run_dir);
  ASSIGN_OR_RETURN(const UniqueFd lock, LockState(flags.state_dir));
  ASSIGN_OR_RETURN(const HostConfig config, MakeConfig(flags));
  ASSIGN_OR_RETURN(const auto images, imaged::HostImageClient::Connect(flags.imaged_socket));
  ASSIGN_OR_RETURN(const auto store, OpenDesiredState(flags.state_dir));
  ASSIGN_OR_RETURN(const auto host, SingleHost::Open(config, *images, *store));
  if (flags.down) {
    RETURN_IF_ERROR(host->clusters().DeleteAll(/*force=*/true));
    return Unmount(config.object_mount->mountpoint, /*lazy=*/true);
  }
  ASSIGN_OR_RETURN(
      const auto server,
      rpc::LocalServer::Start(VclusterdSocket(flags.run_dir), [&](const rpc::Caller& caller) {
        std::vector<std::unique_ptr<grpc::Service>> services;
        services.push_back(MakeVclusterService(host->clusters(), caller));
        return services;
      }));
  LOG_INFO("serves " + VclusterdSocket(flags.run_dir) + ", driver " +
           std::string(layerfs::DriverName(config.driver)) + ", volumes " +
           std::string(layerfs::VolumeKindName(config.volumes)));
  rpc::WaitForStopSignal();
  server->Shutdown(kShutdownGrace);
  LOG_INFO("ends; the nodes run on");
  return Ok();
}

}  // namespace
}  // namespace strata::vcluster

int main(int argc, char** argv) {
  strata::vcluster::Flags flags;
  CLI::App app("Runs the Vclusters of this host");
  app.add_option("--state-dir", flags.state_dir, "Durable state")->capture_default_str();
  app.add_option("--run-dir", flags.run_dir, "Sockets and what a reboot may forget")
      ->capture_default_str();
  app.add_option("--imaged", flags.imaged_socket, "imaged's socket (RUN_DIR/imaged.sock)");
  app.add_option("--subnet-pool", flags.subnet_pool, "Each Vcluster gets a /24 of it")
      ->capture_default_str();
  app.add_option("--id-base", flags.id_base, "First user id for containers")->capture_default_str();
  app.add_option("--driver", flags.driver, "kernel or fuse (the better one that works here)");
  app.add_option("--volumes", flags.volumes,
                 "none, project, btrfs, lvm-thin or loop, for nodes with a limit of disk (the best "
                 "one that works here)");
  app.add_option("--volume-pool", flags.volume_pool, "lvm-thin: GROUP/POOL, a thin pool");
  app.add_option("--volume-size", flags.volume_size,
                 "Limit of disk of nodes whose user says none, such as 10GiB (0: no limit)")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false));
  app.add_option("--record-starts", flags.record_starts_s,
                 "Seconds for which the first start of an image is watched, so that lazy copies of "
                 "it get first what a start needs (0: never)")
      ->capture_default_str();
  app.add_flag("--down", flags.down, "Stop and delete everything of this state directory, and end");
  CLI11_PARSE(app, argc, argv);
  strata::InitLog("vclusterd", strata::LogLevel::kInfo);
  ::signal(SIGPIPE, SIG_IGN);
  strata::rpc::BlockStopSignals();
  try {
    const strata::Status status = strata::vcluster::Serve(flags);
    if (status.ok()) return 0;
    LOG_ERROR(status.error().message());
  } catch (const std::exception& error) {
    LOG_ERROR(std::string("unexpected: ") + error.what());
  }
  return 1;
}
