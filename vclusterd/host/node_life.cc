#include "vclusterd/host/node_life.h"

#include <utility>

#include "common/log.h"
#include "migrate/diff_rounds.h"
#include "vclusterd/runtime/node_config.h"
#include "vclusterd/volumes/shared_dir.h"

namespace strata::vcluster {
namespace {

using host::v1::LocalNode;
using Clock = std::chrono::steady_clock;

// Checked when it was written and when it was read.
layerfs::VolumeKind KindOf(const LocalNode& local) {
  return layerfs::ParseVolumeKind(local.volume()).value_or(layerfs::VolumeKind::kNone);
}

imaged::SaveParameters SaveOf(const layerfs::RootSpec& root, const SaveNodeParameters& parameters) {
  imaged::SaveParameters save;
  save.upper_dir = root.upper_dir;
  save.work_dir = root.work_dir;
  save.id_shift_first = root.id_shift->first_id;
  save.id_shift_count = root.id_shift->count;
  save.origin = parameters.origin;
  save.on_behalf_of_uid = parameters.on_behalf_of_uid;
  save.reference = parameters.reference;
  save.description = parameters.description;
  save.is_public = parameters.is_public;
  save.replace = parameters.replace;
  save.command_line = parameters.command_line;
  save.scrub = parameters.scrub;
  return save;
}

// Volumes that are file systems of their own have a device that nobody else writes to.
bool HasOwnDevice(const LocalNode& local) {
  const layerfs::VolumeKind kind = KindOf(local);
  return kind == layerfs::VolumeKind::kLoop || kind == layerfs::VolumeKind::kLvmThin;
}

Result<IoDevices> DevicesOf(const LocalNode& local, const std::string& volume) {
  return IoDevicesOf(volume, HasOwnDevice(local), {local.objects_dir(), local.tree_path()});
}

}  // namespace

NodeLife::NodeLife(const HostConfig& config, imaged::HostImageClient& images, NodeRuntime runtime)
    : config_(config),
      images_(images),
      runtime_(std::move(runtime)),
      volumes_({.state_dir = config_.state_dir,
                .run_dir = config_.host.run_dir,
                .kind = config_.volumes,
                .lvm_pool = config_.lvm_pool,
                .lvm_prefix = "s" + config_.host.instance}),
      recordings_(images, config_.record_starts) {}

Result<std::unique_ptr<NodeLife>> NodeLife::Create(const HostConfig& config,
                                                   imaged::HostImageClient& images) {
  ASSIGN_OR_RETURN(NodeRuntime runtime, NodeRuntime::Create(config.host));
  return std::unique_ptr<NodeLife>(new NodeLife(config, images, std::move(runtime)));
}

Status NodeLife::Recover(const std::set<std::pair<layerfs::VolumeKind, std::string>>& known,
                         bool keep_unknown) {
  return volumes_.Recover(known, keep_unknown);
}

layerfs::RootSpec NodeLife::RootSpecOf(const LocalNode& local, uint32_t id_first,
                                       const std::string& volume) const {
  layerfs::RootSpec spec;
  spec.tree_path = local.tree_path();
  spec.objects_dir = local.objects_dir();
  spec.upper_dir = volume + "/upper";
  spec.work_dir = volume + "/work";
  spec.id_shift = layerfs::IdShift{id_first, kIdCount};
  spec.object_mount = config_.object_mount;
  return spec;
}

Result<imaged::AcquiredRoot> NodeLife::Acquire(const std::string& id, uint32_t owner_uid,
                                               const host::v1::NodeOrder& order,
                                               const CancelToken& cancel) {
  if (!order.has_arrival()) {
    ASSIGN_OR_RETURN(
        imaged::AcquiredRoot root,
        images_.AcquireRoot(order.image(), order.has_image_uid() ? order.image_uid() : owner_uid,
                            {LeaseOf(id)}));
    return root;
  }
  const host::v1::Arrival& arrival = order.arrival();
  RETURN_IF_ERROR(images_.PullImage(arrival.host(), arrival.reference(), cancel),
                  "what it wrote on host " + arrival.host());
  ASSIGN_OR_RETURN(imaged::AcquiredRoot root,
                   images_.AcquireRoot(arrival.reference(), /*on_behalf_of_uid=*/0, {LeaseOf(id)}));
  root.reference = arrival.image();
  root.start_unknown = false;
  return root;
}

Result<imaged::AcquiredRoot> NodeLife::AcquireRoots(const std::vector<std::string>& ids,
                                                    const std::string& image, uint32_t uid) {
  std::vector<std::string> leases;
  for (const std::string& id : ids) leases.push_back(LeaseOf(id));
  return images_.AcquireRoot(image, uid, leases);
}

Status NodeLife::Make(const std::string& id, uint32_t owner_uid, const host::v1::NodeOrder& order,
                      std::optional<imaged::AcquiredRoot> acquired, LocalNode* local,
                      bool* start_unknown, const CancelToken& cancel) {
  const uint64_t disk_bytes =
      order.limits().default_disk() ? config_.disk_bytes_default : order.limits().disk_bytes();
  ASSIGN_OR_RETURN(const layerfs::VolumeKind kind, volumes_.KindFor(disk_bytes));
  if (!acquired.has_value()) {
    ASSIGN_OR_RETURN(acquired, Acquire(id, owner_uid, order, cancel));
  }
  const imaged::AcquiredRoot& root = *acquired;
  if (order.has_arrival()) local->set_created(order.arrival().created());
  local->set_image(root.reference);
  local->set_image_digest(root.image_digest);
  local->set_tree_path(root.tree_path);
  local->set_objects_dir(root.objects_dir);
  local->mutable_command()->Assign(root.command.begin(), root.command.end());
  local->mutable_env()->Assign(root.env.begin(), root.env.end());
  local->set_driver(order.driver().empty() ? std::string(layerfs::DriverName(config_.driver))
                                           : order.driver());
  local->set_volume(std::string(layerfs::VolumeKindName(kind)));
  local->set_disk_bytes(disk_bytes);
  *start_unknown = root.start_unknown;
  return volumes_.Create(kind, id, disk_bytes);
}

Result<std::vector<UniqueFd>> NodeLife::MountVolumes(const NodeSpec& spec) const {
  std::vector<UniqueFd> mounts;
  if (spec.volumes.empty()) return mounts;
  if (config_.shared_dir.empty()) {
    return Error(
        Code::kUnsupported,
        "it mounts volumes, and this host has none: start its vclusterd with --shared-dir");
  }
  ASSIGN_OR_RETURN(const SharedDir shared, SharedDir::Open(config_.shared_dir), "volumes");
  RETURN_IF_ERROR(shared.Check(spec.shared_id), "volumes");
  for (const VolumeSpec& volume : spec.volumes) {
    ASSIGN_OR_RETURN(
        UniqueFd mount,
        shared.Mount(volume.directory, spec.owner_uid, spec.id_first, volume.read_only),
        "volume " + volume.name);
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

Result<NodeRecord> NodeLife::Start(const NodeSpec& spec, const LocalNode& local, bool watched) {
  ASSIGN_OR_RETURN(const std::string volume, volumes_.Activate(KindOf(local), spec.id));
  const layerfs::RootSpec root_spec = RootSpecOf(local, spec.id_first, volume);
  RETURN_IF_ERROR(layerfs::PrepareUpper(root_spec));
  ASSIGN_OR_RETURN(const layerfs::Driver driver, layerfs::ParseDriver(local.driver()));
  ASSIGN_OR_RETURN(UniqueFd root,
                   layerfs::MountRoot(driver, root_spec, trees_, config_.layerfs_binary));
  ASSIGN_OR_RETURN(std::vector<UniqueFd> volumes, MountVolumes(spec));
  if (watched) {
    recordings_.Begin(root_spec.tree_path, LeaseOf(spec.id), root.get(),
                      config_.host.NodeDir(spec.id) + "/root");
  }
  ASSIGN_OR_RETURN(const NodeRecord record,
                   runtime_.Start(spec, std::move(root), std::move(volumes)));
  if (Status limited = StartIoLimit(spec, local, volume, record); !limited.ok()) {
    RETURN_IF_ERROR(runtime_.Stop(spec.id, record, std::chrono::milliseconds(0)));
    return limited.error();
  }
  return record;
}

// Without a limit, the volume's device may still have that of another node, when vclusterd was
// killed before it could take it away.
Status NodeLife::StartIoLimit(const NodeSpec& spec, const LocalNode& local,
                              const std::string& volume, const NodeRecord& record) const {
  const uint64_t bytes_per_s = spec.limits.io_bytes_per_s;
  if (bytes_per_s != 0) return LimitIoOn(local, volume, record, bytes_per_s);
  if (!HasOwnDevice(local)) return Ok();
  const auto devices = DevicesOf(local, volume);
  return devices.ok() ? ForgetIoLimit(*devices) : Ok();
}

Status NodeLife::LimitIo(const std::string& id, const LocalNode& local, const NodeRecord& record,
                         uint64_t bytes_per_s) {
  ASSIGN_OR_RETURN(const std::string volume, volumes_.Activate(KindOf(local), id));
  return LimitIoOn(local, volume, record, bytes_per_s);
}

Status NodeLife::LimitIoOn(const LocalNode& local, const std::string& volume,
                           const NodeRecord& record, uint64_t bytes_per_s) {
  const auto devices = DevicesOf(local, volume);
  if (!devices.ok()) return bytes_per_s == 0 ? Ok() : Status(devices.error());
  if (bytes_per_s != 0 && local.driver() != layerfs::DriverName(layerfs::Driver::kKernel)) {
    return Error(Code::kUnsupported,
                 "limits: io needs the kernel driver: the server of a fuse root reads and writes "
                 "beside its node's processes (docs/isolation.md)");
  }
  return LimitIoOf(record.init.pid, *devices, bytes_per_s);
}

Result<uint64_t> NodeLife::Stop(const std::string& id, const LocalNode& local,
                                const std::optional<NodeRecord>& record,
                                std::chrono::milliseconds grace) {
  RETURN_IF_ERROR(runtime_.Stop(id, record, grace), "node " + id);
  uint64_t used_bytes = 0;
  if (Status status = LetVolumeGo(id, local, &used_bytes); !status.ok()) {
    // It is stopped all the same; the next start finds the volume active.
    LOG_WARNING("node " + id + ": " + status.error().message());
  }
  return used_bytes;
}

// REQUIRES: the node does not run and is not being saved.
Status NodeLife::LetVolumeGo(const std::string& id, const LocalNode& local, uint64_t* used_bytes) {
  const layerfs::VolumeKind kind = KindOf(local);
  if (kind == layerfs::VolumeKind::kNone) return Ok();
  if (const auto usage = volumes_.Usage(kind, id); usage.ok()) {
    *used_bytes = usage->used_bytes;
    // It is active, and its device is another's soon.
    ASSIGN_OR_RETURN(const std::string volume, volumes_.Activate(kind, id));
    if (const auto devices = DevicesOf(local, volume); devices.ok()) {
      RETURN_IF_ERROR(ForgetIoLimit(*devices));
    }
  }
  return volumes_.Deactivate(kind, id);
}

Status NodeLife::Remove(const std::string& id, const LocalNode& local, bool force) {
  RETURN_IF_ERROR(volumes_.Remove(KindOf(local), id));
  Status released = images_.ReleaseRoot(LeaseOf(id));
  if (released.ok() || released.error().code() == Code::kNotFound) return Ok();
  if (!force) return released;
  LOG_WARNING("the lease of node " + id + " stays: " + released.error().message());
  return Ok();
}

Result<std::string> NodeLife::Depart(const std::string& id, const LocalNode& local,
                                     uint32_t id_first, const std::string& name,
                                     const CancelToken& cancel) {
  // One that came from elsewhere, and was never started here, has no upper yet.
  ASSIGN_OR_RETURN(const std::string volume, volumes_.Activate(KindOf(local), id));
  RETURN_IF_ERROR(layerfs::PrepareUpper(RootSpecOf(local, id_first, volume)));
  SaveNodeParameters parameters;
  parameters.origin = "move of node " + id;
  parameters.reference = name;
  parameters.description = "a node on its way to another host";
  parameters.replace = true;
  parameters.scrub = imaged::ScrubMode::kNever;  // Nobody but the node itself gets it.
  ASSIGN_OR_RETURN(const SaveNodeResult saved,
                   Save(
                       id, local, id_first, std::nullopt, parameters,
                       [](const std::string&, uint32_t, uint32_t) {}, cancel));
  const std::string& reference = saved.image.reference;
  return reference.substr(0, reference.rfind(':')) + "@" + saved.image.digest;
}

Status NodeLife::Resize(const std::string& id, const LocalNode& local, uint64_t disk_bytes) {
  return volumes_.Resize(KindOf(local), id, disk_bytes);
}

Result<uint64_t> NodeLife::UsedBytes(const std::string& id, const LocalNode& local) {
  ASSIGN_OR_RETURN(const layerfs::VolumeUsage usage, volumes_.Usage(KindOf(local), id));
  return usage.used_bytes;
}

std::optional<std::string> NodeLife::BrokenRoot(const std::string& id, const LocalNode& local) {
  const auto volume = volumes_.Activate(KindOf(local), id);
  if (!volume.ok()) return std::nullopt;
  return layerfs::BrokenReason(*volume + "/upper");
}

Result<std::unique_ptr<NodeSave>> NodeLife::BeginSave(const std::string& id, const LocalNode& local,
                                                      uint32_t id_first,
                                                      const std::optional<NodeRecord>& record,
                                                      const SaveNodeParameters& parameters) {
  const bool running = record.has_value() && NodeRuntime::IsRunning(*record);
  ASSIGN_OR_RETURN(const std::string volume, volumes_.Activate(KindOf(local), id));
  const auto let_go = [this, id, local, running] {
    uint64_t used_bytes = 0;
    if (running) return;
    if (Status gone = LetVolumeGo(id, local, &used_bytes); !gone.ok()) {
      LOG_WARNING("after a save: " + gone.error().message());
    }
  };
  imaged::SaveParameters request = SaveOf(RootSpecOf(local, id_first, volume), parameters);
  request.lease = LeaseOf(id);
  auto session = images_.StartSave(request);
  if (!session.ok()) {
    let_go();
    return session.error();
  }
  return std::make_unique<NodeSave>(runtime_, running ? record : std::nullopt, std::move(*session),
                                    let_go);
}

Result<SaveNodeResult> NodeLife::Save(const std::string& id, const LocalNode& local,
                                      uint32_t id_first, const std::optional<NodeRecord>& record,
                                      const SaveNodeParameters& parameters,
                                      const ProgressFn& progress, const CancelToken& cancel) {
  const auto start = Clock::now();
  ASSIGN_OR_RETURN(const auto save, BeginSave(id, local, id_first, record, parameters));
  migrate::Rounds rounds;
  rounds.first = [&] {
    progress("copy", 0, 3);
    return save->FirstRound();
  };
  rounds.second = [&]() -> Status {
    RETURN_IF_ERROR(cancel.Check());
    return save->SecondRound();
  };
  ASSIGN_OR_RETURN(const migrate::RoundTimes times,
                   migrate::RunDiffRounds(*save, save->running(), rounds));
  RETURN_IF_ERROR(cancel.Check());
  progress("publish", 2, 3);
  SaveNodeResult result;
  ASSIGN_OR_RETURN(result.image, save->Finish());
  result.stall = times.stall;
  result.total = Clock::now() - start;
  return result;
}

Result<Subprocess> NodeLife::Exec(const ExecTarget& target, const ExecParameters& parameters,
                                  int in, int out, int err) const {
  ExecNodeRequest request;
  request.argv = parameters.argv;
  request.env = NodeEnvironment(target.env, parameters.env);
  request.working_directory = parameters.working_directory;
  request.uid = parameters.uid;
  request.gid = parameters.gid;
  request.terminal = parameters.terminal;
  return runtime_.Exec(target.id, std::move(request), in, out, err);
}

}  // namespace strata::vcluster
