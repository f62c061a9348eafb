// Operations on whole Vclusters: create, clone, start, stop, delete.
#include <unistd.h>

#include <algorithm>
#include <set>

#include "common/file_io.h"
#include "common/log.h"
#include "common/parallel.h"
#include "vclusterd/runtime/ssh_keys.h"
#include "vclusterd/service/clusters.h"

namespace strata::vcluster {
namespace {

// A start mostly waits: for the kernel's namespaces, for liblxc's own processes.
constexpr size_t kStartThreads = 8;
constexpr uint32_t kClonesMax = 1000;
constexpr std::chrono::seconds kDeleteGrace(2);

int64_t NowUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// What no two Vclusters share, not even clones.
Status GiveIdentity(ClusterState* state) {
  ASSIGN_OR_RETURN(state->ssh.login_seed, RandomBytes(kSshSeedSize));
  ASSIGN_OR_RETURN(state->ssh.host_seed, RandomBytes(kSshSeedSize));
  for (NodeState& node : state->nodes) {
    ASSIGN_OR_RETURN(const std::string bytes, RandomBytes(16));
    node.machine_id = ToHex(bytes);
  }
  state->created_unix_ms = NowUnixMs();
  return Ok();
}

// A job on several nodes that goes on after an error, because it clears up; answers the first
// error.
template <typename Job>
Status ForAll(size_t count, Job job) {
  std::mutex mutex;  // Guards first.
  std::optional<Error> first;
  RETURN_IF_ERROR(ParallelFor(
      count,
      [&](size_t i) {
        if (Status status = job(i); !status.ok()) {
          const std::lock_guard lock(mutex);
          if (!first.has_value()) first = status.error();
        }
        return Ok();
      },
      kStartThreads));
  if (first.has_value()) return *first;
  return Ok();
}

}  // namespace

Result<ClusterView> Clusters::Create(uid_t caller, const CreateParameters& parameters,
                                     const ProgressFn& progress, const CancelToken& cancel) {
  RETURN_IF_ERROR(CheckClusterName(parameters.name));
  RETURN_IF_ERROR(CheckLimits(parameters.limits));
  if (parameters.image.empty()) return Error(Code::kInvalidArgument, "say which image");
  if (parameters.nodes == 0 || parameters.nodes > net::kNodesMaxPerCluster) {
    return Error(Code::kInvalidArgument,
                 "a Vcluster has 1 to " + std::to_string(net::kNodesMaxPerCluster) + " nodes");
  }
  ClusterState state;
  state.name = parameters.name;
  state.owner_uid = caller;
  state.limits = parameters.limits;
  state.nodes.resize(parameters.nodes);
  for (NodeState& node : state.nodes) {
    node.image = parameters.image;
    node.driver = parameters.driver.value_or(config_.driver);
    node.disk_bytes = parameters.disk_bytes.value_or(config_.disk_bytes_default);
    ASSIGN_OR_RETURN(node.volume, volumes_.KindFor(node.disk_bytes));
  }
  RETURN_IF_ERROR(GiveIdentity(&state));
  ASSIGN_OR_RETURN(state.id_first, owners_.RangeOf(caller));
  ASSIGN_OR_RETURN(const ClusterPtr cluster, Reserve(std::move(state)));
  RETURN_IF_ERROR(Launch({cluster}, progress, cancel));
  return View(cluster, /*with_sizes=*/false);
}

Result<std::vector<ClusterView>> Clusters::Clone(uid_t caller, const CloneParameters& parameters,
                                                 const ProgressFn& progress,
                                                 const CancelToken& cancel) {
  if (parameters.count == 0 || parameters.count > kClonesMax) {
    return Error(Code::kInvalidArgument,
                 "the number of clones must be 1 to " + std::to_string(kClonesMax));
  }
  ASSIGN_OR_RETURN(const Target source, FindTarget(caller, parameters.source));
  ClusterState pattern;
  {
    const std::lock_guard lock(source.cluster->mutex);
    pattern = source.cluster->state;
  }
  if (pattern.phase != Phase::kReady) {
    return Error(Code::kFailedPrecondition, "Vcluster " + pattern.name + " is not ready");
  }
  const std::string prefix = parameters.prefix.empty() ? pattern.name + "-" : parameters.prefix;
  pattern.phase = Phase::kCreating;
  pattern.cloned_from = UserName(pattern.owner_uid) + "/" + pattern.name;
  pattern.owner_uid = caller;
  for (NodeState& node : pattern.nodes) {
    if (!parameters.image.empty()) node.image = parameters.image;
    // The host's kind may be another by now.
    ASSIGN_OR_RETURN(node.volume, volumes_.KindFor(node.disk_bytes));
    node.wanted = true;
  }
  ASSIGN_OR_RETURN(pattern.id_first, owners_.RangeOf(caller));

  std::vector<ClusterPtr> clones;
  const auto reserve = [&]() -> Status {
    for (uint32_t i = 1; i <= parameters.count; ++i) {
      ClusterState state = pattern;
      state.name = prefix + std::to_string(i);
      RETURN_IF_ERROR(CheckClusterName(state.name));
      RETURN_IF_ERROR(GiveIdentity(&state));
      ASSIGN_OR_RETURN(ClusterPtr clone, Reserve(std::move(state)));
      clones.push_back(std::move(clone));
    }
    return Ok();
  };
  if (Status reserved = reserve(); !reserved.ok()) {
    const std::lock_guard lock(mutex_);  // Nothing but the reservations exists so far.
    for (const ClusterPtr& clone : clones) clusters_.erase(clone->state.number);
    return reserved.error();
  }
  RETURN_IF_ERROR(Launch(clones, progress, cancel));
  std::vector<ClusterView> views;
  for (const ClusterPtr& clone : clones) views.push_back(View(clone, /*with_sizes=*/false));
  return views;
}

Status Clusters::Launch(const std::vector<ClusterPtr>& clusters, const ProgressFn& progress,
                        const CancelToken& cancel) {
  struct Job {
    ClusterPtr cluster;
    size_t node;
  };
  std::vector<Job> jobs;
  std::vector<std::unique_lock<std::mutex>> changing;
  for (const ClusterPtr& cluster : clusters) {
    changing.emplace_back(cluster->change);
    for (size_t i = 0; i < cluster->nodes.size(); ++i) jobs.push_back({cluster, i});
  }
  const auto write_all = [&] {
    return ParallelFor(
        clusters.size(), [&](size_t i) { return store_.Write(clusters[i]->state); }, kStartThreads);
  };
  const auto total = static_cast<uint32_t>(jobs.size());
  std::atomic<uint32_t> done{0};
  const auto run = [&]() -> Status {
    RETURN_IF_ERROR(write_all());
    RETURN_IF_ERROR(cancel.Check());
    progress("network", 0, total);
    RETURN_IF_ERROR(UpdateNetwork());
    RETURN_IF_ERROR(ParallelFor(
        jobs.size(),
        [&](size_t i) -> Status {
          RETURN_IF_ERROR(cancel.Check());
          RETURN_IF_ERROR(AcquireImage(jobs[i].cluster, jobs[i].node));
          RETURN_IF_ERROR(CreateVolume(jobs[i].cluster, jobs[i].node));
          RETURN_IF_ERROR(StartNode(jobs[i].cluster, jobs[i].node));
          progress("start", ++done, total);
          return Ok();
        },
        kStartThreads));
    RETURN_IF_ERROR(volumes_.Sync());
    RETURN_IF_ERROR(cancel.Check());
    for (const ClusterPtr& cluster : clusters) {
      const std::lock_guard lock(cluster->mutex);
      cluster->state.phase = Phase::kReady;
    }
    return write_all();
  };
  Status status = run();
  if (!status.ok()) {
    changing.clear();
    RollBack(clusters);
  }
  return status;
}

void Clusters::RollBack(const std::vector<ClusterPtr>& clusters) {
  Status removed = ForAll(clusters.size(), [&](size_t i) {
    const std::lock_guard change(clusters[i]->change);
    return Remove(clusters[i], /*force=*/false);
  });
  if (removed.ok()) removed = UpdateNetwork();
  if (!removed.ok()) {
    LOG_ERROR("what was begun is removed at the next start: " + removed.error().message());
  }
}

// REQUIRES: `cluster->change` is held.
Status Clusters::Remove(const ClusterPtr& cluster, bool force) {
  RETURN_IF_ERROR(CheckExists(cluster));
  ClusterState state;
  {
    const std::lock_guard lock(cluster->mutex);
    cluster->state.phase = Phase::kDeleting;
    state = cluster->state;
  }
  RETURN_IF_ERROR(store_.Write(state));
  RETURN_IF_ERROR(ForAll(state.nodes.size(), [&](size_t i) -> Status {
    RETURN_IF_ERROR(StopNode(cluster, i, kDeleteGrace));
    RETURN_IF_ERROR(volumes_.Remove(state.nodes[i].volume, state.NodeId(i)));
    Status released = images_.ReleaseRoot(LeaseOf(state.NodeId(i)));
    if (released.ok() || released.error().code() == Code::kNotFound) return Ok();
    if (!force) return released;
    LOG_WARNING("the lease of node " + state.NodeId(i) + " stays: " + released.error().message());
    return Ok();
  }));
  RETURN_IF_ERROR(store_.Remove(state.number));
  const std::lock_guard lock(mutex_);
  clusters_.erase(state.number);
  ForgetUnusedTrees(state);
  return Ok();
}

// A kept mount would hold the tree's blocks on disk after its image is deleted.
void Clusters::ForgetUnusedTrees(const ClusterState& removed) {
  std::set<std::string> unused;
  for (const NodeState& node : removed.nodes) unused.insert(node.tree_path);
  for (const auto& [number, cluster] : clusters_) {
    const std::lock_guard lock(cluster->mutex);
    for (const NodeState& node : cluster->state.nodes) unused.erase(node.tree_path);
  }
  for (const std::string& tree : unused) trees_.Forget(tree);
}

Status Clusters::Delete(uid_t caller, const std::string& name) {
  ASSIGN_OR_RETURN(const Target target, FindTarget(caller, name));
  if (target.node.has_value()) {
    return Error(Code::kInvalidArgument, "a Vcluster is deleted as a whole, not one node of it");
  }
  {
    const std::lock_guard change(target.cluster->change);
    RETURN_IF_ERROR(Remove(target.cluster, /*force=*/false));
  }
  return UpdateNetwork();
}

Status Clusters::DeleteAll(bool force) {
  std::vector<ClusterPtr> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, cluster] : clusters_) all.push_back(cluster);
  }
  RETURN_IF_ERROR(ForAll(all.size(), [&](size_t i) {
    const std::lock_guard change(all[i]->change);
    return Remove(all[i], force);
  }));
  return UpdateNetwork(/*at_start=*/true);
}

