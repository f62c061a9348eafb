#include "layerfs/probe.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "common/file_io.h"
#include "common/mount.h"
#include "common/xattr.h"
#include "layerfs/fuse_probe.h"
#include "layerfs/kernel_root.h"
#include "layerfs/sample_root.h"
#include "layerfs/volume/ext4.h"
#include "layerfs/volume/probe_volumes.h"

namespace strata::layerfs {
namespace {

using Findings = std::vector<Finding>;

constexpr long kXfsMagic = 0x58465342;

Finding FromStatus(std::string name, const Status& status, std::string detail,
                   std::string meaning) {
  return {std::move(name), status.ok(), status.ok() ? std::move(detail) : status.error().message(),
          std::move(meaning)};
}

Status ToStatus(const Result<UniqueFd>& result) {
  if (!result.ok()) return result.error();
  return Ok();
}

void ProbeFuseFeatures(const SampleRoot& sample, Findings* findings) {
  const auto fuse = ProbeFuse(sample.object_path());
  const bool works = fuse.ok();
  const FuseFeatures features = works ? *fuse : FuseFeatures{};
  const std::string missing = works ? "not offered" : fuse.error().message();
  findings->push_back({"fuse", works,
                       works ? "protocol " + std::to_string(features.protocol_major) + "." +
                                   std::to_string(features.protocol_minor)
                             : missing,
                       "no fuse driver and no lazy start: only complete images, kernel driver"});
  findings->push_back({"fuse.passthrough", features.passthrough,
                       features.passthrough ? "read through a backing file"
                                            : (works ? features.passthrough_error : missing),
                       "fuse driver: every read and write goes through layerfs, 1.1 to 7 times "
                       "slower, and containers do not share page cache (needs Linux 6.9)"});
  findings->push_back({"fuse.idmap", features.id_map, features.id_map ? "offered" : missing,
                       "a FUSE mount cannot be idmapped; layerfs shifts ids itself (Linux 6.12)"});
  findings->push_back({"fuse.resend", features.resend, features.resend ? "offered" : missing,
                       "a replaced layerfs cannot repeat requests in flight (Linux 6.9)"});
  findings->push_back({"fuse.io_uring", features.io_uring, features.io_uring ? "offered" : missing,
                       "metadata requests of the fuse driver cost more (Linux 6.14, "
                       "fuse.enable_uring=1)"});
}

void ProbeTreeMounts(const SampleRoot& sample, Findings* findings) {
  const RootSpec& spec = sample.spec();
  const auto file = MountTree(spec.tree_path, TreeBacking::kFile);
  findings->push_back(FromStatus("erofs.file_backed", ToStatus(file), "mounted",
                                 "each mounted tree takes a loop device (Linux 6.12)"));
  const auto tree =
      file.ok() ? MountTree(spec.tree_path) : MountTree(spec.tree_path, TreeBacking::kLoop);
  findings->push_back(FromStatus("erofs", ToStatus(tree), "mounted",
                                 "no kernel driver: images are mounted by the fuse driver"));
  if (!tree.ok()) return;
  const auto copy = CloneTree(tree->get(), std::nullopt);
  findings->push_back(FromStatus("mount.detached_copies", ToStatus(copy), "copied",
                                 "each root mounts its tree anew instead of sharing it (Linux "
                                 "6.15)"));
  findings->push_back(FromStatus(
      "mount.idmapped", ShiftMountIds(tree->get(), spec.id_shift->first_id, spec.id_shift->count),
      "ids shifted by " + std::to_string(spec.id_shift->first_id),
      "no unprivileged containers on the kernel driver; the fuse driver shifts ids itself"));
}

Status TouchUnion(int root) {
  ASSIGN_OR_RETURN(UniqueFd file, OpenAt(root, "file", O_RDONLY));
  ASSIGN_OR_RETURN(const std::string content, ReadAll(file.get(), kSampleContent.size()));
  if (content != kSampleContent) return Error(Code::kUnsupported, "the content is wrong");
  return Ok();
}

Status CheckMetacopy(int root, const std::string& upper) {
  if (::fchmodat(root, "file", 0600, 0) != 0) return Errno("chmod");
  ASSIGN_OR_RETURN(const UniqueFd copied, Open(upper + "/file", O_RDONLY));
  RETURN_IF_ERROR(GetXattr(copied.get(), "trusted.overlay.metacopy"));
  return Ok();
}

Status CheckIndex(int root) {
  struct stat file, linked;
  if (::fstatat(root, "file", &file, 0) != 0 || ::fstatat(root, "linked", &linked, 0) != 0) {
    return Errno("stat");
  }
  if (linked.st_mode != file.st_mode || linked.st_nlink != 2) {
    return Error(Code::kUnsupported, "a hard link is broken by copy-up");
  }
  return Ok();
}

void ProbeOverlay(const SampleRoot& sample, Findings* findings) {
  const auto root = MountKernelRoot(sample.spec());
  Status lowers = ToStatus(root);
  if (lowers.ok()) lowers = TouchUnion(root->get());
  findings->push_back(FromStatus("overlay.data_only_lowers", lowers, "read through one",
                                 "no kernel driver (Linux 6.5)"));
  if (!root.ok()) return;
  findings->push_back(FromStatus("overlay.metacopy",
                                 CheckMetacopy(root->get(), sample.spec().upper_dir),
                                 "chmod copied no data", "chmod and chown copy whole files"));
  findings->push_back(FromStatus("overlay.index", CheckIndex(root->get()),
                                 "hard links survive copy-up",
                                 "hard links of the image break when one name is changed"));
}

void ProbeVolumes(const std::string& state_dir, Findings* findings) {
  const auto probe = [&](std::string name, VolumeKind kind, std::string detail,
                         std::string meaning) {
    findings->push_back(FromStatus(std::move(name), ProbeVolumeKind(kind, state_dir),
                                   std::move(detail), std::move(meaning)));
  };
  probe("quota.project", VolumeKind::kProject, "enforced",
        "disk limits of nodes need another kind of volume (ext4, xfs: mount with prjquota)");
  probe("quota.btrfs", VolumeKind::kBtrfs, "quotas are on",
        "no qgroups as disk limits, no snapshots of volumes");
  probe("quota.loop", VolumeKind::kLoop, "made, mounted and limited an image",
        "no image files as volumes");
  probe("quota.lvm_thin", VolumeKind::kLvmThin, "device-mapper and LVM are there",
        "no LVM thin volumes");
  findings->push_back({"quota.grow_online", MayGrowExt4Online(),
                       MayGrowExt4Online() ? "CAP_SYS_RESOURCE" : "no CAP_SYS_RESOURCE",
                       "loop and lvm-thin volumes of running nodes grow to 4 times their first "
                       "limit at most"});
}

void ProbeUserNamespaces(Findings* findings) {
  const auto limit = ReadFile("/proc/sys/user/max_user_namespaces", 64);
  const bool present = limit.ok() && *limit != "0\n";
  findings->push_back(
      {"user_namespaces", present,
       limit.ok() ? "limit " + limit->substr(0, limit->find('\n')) : limit.error().message(),
       "no unprivileged containers"});
}

std::string Joined(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string CgroupV1Controllers() {
  const auto table = ReadFile("/proc/cgroups", 1u << 16);
  std::string names;
  if (!table.ok()) return names;
  std::istringstream lines(*table);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name, hierarchy, count, enabled;
    fields >> name >> hierarchy >> count >> enabled;
    if (enabled == "1" && hierarchy != "0") names += (names.empty() ? "" : " ") + name;
  }
  return names;
}

void ProbeCgroups(Findings* findings) {
  struct statfs fs = {};
  const bool mounted = ::statfs("/sys/fs/cgroup", &fs) == 0;
  const bool unified = mounted && fs.f_type == CGROUP2_SUPER_MAGIC;
  const auto v2 = ReadFile("/sys/fs/cgroup/cgroup.controllers", 4096);
  const std::string names = unified && v2.ok() ? Joined(*v2) : CgroupV1Controllers();
  findings->push_back({"cgroup", mounted && !names.empty(),
                       std::string(unified ? "v2: " : "v1: ") + names, "no limits for containers"});
  for (const char* controller : {"cpu", "memory", "pids"}) {
    const bool there =
        (" " + names + " ").find(" " + std::string(controller) + " ") != std::string::npos;
    findings->push_back({std::string("cgroup.") + controller, there,
                         there ? "can be limited" : "not among the controllers",
                         std::string("no limit of ") + controller + " for containers"});
  }
}

std::string FileSystemName(const struct statfs& fs) {
  switch (fs.f_type) {
    case EXT4_SUPER_MAGIC:
      return "ext4";
    case BTRFS_SUPER_MAGIC:
      return "btrfs";
    case TMPFS_MAGIC:
      return "tmpfs";
    case OVERLAYFS_SUPER_MAGIC:
      return "overlayfs";
    case kXfsMagic:
      return "xfs";
    default: {
      std::ostringstream text;
      text << "magic 0x" << std::hex << fs.f_type;
      return text.str();
    }
  }
}

}  // namespace

Result<ProbeReport> Probe(const std::string& state_dir) {
  ProbeReport report;
  utsname name = {};
  if (::uname(&name) != 0) return Errno("uname");
  report.kernel = name.release;
  report.state_dir = state_dir;
  struct statfs fs = {};
  if (::statfs(state_dir.c_str(), &fs) != 0) return Errno("state directory " + state_dir);
  report.file_system = FileSystemName(fs);
  {
    ASSIGN_OR_RETURN(const SampleRoot sample, SampleRoot::Create(state_dir));
    ProbeFuseFeatures(sample, &report.findings);
    ProbeTreeMounts(sample, &report.findings);
    ProbeOverlay(sample, &report.findings);
  }
  ProbeUserNamespaces(&report.findings);
  ProbeVolumes(state_dir, &report.findings);
  report.volumes = PickVolumeKind(state_dir);
  ProbeCgroups(&report.findings);
  const auto driver = PickDriver(state_dir);
  if (driver.ok()) {
    report.driver = *driver;
  } else {
    report.no_driver_reason = driver.error().message();
  }
  return report;
}

std::string ProbeText(const ProbeReport& report) {
  std::ostringstream text;
  text << "kernel " << report.kernel << ", state directory " << report.state_dir << " on "
       << report.file_system << "\n";
  for (const Finding& finding : report.findings) {
    text << (finding.present ? "  yes  " : "  no   ") << finding.name << ": " << finding.detail
         << "\n";
    if (!finding.present) text << "       so: " << finding.meaning << "\n";
  }
  if (report.driver.has_value()) {
    text << "driver: " << DriverName(*report.driver) << "\n";
  } else {
    text << "driver: none: " << report.no_driver_reason << "\n";
  }
  text << "volumes: " << VolumeKindName(report.volumes) << "\n";
  return text.str();
}

std::string ProbeJson(const ProbeReport& report) {
  nlohmann::ordered_json json = {{"kernel", report.kernel},
                                 {"state_dir", report.state_dir},
                                 {"file_system", report.file_system},
                                 {"findings", nlohmann::ordered_json::array()}};
  for (const Finding& finding : report.findings) {
    json["findings"].push_back({{"name", finding.name},
                                {"present", finding.present},
                                {"detail", finding.detail},
                                {"meaning", finding.present ? "" : finding.meaning}});
  }
  if (report.driver.has_value()) {
    json["driver"] = DriverName(*report.driver);
  } else {
    json["driver"] = nullptr;
    json["no_driver_reason"] = report.no_driver_reason;
  }
  json["volumes"] = VolumeKindName(report.volumes);
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace strata::layerfs
