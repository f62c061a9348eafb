// One node: its image, its volume, its container; and saving it.
#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "common/file_io.h"
#include "common/log.h"
#include "migrate/diff_rounds.h"
#include "vclusterd/runtime/node_config.h"
#include "vclusterd/service/clusters.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;

class RunningNode final : public migrate::FreezableContainer {
 public:
  RunningNode(const NodeRuntime& runtime, std::optional<NodeRecord> record)
      : runtime_(runtime), record_(std::move(record)) {}
  Status Freeze() override { return runtime_.Freeze(*record_); }
  Status Thaw() override { return runtime_.Thaw(*record_); }

 private:
  const NodeRuntime& runtime_;
  const std::optional<NodeRecord> record_;
};

}  // namespace

layerfs::RootSpec Clusters::RootSpecOf(const ClusterState& state, size_t node,
                                       const std::string& volume) const {
  layerfs::RootSpec spec;
  spec.tree_path = state.nodes[node].tree_path;
  spec.objects_dir = state.nodes[node].objects_dir;
  spec.upper_dir = volume + "/upper";
  spec.work_dir = volume + "/work";
  spec.id_shift = layerfs::IdShift{state.id_first, kIdCount};
  spec.object_mount = config_.object_mount;
  return spec;
}

NodeSpec Clusters::NodeSpecOf(const ClusterState& state, size_t node) const {
  NodeSpec spec;
  spec.id = state.NodeId(node);
  for (size_t i = 0; i < state.nodes.size(); ++i) {
    spec.peers.push_back(
        {state.Hostname(i), state.prefix.Host(net::kFirstNodeHost + static_cast<uint32_t>(i))});
  }
  spec.self = spec.peers[node];
  spec.prefix = state.prefix;
  spec.gateway = state.prefix.Host(net::kGatewayHost);
  spec.bridge = net::BridgeName(config_.host.instance, state.number);
  spec.veth = net::VethName(config_.host.instance, state.number, static_cast<uint32_t>(node));
  spec.id_first = state.id_first;
  spec.limits = state.limits;
  spec.machine_id = state.nodes[node].machine_id;
  spec.ssh = state.ssh;
  spec.command = state.nodes[node].command;
  spec.env = state.nodes[node].env;
  return spec;
}

Status Clusters::AcquireImage(const ClusterPtr& cluster, size_t node) {
  std::string reference;
  std::string lease;
  uid_t owner;
  {
    const std::lock_guard lock(cluster->mutex);
    reference = cluster->state.nodes[node].image;
    lease = LeaseOf(cluster->state.NodeId(node));
    owner = cluster->state.owner_uid;
  }
  ASSIGN_OR_RETURN(imaged::AcquiredRoot root, images_.AcquireRoot(reference, owner, lease));
  const std::lock_guard lock(cluster->mutex);
  NodeState& state = cluster->state.nodes[node];
  state.image = root.reference;
  state.image_digest = root.image_digest;
  state.tree_path = root.tree_path;
  state.objects_dir = root.objects_dir;
  state.command = root.command;
  state.env = root.env;
  cluster->nodes[node]->start_unknown = root.start_unknown;
  return Ok();
}

Status Clusters::StartNode(const ClusterPtr& cluster, size_t node) {
  const auto start = Clock::now();
  ClusterState state;
  bool watched;
  {
    const std::lock_guard lock(cluster->mutex);
    state = cluster->state;
    watched = std::exchange(cluster->nodes[node]->start_unknown, false);
  }
  const std::string id = state.NodeId(node);
  // A save of the stopped node ends first.
  const std::lock_guard saving(cluster->nodes[node]->saving);
  const auto run = [&]() -> Result<NodeRecord> {
    ASSIGN_OR_RETURN(const std::string volume, volumes_.Activate(state.nodes[node].volume, id));
    const layerfs::RootSpec spec = RootSpecOf(state, node, volume);
    RETURN_IF_ERROR(layerfs::PrepareUpper(spec));
    ASSIGN_OR_RETURN(UniqueFd root, layerfs::MountRoot(state.nodes[node].driver, spec, trees_,
                                                       config_.layerfs_binary));
    if (watched) {
      recordings_.Begin(spec.tree_path, LeaseOf(id), root.get(),
                        config_.host.NodeDir(id) + "/root");
    }
    return runtime_.Start(NodeSpecOf(state, node), std::move(root));
  };
  Result<NodeRecord> record = run();
  const std::lock_guard lock(cluster->mutex);
  Node& entry = *cluster->nodes[node];
  if (!record.ok()) {
    entry.problem = record.error().message();
    return record.error().Wrap("node " + state.name + "/" + std::to_string(node));
  }
  entry.record = *record;
  entry.problem.clear();
  entry.start_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  return Ok();
}

Status Clusters::StopNode(const ClusterPtr& cluster, size_t node, std::chrono::milliseconds grace) {
  const std::lock_guard saving(cluster->nodes[node]->saving);
  std::optional<NodeRecord> record;
  std::string id;
  {
    const std::lock_guard lock(cluster->mutex);
    record = cluster->nodes[node]->record;
    id = cluster->state.NodeId(node);
  }
  RETURN_IF_ERROR(runtime_.Stop(id, record, grace), "node " + id);
  {
    const std::lock_guard lock(cluster->mutex);
    cluster->nodes[node]->record.reset();
  }
  if (Status status = LetVolumeGo(cluster, node); !status.ok()) {
    // It is stopped all the same; the next start finds the volume active.
    LOG_WARNING("node " + id + ": " + status.error().message());
  }
  return Ok();
}