Result<ClusterView> Clusters::Start(uid_t caller, const std::string& text) {
  ASSIGN_OR_RETURN(const Target target, FindTarget(caller, text));
  const ClusterPtr& cluster = target.cluster;
  const std::lock_guard change(cluster->change);
  RETURN_IF_ERROR(CheckExists(cluster));
  std::vector<size_t> nodes;
  ClusterState state;
  {
    const std::lock_guard lock(cluster->mutex);
    if (cluster->state.phase != Phase::kReady) {
      return Error(Code::kFailedPrecondition, "Vcluster " + cluster->state.name + " is not ready");
    }
    for (size_t i = 0; i < cluster->nodes.size(); ++i) {
      if (target.node.has_value() && *target.node != i) continue;
      cluster->state.nodes[i].wanted = true;
      const auto& record = cluster->nodes[i]->record;
      if (!record.has_value() || !NodeRuntime::IsRunning(*record)) nodes.push_back(i);
    }
    state = cluster->state;
  }
  RETURN_IF_ERROR(store_.Write(state));
  RETURN_IF_ERROR(ForAll(nodes.size(), [&](size_t i) -> Status {
    // A node that broke down still has its network and cgroups.
    RETURN_IF_ERROR(StopNode(cluster, nodes[i], std::chrono::milliseconds(0)));
    return StartNode(cluster, nodes[i]);
  }));
  return View(cluster, /*with_sizes=*/false);
}

