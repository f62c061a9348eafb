// The Vclusters of one host: every operation of the service, without gRPC.
//
// Thread-safe. Operations on one Vcluster that change it exclude each other; listing, executing and
// saving do not wait for them.
//
// Durability: a Vcluster's file says kCreating before anything else of it exists, and kDeleting
// before anything of it is taken away, so whatever a crash leaves, the next Open finds the file and
// removes the rest. Containers are not children of this process and run on without it.
//
// Lock order: Cluster::change, Node::saving, network_mutex_, mutex_, Cluster::mutex.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "common/subprocess.h"
#include "imaged/client/host_image_client.h"
#include "layerfs/root.h"
#include "layerfs/tree_mounts.h"
#include "net/ipv4.h"
#include "net/plan.h"
#include "vclusterd/runtime/node_runtime.h"
#include "vclusterd/service/cluster_state.h"
#include "vclusterd/service/node_volumes.h"
#include "vclusterd/service/start_recordings.h"

namespace strata::vcluster {

struct ClustersConfig {
  std::string state_dir;  // …/vclusterd below it is ours.
  HostLayout host;
  net::Ipv4Prefix pool;
  uint32_t id_first = 1'000'000;
  layerfs::Driver driver = layerfs::Driver::kKernel;
  std::string layerfs_binary = "layerfs";
  // For nodes with a limit of disk, and the limit of those whose user says none (0: no limit).
  layerfs::VolumeKind volumes = layerfs::VolumeKind::kNone;
  std::string lvm_pool;
  uint64_t disk_bytes_default = 0;
  // How long the first start of an image is watched; 0: not at all.
  std::chrono::milliseconds record_starts{0};
  std::optional<layerfs::ObjectMountSpec>
      object_mount;  // For roots whose objects are not all here.
};

enum class NodeCondition { kCreating, kRunning, kStopped, kBreakdown };

struct NodeView {
  std::string name;      // "hpc/0"
  std::string hostname;  // "hpc-0"
  net::Ipv4 address;
  NodeCondition condition = NodeCondition::kStopped;
  std::string image;
  std::string image_digest;
  NodeLimits limits;
  layerfs::Driver driver = layerfs::Driver::kKernel;
  pid_t init_pid = 0;
  layerfs::VolumeKind volume = layerfs::VolumeKind::kNone;
  uint64_t upper_bytes = 0;
  uint64_t disk_limit_bytes = 0;  // 0: none.
  std::string problem;
  double start_ms = 0;
};

struct ClusterView {
  std::string name;
  std::string owner;
  uid_t owner_uid = 0;
  net::Ipv4Prefix prefix;
  int64_t created_unix_ms = 0;
  std::string cloned_from;
  std::vector<NodeView> nodes;
};

struct CreateParameters {
  std::string name;
  std::string image;
  uint32_t nodes = 1;
  NodeLimits limits;
  std::optional<layerfs::Driver> driver;
  std::optional<uint64_t> disk_bytes;  // 0: no limit. Absent: the host's default.
};

struct CloneParameters {
  std::string source;
  uint32_t count = 1;
  std::string prefix;  // Empty: "<source>-".
  std::string image;   // Empty: the images of the source's nodes.
};

struct SaveNodeParameters {
  std::string node;
  std::string reference;
  std::string description;
  bool is_public = false;
  bool replace = false;
  std::string command_line;
  imaged::ScrubMode scrub = imaged::ScrubMode::kDefault;
};

struct SaveNodeResult {
  imaged::SavedImage image;
  std::chrono::nanoseconds stall{0};
  std::chrono::nanoseconds total{0};
};

struct ExecParameters {
  std::string node;
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::string working_directory;
  uid_t uid = 0;
  gid_t gid = 0;
  bool terminal = false;
};

// Where a command may run, looked up once; valid while the node runs.
struct ExecTarget {
  std::string id;
  pid_t init_pid = 0;
  uint32_t id_first = 0;
  std::vector<std::string> image_env;
};

class Clusters {
 public:
  // Called from any thread, also concurrently.
  using ProgressFn = std::function<void(const std::string& stage, uint32_t done, uint32_t total)>;

  // Takes over what runs on this host under this state directory, and removes what a crash left.
  // `images` must outlive the result.
  static Result<std::unique_ptr<Clusters>> Open(ClustersConfig config,
                                                imaged::HostImageClient& images);

  // After an error, and when `cancel` was set, nothing new is left.
  Result<ClusterView> Create(uid_t caller, const CreateParameters& parameters,
                             const ProgressFn& progress, const CancelToken& cancel);
  Result<std::vector<ClusterView>> Clone(uid_t caller, const CloneParameters& parameters,
                                         const ProgressFn& progress, const CancelToken& cancel);

