#include "vclusterd/daemon/settings.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "common/file_io.h"
#include "layerfs/volume/probe_volumes.h"
#include "net/apply.h"
#include "net/forwarding.h"
#include "net/subnets.h"
#include "vclusterd/runtime/apparmor.h"
#include "vclusterd/runtime/cgroups.h"
#include "vclusterd/runtime/isolation.h"
#include "vclusterd/volumes/shared_dir.h"

namespace strata::vcluster {
namespace {

// Containers must be able to reach the file, wherever this program was installed: the run directory
// is passable, a build directory may not be.
Result<std::string> Provide(const std::string& name, const std::string& from,
                            const std::string& run_dir) {
  ASSIGN_OR_RETURN(const std::string program, ReadFile(from + "/" + name));
  const std::string path = run_dir + "/" + name;
  const auto present = ReadFile(path);
  // Left alone when it is the same: running nodes have it mounted, and all share its one page.
  if (!present.ok() || *present != program) {
    RETURN_IF_ERROR(WriteFileAtomically(path, program, 0755));
  }
  return path;
}

Status ChooseVolumes(const Settings& settings, HostConfig* config) {
  config->lvm_pool = settings.volume_pool;
  config->disk_bytes_default = settings.volume_size;
  if (settings.volumes.empty()) {
    config->volumes = settings.volume_pool.empty() ? layerfs::PickVolumeKind(settings.state_dir)
                                                   : layerfs::VolumeKind::kLvmThin;
  } else {
    ASSIGN_OR_RETURN(config->volumes, layerfs::ParseVolumeKind(settings.volumes));
  }
  if ((config->volumes == layerfs::VolumeKind::kLvmThin) == settings.volume_pool.empty()) {
    return Error(Code::kInvalidArgument, "--volumes lvm-thin and --volume-pool go together");
  }
  if (settings.volume_size != 0) {
    RETURN_IF_ERROR(layerfs::CheckVolumeSize(settings.volume_size), "--volume-size");
    if (config->volumes == layerfs::VolumeKind::kNone) {
      return Error(Code::kUnsupported, "--volume-size: no kind of volume works here");
    }
  }
  return Ok();
}

// A path that stays the same whatever the working directory is, without symbolic links: the
// instance's name is made from it.
Result<std::string> Canonical(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectories(path));
  return CanonicalPath(path);
}

Status CheckSharedDir(Settings* settings) {
  if (settings->shared_dir.empty()) return Ok();
  // Never made: a file system that is not mounted must not look like an empty directory.
  ASSIGN_OR_RETURN(settings->shared_dir, CanonicalPath(settings->shared_dir), "--shared-dir");
  RETURN_IF_ERROR(SharedDir::Open(settings->shared_dir), "--shared-dir");
  return Ok();
}

}  // namespace

Result<std::string> ProgramDirectory() {
  char path[4096];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof(path));
  if (n <= 0 || n == sizeof(path)) return Errno("readlink /proc/self/exe");
  const std::string program(path, static_cast<size_t>(n));
  return program.substr(0, program.rfind('/'));
}

Status MakePathsCanonical(Settings* settings) {
  ASSIGN_OR_RETURN(settings->state_dir, Canonical(settings->state_dir));
  ASSIGN_OR_RETURN(settings->run_dir, Canonical(settings->run_dir));
  if (settings->imaged_socket.empty()) settings->imaged_socket = ImagedSocket(settings->run_dir);
  if (settings->vnetd_socket.empty()) settings->vnetd_socket = VnetdSocket(settings->run_dir);
  return CheckSharedDir(settings);
}

Result<UniqueFd> LockState(const std::string& state_dir, const std::string& kind) {
  const std::string directory = state_dir + "/vclusterd";
  // The name that the first versions used, for the process that has nodes.
  const std::string path = directory + (kind == "master" ? "/master.lock" : "/lock");
  RETURN_IF_ERROR(MakeDirectories(directory));
  ASSIGN_OR_RETURN(UniqueFd lock, Open(path, O_RDWR | O_CREAT, 0600));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Errno("lock " + path);
    return Error(Code::kFailedPrecondition, "another " + kind + " serves " + state_dir);
  }
  return lock;
}

