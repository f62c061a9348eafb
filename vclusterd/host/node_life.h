// NodeLife: what it takes to make, start, stop, save and remove one node on this host: its image's
// lease, its volume, its root, its container. Knows no order and decides nothing.
//
// Thread-safe for different nodes; calls that change one node, or save it, must not overlap.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "common/subprocess.h"
#include "imaged/client/host_image_client.h"
#include "layerfs/tree_mounts.h"
#include "vclusterd/api/host.pb.h"
#include "vclusterd/host/host_config.h"
#include "vclusterd/host/node_save.h"
#include "vclusterd/host/node_volumes.h"
#include "vclusterd/host/start_recordings.h"
#include "vclusterd/runtime/io_devices.h"
#include "vclusterd/runtime/node_runtime.h"

namespace strata::vcluster {

struct SaveNodeParameters {
  uint32_t on_behalf_of_uid = 0;
  std::string origin;  // For the lineage: "node hpc/0".
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

// Where a command may run, looked up once; valid while the node runs.
struct ExecTarget {
  std::string id;
  pid_t init_pid = 0;
  uint32_t id_first = 0;
  std::vector<std::string> env;  // "NAME=value": the image's and the role's.
};

struct ExecParameters {
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::string working_directory;
  uid_t uid = 0;
  gid_t gid = 0;
  bool terminal = false;
};

class NodeLife {
 public:
  // `stage`: "copy", "publish"; of `total` stages.
  using ProgressFn = std::function<void(const std::string& stage, uint32_t done, uint32_t total)>;

  // `images` must outlive this.
  static Result<std::unique_ptr<NodeLife>> Create(const HostConfig& config,
                                                  imaged::HostImageClient& images);

  // See NodeVolumes.
  Status Recover(const std::set<std::pair<layerfs::VolumeKind, std::string>>& known,
                 bool keep_unknown);

  // Takes the leases of several nodes that have the same image, kLeasesMax at most; what it answers
  // is for Make. Remove gives them back.
  Result<imaged::AcquiredRoot> AcquireRoots(const std::vector<std::string>& ids,
                                            const std::string& image, uint32_t uid);
  // Takes the image's lease, unless it is `acquired` already, and makes the volume; fills in what
  // `local` says of them. What a part of it left is removed by Remove. Durable after Sync.
  Status Make(const std::string& id, uint32_t owner_uid, const host::v1::NodeOrder& order,
              std::optional<imaged::AcquiredRoot> acquired, host::v1::LocalNode* local,
              bool* start_unknown, const CancelToken& cancel);
  Status Sync() { return volumes_.Sync(); }

  // After an error nothing of it runs, limits that this host cannot keep included. `watched`: its
  // start is worth a recording.
  Result<NodeRecord> Start(const NodeSpec& spec, const host::v1::LocalNode& local, bool watched);
  // Also of one that ended by itself. Its volume is let go; answers what it takes.
  Result<uint64_t> Stop(const std::string& id, const host::v1::LocalNode& local,
                        const std::optional<NodeRecord>& record, std::chrono::milliseconds grace);
  // REQUIRES: it was stopped. `force`: even where imaged does not answer.
  Status Remove(const std::string& id, const host::v1::LocalNode& local, bool force);

  // Saves what the node has changed as an image of root's called `name`, for another host to go on
  // from; answers its reference by digest. REQUIRES: it does not run.
  Result<std::string> Depart(const std::string& id, const host::v1::LocalNode& local,
                             uint32_t id_first, const std::string& name, const CancelToken& cancel);
  // The image is not needed any more.
  Status ForgetDeparture(const std::string& reference) {
    return images_.DeleteImage(reference, /*force=*/true);
  }

  Status Resize(const std::string& id, const host::v1::LocalNode& local, uint64_t disk_bytes);
  // REQUIRES: it runs. See LimitIoOf; kUnsupported too where the kernel does not know whose I/O it
  // is.
  Status LimitIo(const std::string& id, const host::v1::LocalNode& local, const NodeRecord& record,
                 uint64_t bytes_per_s);
  Result<uint64_t> UsedBytes(const std::string& id, const host::v1::LocalNode& local);
  // Why its root file system ended, when it did (docs/takeover.md).
  std::optional<std::string> BrokenRoot(const std::string& id, const host::v1::LocalNode& local);
  // A save to be done step by step; the node must not change before it is destroyed. `record`: of a
  // node that runs.
  Result<std::unique_ptr<NodeSave>> BeginSave(const std::string& id,
                                              const host::v1::LocalNode& local, uint32_t id_first,
                                              const std::optional<NodeRecord>& record,
                                              const SaveNodeParameters& parameters);
  // All of its steps. Cancelled before it is published, a save leaves nothing.
  Result<SaveNodeResult> Save(const std::string& id, const host::v1::LocalNode& local,
                              uint32_t id_first, const std::optional<NodeRecord>& record,
                              const SaveNodeParameters& parameters, const ProgressFn& progress,
                              const CancelToken& cancel);
  Result<Subprocess> Exec(const ExecTarget& target, const ExecParameters& parameters, int in,
                          int out, int err) const;

  // A kept mount would hold the tree's blocks on disk after its image is deleted.
  void ForgetTree(const std::string& tree_path) { trees_.Forget(tree_path); }
  const NodeRuntime& runtime() const { return runtime_; }
  imaged::HostImageClient& images() { return images_; }

 private:
  NodeLife(const HostConfig& config, imaged::HostImageClient& images, NodeRuntime runtime);

  // The root that a node is made from.
  Result<imaged::AcquiredRoot> Acquire(const std::string& id, uint32_t owner_uid,
                                       const host::v1::NodeOrder& order, const CancelToken& cancel);
  Result<std::vector<UniqueFd>> MountVolumes(const NodeSpec& spec) const;
  layerfs::RootSpec RootSpecOf(const host::v1::LocalNode& local, uint32_t id_first,
                               const std::string& volume) const;
  Status StartIoLimit(const NodeSpec& spec, const host::v1::LocalNode& local,
                      const std::string& volume, const NodeRecord& record) const;
  static Status LimitIoOn(const host::v1::LocalNode& local, const std::string& volume,
                          const NodeRecord& record, uint64_t bytes_per_s);
  Status LetVolumeGo(const std::string& id, const host::v1::LocalNode& local, uint64_t* used_bytes);
  static std::string LeaseOf(const std::string& id) { return "node/" + id; }

  const HostConfig config_;
  imaged::HostImageClient& images_;
  const NodeRuntime runtime_;
  layerfs::TreeMounts trees_;
  NodeVolumes volumes_;
  StartRecordings recordings_;
};

}  // namespace strata::vcluster
