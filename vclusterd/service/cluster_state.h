// What is durable about a Vcluster, and the directory it is kept in: one JSON file per Vcluster
// (docs/formats.md), replaced as a whole. A file is read as foreign bytes: everything in it is
// checked.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "layerfs/root.h"
#include "layerfs/volume/volume_store.h"
#include "net/ipv4.h"
#include "vclusterd/runtime/node_spec.h"

namespace strata::vcluster {

// What a crash has to know: kCreating and kDeleting Vclusters are removed by the next start.
enum class Phase { kCreating, kReady, kDeleting };

struct NodeState {
  std::string image;  // As given.
  std::string image_digest;
  std::string tree_path;
  std::string objects_dir;
  std::vector<std::string> command;
  std::vector<std::string> env;
  std::string machine_id;
  layerfs::Driver driver = layerfs::Driver::kKernel;
  bool wanted = true;  // It should run.
  layerfs::VolumeKind volume = layerfs::VolumeKind::kNone;
  uint64_t disk_bytes = 0;  // Limit of the volume; 0: none.
};

struct ClusterState {
  uint32_t number = 0;  // Unique among the Vclusters that exist; names bridge, nodes and leases.
  std::string name;
  uid_t owner_uid = 0;
  Phase phase = Phase::kCreating;
  net::Ipv4Prefix prefix;
  uint32_t id_first = 0;
  int64_t created_unix_ms = 0;
  std::string cloned_from;
  NodeLimits limits;
  SshKeys ssh;
  std::vector<NodeState> nodes;

  std::string NodeId(size_t node) const {
    return std::to_string(number) + "-" + std::to_string(node);
  }
  std::string Hostname(size_t node) const { return name + "-" + std::to_string(node); }
};

inline constexpr uint32_t kClustersMax = 100'000;
inline constexpr size_t kNameSizeMax = 40;

// kInvalidArgument unless it is a lower-case letter followed by letters, digits and '-', so that it
// is a host name and never looks like a node's number.
Status CheckClusterName(std::string_view name);
Status CheckLimits(const NodeLimits& limits);

std::string FormatCluster(const ClusterState& state);
Result<ClusterState> ParseCluster(std::string_view json);  // kCorrupt.

// Thread-safe for different numbers.
class ClusterStore {
 public:
  explicit ClusterStore(std::string directory) : directory_(std::move(directory)) {}

  // Files that cannot be read are logged and left alone; their numbers are in `unreadable`.
  Result<std::vector<ClusterState>> Load(std::vector<uint32_t>* unreadable) const;
  Status Write(const ClusterState& state) const;  // Durable.
  Status Remove(uint32_t number) const;           // Durable.

 private:
  std::string PathOf(uint32_t number) const;
  std::string directory_;
};

// The id range of every owner, for ever the same: files in uppers and images depend on it.
// Thread-safe.
class OwnerIds {
 public:
  // `first`: of the first range.
  static Result<OwnerIds> Load(const std::string& path, uint32_t first);
  // The first id of the owner's range; a new owner's is durable before it is answered.
  Result<uint32_t> RangeOf(uid_t owner);

  OwnerIds(OwnerIds&& other) noexcept
      : path_(std::move(other.path_)), first_(other.first_), ranges_(std::move(other.ranges_)) {}

 private:
  OwnerIds(std::string path, uint32_t first) : path_(std::move(path)), first_(first) {}
  std::string path_;
  uint32_t first_;
  std::mutex mutex_;  // Guards ranges_.
  std::map<uid_t, uint32_t> ranges_;
};

}  // namespace strata::vcluster
