// The volumes of this host's nodes: a node without a limit of disk has a plain directory, whatever
// the host can do, because that costs nothing; one with a limit has a volume of the host's kind. A
// node keeps its kind for life.
//
// Thread-safe for different nodes.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "common/result.h"
#include "layerfs/volume/volume_store.h"

namespace strata::vcluster {

struct NodeVolumesConfig {
  std::string state_dir;  // …/vclusterd/nodes and …/vclusterd/volumes below it are ours.
  std::string run_dir;    // …/volumes below it is ours.
  layerfs::VolumeKind kind = layerfs::VolumeKind::kNone;  // Of nodes with a limit.
  std::string lvm_pool;                                   // kLvmThin: "GROUP/POOL".
  std::string lvm_prefix;                                 // Unique on this host.
};

class NodeVolumes {
 public:
  explicit NodeVolumes(NodeVolumesConfig config) : config_(std::move(config)) {}

  // kUnsupported: a limit, and no kind that could keep it.
  Result<layerfs::VolumeKind> KindFor(uint64_t limit_bytes) const;

  // Opens the kinds that are in use or configured, and takes over after a crash. Volumes that are
  // not `known` (kind and id) are removed, unless `keep_unknown`. What is wrong with single volumes
  // is logged and told again when their node starts.
  Status Recover(const std::set<std::pair<layerfs::VolumeKind, std::string>>& known,
                 bool keep_unknown);

  Status Create(layerfs::VolumeKind kind, const std::string& id, uint64_t limit_bytes);
  // Makes plain directories that were created durable; other kinds are so when they are created.
  Status Sync();
  // See VolumeStore.
  Result<std::string> Activate(layerfs::VolumeKind kind, const std::string& id);
  Status Resize(layerfs::VolumeKind kind, const std::string& id, uint64_t limit_bytes);
  Result<layerfs::VolumeUsage> Usage(layerfs::VolumeKind kind, const std::string& id);
  // REQUIRES: the node does not run. Waits for its file system's server to end.
  Status Deactivate(layerfs::VolumeKind kind, const std::string& id);
  Status Remove(layerfs::VolumeKind kind, const std::string& id);

 private:
  Result<layerfs::VolumeStore*> StoreOf(layerfs::VolumeKind kind);
  std::string DirectoryOf(layerfs::VolumeKind kind) const;

  const NodeVolumesConfig config_;
  std::mutex mutex_;  // Guards stores_; a leaf.
  std::map<layerfs::VolumeKind, std::unique_ptr<layerfs::VolumeStore>> stores_;
};

}  // namespace strata::vcluster