  // Empty `name`: all that the caller may see.
  Result<std::vector<ClusterView>> List(uid_t caller, const std::string& name);
  Result<ClusterView> Start(uid_t caller, const std::string& target);
  Result<ClusterView> Stop(uid_t caller, const std::string& target,
                           std::chrono::milliseconds grace);
  Status Delete(uid_t caller, const std::string& name);

  // A new limit of disk for a node or all of a Vcluster's, while they run. After an error some may
  // have it. kFailedPrecondition: more is in use, or the node was made without a limit.
  Result<ClusterView> Resize(uid_t caller, const std::string& target, uint64_t disk_bytes);

  // Cancelled before it is published, a save leaves nothing.
  Result<SaveNodeResult> Save(uid_t caller, const SaveNodeParameters& parameters,
                              const ProgressFn& progress, const CancelToken& cancel);

  Result<ExecTarget> FindForExec(uid_t caller, const std::string& node);
  Result<Subprocess> Exec(const ExecTarget& target, const ExecParameters& parameters, int in,
                          int out, int err);

  // Deletes every Vcluster and takes the network down. `force`: even where imaged does not answer.
  Status DeleteAll(bool force);

 private:
  struct Node {
    std::optional<NodeRecord> record;
    std::string problem;
    double start_ms = 0;
    bool start_unknown = false;  // Of its image: the next start is worth a recording.
    uint64_t upper_bytes = 0;    // When its volume was active last.
    // A node is frozen by one save at a time, and neither stopped nor started during it.
    std::mutex saving;
  };
  struct Cluster {
    std::mutex change;  // Held by operations that start, stop or delete.
    std::mutex mutex;   // Guards what follows, but not Node::saving.
    ClusterState state;
    std::vector<std::unique_ptr<Node>> nodes;
  };
  using ClusterPtr = std::shared_ptr<Cluster>;
  struct Target {
    ClusterPtr cluster;
    std::optional<uint32_t> node;
  };

  Clusters(ClustersConfig config, imaged::HostImageClient& images, NodeRuntime runtime,
           OwnerIds owners);

  // clusters_recovery.cc
  Status Recover();
  Status RecoverCluster(const ClusterPtr& cluster);
  Status RemoveOrphans();

  // Names and numbers.
  Result<Target> FindTarget(uid_t caller, const std::string& text);
  Result<ClusterPtr> Reserve(ClusterState state);
  // kNotFound once the Vcluster was deleted. REQUIRES: `cluster->change` is held, so that a deleted
  // one's number, which may belong to another by now, is not used.
  Status CheckExists(const ClusterPtr& cluster);
  Status CheckNameIsFree(uid_t owner, const std::string& name);

  // One node.
  // `volume`: the directory of its active volume.
  layerfs::RootSpec RootSpecOf(const ClusterState& state, size_t node,
                               const std::string& volume) const;
  NodeSpec NodeSpecOf(const ClusterState& state, size_t node) const;
  void ReportBrokenRoot(Cluster& cluster, size_t node, uint32_t number, NodeView* view);
  Status AcquireImage(const ClusterPtr& cluster, size_t node);
  Status StartNode(const ClusterPtr& cluster, size_t node);
  Status StopNode(const ClusterPtr& cluster, size_t node, std::chrono::milliseconds grace);
  Status CreateVolume(const ClusterPtr& cluster, size_t node);
  Status ResizeVolume(const ClusterPtr& cluster, size_t node, uint64_t disk_bytes);
  Status LetVolumeGo(const ClusterPtr& cluster, size_t node);
  struct VolumeGuard;
  static std::string LeaseOf(const std::string& id) { return "node/" + id; }

  // Many nodes.
  Status Launch(const std::vector<ClusterPtr>& clusters, const ProgressFn& progress,
                const CancelToken& cancel);
  Status Remove(const ClusterPtr& cluster, bool force);
  // REQUIRES: mutex_ is held.
  void ForgetUnusedTrees(const ClusterState& removed);
  void RollBack(const std::vector<ClusterPtr>& clusters);
  Status UpdateNetwork(bool at_start = false);
  ClusterView View(const ClusterPtr& cluster, bool with_sizes);

  const ClustersConfig config_;
  imaged::HostImageClient& images_;
  const NodeRuntime runtime_;
  layerfs::TreeMounts trees_;
  NodeVolumes volumes_;
  StartRecordings recordings_;
  ClusterStore store_;
  OwnerIds owners_;
  std::mutex mutex_;                         // Guards clusters_ and reserved_.
  std::map<uint32_t, ClusterPtr> clusters_;  // By number.
  std::vector<uint32_t> reserved_;           // Numbers of files that could not be read.
  std::mutex network_mutex_;                 // Held around observe, plan and apply.
};

// The name of a user, or the number where the host knows no name; and back (kNotFound).
std::string UserName(uid_t uid);
Result<uid_t> UserId(const std::string& name);

}  // namespace strata::vcluster
