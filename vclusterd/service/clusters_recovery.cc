// Taking over after another vclusterd ended, however it ended.
#include <dirent.h>

#include <memory>
#include <set>

#include "common/file_io.h"
#include "common/log.h"
#include "vclusterd/service/clusters.h"

namespace strata::vcluster {
namespace {

std::vector<std::string> EntriesOf(const std::string& path) {
  std::vector<std::string> names;
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir(::opendir(path.c_str()));
  while (const dirent* entry = dir == nullptr ? nullptr : ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

}  // namespace

Status Clusters::Recover() {
  ASSIGN_OR_RETURN(std::vector<ClusterState> states, store_.Load(&reserved_));
  std::vector<ClusterPtr> all;
  for (ClusterState& state : states) {
    auto cluster = std::make_shared<Cluster>();
    for (size_t i = 0; i < state.nodes.size(); ++i) {
      cluster->nodes.push_back(std::make_unique<Node>());
    }
    cluster->state = std::move(state);
    clusters_[cluster->state.number] = cluster;
    all.push_back(std::move(cluster));
  }
  std::set<std::pair<layerfs::VolumeKind, std::string>> known;
  for (const ClusterPtr& cluster : all) {
    for (size_t i = 0; i < cluster->nodes.size(); ++i) {
      known.emplace(cluster->state.nodes[i].volume, cluster->state.NodeId(i));
    }
  }
  // With a file that cannot be read it is not known what belongs to it. Of a node that runs and
  // that no file knows, the container must end first.
  if (reserved_.empty()) RETURN_IF_ERROR(RemoveOrphans());
  RETURN_IF_ERROR(volumes_.Recover(known, /*keep_unknown=*/!reserved_.empty()));
  for (const ClusterPtr& cluster : all) {
    const std::string name = cluster->state.name;
    Status recovered = RecoverCluster(cluster);
    if (recovered.ok()) continue;
    // The others are none the worse for it; the file stays and the next start tries again.
    LOG_ERROR("Vcluster " + name + ": " + recovered.error().message());
  }
  return UpdateNetwork(/*at_start=*/reserved_.empty());
}

Status Clusters::RecoverCluster(const ClusterPtr& cluster) {
  const bool half_done = cluster->state.phase != Phase::kReady;
  for (size_t i = 0; i < cluster->nodes.size(); ++i) {
    const std::string id = cluster->state.NodeId(i);
    Node& node = *cluster->nodes[i];
    ASSIGN_OR_RETURN(node.record, runtime_.Find(id));
    if (node.record.has_value() && !half_done && !cluster->state.nodes[i].wanted) {
      // A stop that was told to the disk but not yet to the node.
      RETURN_IF_ERROR(StopNode(cluster, i, std::chrono::seconds(2)));
    }
    if (!node.record.has_value()) {
      RETURN_IF_ERROR(runtime_.Clear(id));
      if (Status gone = LetVolumeGo(cluster, i); !gone.ok()) LOG_WARNING(gone.error().message());
      node.problem = "it ended while vclusterd did not run, or the host was restarted";
    } else if (!half_done) {
      // A save that died may have left it frozen.
      RETURN_IF_ERROR(runtime_.Thaw(*node.record));
    }
  }
  if (!half_done) return Ok();
  LOG_INFO("Vcluster " + cluster->state.name + ": removing what an interrupted operation left");
  return Remove(cluster, /*force=*/false);
}

Status Clusters::RemoveOrphans() {
  std::set<std::string> known;
  for (const auto& [number, cluster] : clusters_) {
    for (size_t i = 0; i < cluster->nodes.size(); ++i) known.insert(cluster->state.NodeId(i));
  }
  const std::string prefix = runtime_.host().ContainerName("");
  for (const std::string& name : EntriesOf(runtime_.host().NodesDir())) {
    if (!name.starts_with(prefix) || known.contains(name.substr(prefix.size()))) continue;
    const std::string id = name.substr(prefix.size());
    LOG_WARNING("node " + id + " belongs to no Vcluster and is removed");
    ASSIGN_OR_RETURN(const auto record, runtime_.Find(id));
    RETURN_IF_ERROR(runtime_.Stop(id, record, std::chrono::milliseconds(0)));
  }
  return Ok();
}

}  // namespace strata::vcluster