Status Clusters::CreateVolume(const ClusterPtr& cluster, size_t node) {
  std::string id;
  NodeState state;
  {
    const std::lock_guard lock(cluster->mutex);
    id = cluster->state.NodeId(node);
    state = cluster->state.nodes[node];
  }
  return volumes_.Create(state.volume, id, state.disk_bytes);
}

// REQUIRES: `cluster->change` is held.
Status Clusters::ResizeVolume(const ClusterPtr& cluster, size_t node, uint64_t disk_bytes) {
  ClusterState state;
  {
    const std::lock_guard lock(cluster->mutex);
    state = cluster->state;
  }
  RETURN_IF_ERROR(volumes_.Resize(state.nodes[node].volume, state.NodeId(node), disk_bytes),
                  "node " + state.name + "/" + std::to_string(node));
  {
    const std::lock_guard lock(cluster->mutex);
    cluster->state.nodes[node].disk_bytes = disk_bytes;
    state = cluster->state;
  }
  return store_.Write(state);
}

// REQUIRES: the node does not run and is not being saved.
Status Clusters::LetVolumeGo(const ClusterPtr& cluster, size_t node) {
  layerfs::VolumeKind kind;
  std::string id;
  {
    const std::lock_guard lock(cluster->mutex);
    kind = cluster->state.nodes[node].volume;
    id = cluster->state.NodeId(node);
  }
  if (kind == layerfs::VolumeKind::kNone) return Ok();
  if (const auto usage = volumes_.Usage(kind, id); usage.ok()) {
    const std::lock_guard lock(cluster->mutex);
    cluster->nodes[node]->upper_bytes = usage->used_bytes;
  }
  return volumes_.Deactivate(kind, id);
}

Result<Subprocess> Clusters::Exec(const ExecTarget& target, const ExecParameters& parameters,
                                  int in, int out, int err) {
  ExecNodeRequest request;
  request.argv = parameters.argv;
  request.env = NodeEnvironment(target.image_env, parameters.env);
  request.working_directory = parameters.working_directory;
  request.uid = parameters.uid;
  request.gid = parameters.gid;
  request.terminal = parameters.terminal;
  return runtime_.Exec(target.id, std::move(request), in, out, err);
}

// Lets the volume of a stopped node go when its save ends.
struct Clusters::VolumeGuard {
  VolumeGuard(Clusters& all, const Target& saved) : clusters(all), target(saved) {}
  VolumeGuard(const VolumeGuard&) = delete;
  VolumeGuard& operator=(const VolumeGuard&) = delete;
  ~VolumeGuard() {
    if (!let_go) return;
    if (Status status = clusters.LetVolumeGo(target.cluster, *target.node); !status.ok()) {
      LOG_WARNING("after a save: " + status.error().message());
    }
  }
  Clusters& clusters;
  const Target& target;
  bool let_go = false;
};

Result<SaveNodeResult> Clusters::Save(uid_t caller, const SaveNodeParameters& parameters,
                                      const ProgressFn& progress, const CancelToken& cancel) {
  const auto start = Clock::now();
  ASSIGN_OR_RETURN(const Target target, FindTarget(caller, parameters.node));
  if (!target.node.has_value()) {
    return Error(Code::kInvalidArgument, "say which node: " + parameters.node + "/0");
  }
  Node& node = *target.cluster->nodes[*target.node];
  const std::lock_guard saving(node.saving);
  VolumeGuard volume_guard(*this, target);
  imaged::SaveParameters save;
  std::optional<NodeRecord> record;
  {
    const std::lock_guard lock(target.cluster->mutex);
    const ClusterState& state = target.cluster->state;
    if (state.phase != Phase::kReady) {
      return Error(Code::kFailedPrecondition, "node " + parameters.node + " is not ready");
    }
    const std::string id = state.NodeId(*target.node);
    ASSIGN_OR_RETURN(const std::string volume,
                     volumes_.Activate(state.nodes[*target.node].volume, id));
    const layerfs::RootSpec root = RootSpecOf(state, *target.node, volume);
    save.lease = LeaseOf(id);
    save.upper_dir = root.upper_dir;
    save.work_dir = root.work_dir;
    save.id_shift_first = root.id_shift->first_id;
    save.id_shift_count = root.id_shift->count;
    save.origin = "node " + state.name + "/" + std::to_string(*target.node);
    record = node.record;
  }
  save.on_behalf_of_uid = caller;
  save.reference = parameters.reference;
  save.description = parameters.description;
  save.is_public = parameters.is_public;
  save.replace = parameters.replace;
  save.command_line = parameters.command_line;
  save.scrub = parameters.scrub;

  const bool running = record.has_value() && NodeRuntime::IsRunning(*record);
  volume_guard.let_go = !running;
  RunningNode container(runtime_, record);
  ASSIGN_OR_RETURN(const auto session, images_.StartSave(save));
  migrate::Rounds rounds;
  rounds.first = [&] {
    progress("copy", 0, 3);
    return session->FirstRound();
  };
  rounds.second = [&]() -> Status {
    RETURN_IF_ERROR(cancel.Check());
    return session->SecondRound();
  };
  ASSIGN_OR_RETURN(const migrate::RoundTimes times,
                   migrate::RunDiffRounds(container, running, rounds));
  RETURN_IF_ERROR(cancel.Check());
  progress("publish", 2, 3);
  SaveNodeResult result;
  ASSIGN_OR_RETURN(result.image, session->Finish());
  result.stall = times.stall;
  result.total = Clock::now() - start;
  return result;
}

}  // namespace strata::vcluster