Result<std::vector<net::Ipv4Prefix>> ReservedSubnets(const Settings& settings) {
  std::vector<net::Ipv4Prefix> reserved;
  for (const std::string& text : settings.subnets_reserved) {
    ASSIGN_OR_RETURN(reserved.emplace_back(), net::Ipv4Prefix::Parse(text), "--subnet-reserve");
  }
  return reserved;
}

Result<std::optional<net::Ipv6Prefix>> ChoosePool6(const Settings& settings,
                                                   const std::string& seed) {
  const bool automatic = settings.subnet_pool6 == "auto";
  if (settings.subnet_pool6 == "none") return std::optional<net::Ipv6Prefix>();
  net::Ipv6Prefix pool = net::Pool6For(seed);
  if (!automatic) {
    ASSIGN_OR_RETURN(pool, net::ParsePool6(settings.subnet_pool6), "--subnet-pool6");
  }
  if (!net::HasIpv6()) {
    LOG_INFO("this host has no IPv6: its nodes have IPv4 alone");
    return std::optional<net::Ipv6Prefix>();
  }
  ASSIGN_OR_RETURN(const auto links, net::ObserveLinks());
  for (const net::ObservedLink& link : links) {
    if (link.name.starts_with("s" + net::InstanceOf(settings.state_dir))) continue;
    for (const net::IpAddress& address : link.addresses6) {
      if (!pool.Contains(address)) continue;
      const Error taken(Code::kFailedPrecondition,
                        "link " + link.name + " has " + address.ToString() +
                            ", which is in the pool of IPv6, " + pool.ToString() +
                            ": start all hosts with another --subnet-pool6, or none");
      if (!automatic) return taken;
      LOG_WARNING("nodes have IPv4 alone: " + taken.message());
      return std::optional<net::Ipv6Prefix>();
    }
  }
  return std::optional(pool);
}

Result<HostConfig> MakeHostConfig(const Settings& settings) {
  ASSIGN_OR_RETURN(const std::string programs, ProgramDirectory());
  HostConfig config;
  config.state_dir = settings.state_dir;
  config.vnetd_socket = settings.vnetd_socket;
  config.shared_dir = settings.shared_dir;
  config.id_first = settings.id_base;
  config.record_starts = std::chrono::seconds(settings.record_starts_s);
  config.layerfs_binary = programs + "/layerfs";
  config.object_mount = layerfs::ObjectMountSpec{.mountpoint = settings.run_dir + "/objects",
                                                 .imaged_socket = settings.imaged_socket,
                                                 .binary = programs + "/layerfs-objects"};
  ASSIGN_OR_RETURN(config.pool, net::Ipv4Prefix::Parse(settings.subnet_pool));
  ASSIGN_OR_RETURN(config.reserved, ReservedSubnets(settings));
  if (config.pool.length > net::kClusterPrefixLength || config.pool.length < 8) {
    return Error(Code::kInvalidArgument, "--subnet-pool is a /8 to /24");
  }
  if (settings.id_base < kIdCount) {
    return Error(Code::kInvalidArgument, "--id-base is at least 65536");
  }
  RETURN_IF_ERROR(MakeDirectories(settings.run_dir));
  config.host.run_dir = settings.run_dir;
  config.host.instance = net::InstanceOf(settings.state_dir);
  config.host.node_binary = programs + "/strata-node";
  config.host.unified_cgroups = HasUnifiedCgroups();
  struct sysinfo memory = {};
  if (::sysinfo(&memory) != 0) return Errno("sysinfo");
  config.host.memory_bytes_max = NodeMemoryMax(uint64_t{memory.totalram} * memory.mem_unit);
  RaiseSharedCounters();
  ASSIGN_OR_RETURN(config.host.apparmor_profile, LoadNodeProfile(settings.run_dir));
  ASSIGN_OR_RETURN(config.host.vinit, Provide("vinit", programs, settings.run_dir));
  ASSIGN_OR_RETURN(config.host.command, Provide("strata-in-node", programs, settings.run_dir));
  if (settings.driver.empty()) {
    ASSIGN_OR_RETURN(config.driver, layerfs::PickDriver(settings.state_dir));
  } else {
    ASSIGN_OR_RETURN(config.driver, layerfs::ParseDriver(settings.driver));
  }
  RETURN_IF_ERROR(ChooseVolumes(settings, &config));
  return config;
}

}  // namespace strata::vcluster