Result<ClusterView> Clusters::Stop(uid_t caller, const std::string& text,
                                   std::chrono::milliseconds grace) {
  ASSIGN_OR_RETURN(const Target target, FindTarget(caller, text));
  const ClusterPtr& cluster = target.cluster;
  const std::lock_guard change(cluster->change);
  RETURN_IF_ERROR(CheckExists(cluster));
  std::vector<size_t> nodes;
  ClusterState state;
  {
    const std::lock_guard lock(cluster->mutex);
    for (size_t i = 0; i < cluster->nodes.size(); ++i) {
      if (target.node.has_value() && *target.node != i) continue;
      cluster->state.nodes[i].wanted = false;
      nodes.push_back(i);
    }
    state = cluster->state;
  }
  RETURN_IF_ERROR(store_.Write(state));
  RETURN_IF_ERROR(
      ForAll(nodes.size(), [&](size_t i) { return StopNode(cluster, nodes[i], grace); }));
  return View(cluster, /*with_sizes=*/false);
}

Result<ClusterView> Clusters::Resize(uid_t caller, const std::string& text, uint64_t disk_bytes) {
  RETURN_IF_ERROR(layerfs::CheckVolumeSize(disk_bytes));
  ASSIGN_OR_RETURN(const Target target, FindTarget(caller, text));
  const ClusterPtr& cluster = target.cluster;
  const std::lock_guard change(cluster->change);
  RETURN_IF_ERROR(CheckExists(cluster));
  for (size_t i = 0; i < cluster->nodes.size(); ++i) {
    if (target.node.has_value() && *target.node != i) continue;
    RETURN_IF_ERROR(ResizeVolume(cluster, i, disk_bytes));
  }
  return View(cluster, /*with_sizes=*/true);
}

}  // namespace strata::vcluster
