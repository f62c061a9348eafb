// Opening, looking up, listing.
#include "vclusterd/service/clusters.h"

#include <algorithm>
#include <charconv>

#include "common/file_io.h"
#include "common/log.h"
#include "net/apply.h"

namespace strata::vcluster {
namespace {

// "[owner/]name[/node]". Names never start with a digit, so a last part of digits is a node.
struct ParsedTarget {
  std::string owner;  // Empty: the caller.
  std::string name;
  std::optional<uint32_t> node;
};

std::optional<uint32_t> ParseNode(std::string_view text) {
  uint32_t node = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), node);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return node;
}

ParsedTarget ParseTarget(std::string_view text) {
  ParsedTarget target;
  if (const size_t slash = text.rfind('/'); slash != std::string_view::npos) {
    target.node = ParseNode(text.substr(slash + 1));
    if (target.node.has_value()) text = text.substr(0, slash);
  }
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    target.owner = text.substr(0, slash);
    text.remove_prefix(slash + 1);
  }
  target.name = text;
  return target;
}

}  // namespace

Clusters::Clusters(ClustersConfig config, imaged::HostImageClient& images, NodeRuntime runtime,
                   OwnerIds owners)
    : config_(std::move(config)),
      images_(images),
      runtime_(std::move(runtime)),
      volumes_({.state_dir = config_.state_dir,
                .run_dir = config_.host.run_dir,
                .kind = config_.volumes,
                .lvm_pool = config_.lvm_pool,
                .lvm_prefix = "s" + config_.host.instance}),
      recordings_(images, config_.record_starts),
      store_(config_.state_dir + "/vclusterd/clusters"),
      owners_(std::move(owners)) {}

Result<std::unique_ptr<Clusters>> Clusters::Open(ClustersConfig config,
                                                 imaged::HostImageClient& images) {
  RETURN_IF_ERROR(MakeDirectories(config.state_dir + "/vclusterd", 0755));
  RETURN_IF_ERROR(MakeDirectories(config.host.run_dir));
  ASSIGN_OR_RETURN(NodeRuntime runtime, NodeRuntime::Create(config.host));
  ASSIGN_OR_RETURN(OwnerIds owners,
                   OwnerIds::Load(config.state_dir + "/vclusterd/owners.json", config.id_first));
  std::unique_ptr<Clusters> clusters(
      new Clusters(std::move(config), images, std::move(runtime), std::move(owners)));
  RETURN_IF_ERROR(clusters->Recover());
  return clusters;
}

Result<Clusters::Target> Clusters::FindTarget(uid_t caller, const std::string& text) {
  const ParsedTarget parsed = ParseTarget(text);
  // What the caller may not see is answered as what does not exist.
  const Error not_found(Code::kNotFound,
                        "no Vcluster is called '" + text.substr(0, 200) + "' (see: vcluster list)");
  uid_t owner = caller;
  if (!parsed.owner.empty()) {
    const auto uid = UserId(parsed.owner);
    if (!uid.ok() || (caller != 0 && *uid != caller)) return not_found;
    owner = *uid;
  }
  std::vector<ClusterPtr> others;
  Target target;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, cluster] : clusters_) {
      const std::lock_guard cluster_lock(cluster->mutex);
      if (cluster->state.name != parsed.name) continue;
      if (cluster->state.owner_uid == owner) {
        target.cluster = cluster;
      } else {
        others.push_back(cluster);
      }
    }
  }
  // root may leave the owner out where the name says enough.
  if (target.cluster == nullptr && caller == 0 && parsed.owner.empty()) {
    if (others.size() > 1) {
      return Error(Code::kInvalidArgument, "several users have a Vcluster called '" + parsed.name +
                                               "': say OWNER/" + parsed.name);
    }
    if (!others.empty()) target.cluster = others.front();
  }
  if (target.cluster == nullptr) return not_found;
  target.node = parsed.node;
  if (target.node.has_value() && *target.node >= target.cluster->nodes.size()) {
    return Error(Code::kNotFound,
                 "Vcluster " + parsed.name + " has no node " + std::to_string(*target.node));
  }
  return target;
}

Status Clusters::CheckExists(const ClusterPtr& cluster) {
  const std::lock_guard lock(mutex_);
  const auto found = clusters_.find(cluster->state.number);
  if (found != clusters_.end() && found->second == cluster) return Ok();
  return Error(Code::kNotFound, "Vcluster " + cluster->state.name + " was just deleted");
}

Status Clusters::CheckNameIsFree(uid_t owner, const std::string& name) {
  for (const auto& [number, cluster] : clusters_) {
    const std::lock_guard lock(cluster->mutex);
    if (cluster->state.owner_uid == owner && cluster->state.name == name) {
      return Error(Code::kAlreadyExists, "you already have a Vcluster called '" + name + "'");
    }
  }
  return Ok();
}

Result<Clusters::ClusterPtr> Clusters::Reserve(ClusterState state) {
  // Outside the lock: a look at the host's links takes a while.
  ASSIGN_OR_RETURN(std::vector<net::ObservedLink> links, net::ObserveLinks());
  std::erase_if(links, [&](const net::ObservedLink& link) {
    return link.name.starts_with("s" + config_.host.instance);  // Ours are in `taken`, or stale.
  });
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(CheckNameIsFree(state.owner_uid, state.name));
  std::vector<net::Ipv4Prefix> taken;
  for (const auto& [number, cluster] : clusters_) taken.push_back(cluster->state.prefix);
  ASSIGN_OR_RETURN(state.prefix, net::ChoosePrefix(config_.pool, taken, links));
  state.number = 1;
  while (clusters_.contains(state.number) ||
         std::find(reserved_.begin(), reserved_.end(), state.number) != reserved_.end()) {
    ++state.number;
  }
  if (state.number >= kClustersMax) {
    return Error(Code::kResourceExhausted, "this host has too many Vclusters");
  }
  auto cluster = std::make_shared<Cluster>();
  for (size_t i = 0; i < state.nodes.size(); ++i) {
    cluster->nodes.push_back(std::make_unique<Node>());
  }
  cluster->state = std::move(state);
  clusters_[cluster->state.number] = cluster;
  return cluster;
}

ClusterView Clusters::View(const ClusterPtr& cluster, bool with_sizes) {
  ClusterView view;
  uint32_t number = 0;
  {
    const std::lock_guard lock(cluster->mutex);
    const ClusterState& state = cluster->state;
    number = state.number;
    view.name = state.name;
    view.owner_uid = state.owner_uid;
    view.prefix = state.prefix;
    view.created_unix_ms = state.created_unix_ms;
    view.cloned_from = state.cloned_from;
    for (size_t i = 0; i < state.nodes.size(); ++i) {
      const Node& node = *cluster->nodes[i];
      NodeView& out = view.nodes.emplace_back();
      out.name = state.name + "/" + std::to_string(i);
      out.hostname = state.Hostname(i);
      out.address = state.prefix.Host(net::kFirstNodeHost + static_cast<uint32_t>(i));
      out.image = state.nodes[i].image;
      out.image_digest = state.nodes[i].image_digest;
      out.limits = state.limits;
      out.driver = state.nodes[i].driver;
      out.volume = state.nodes[i].volume;
      out.disk_limit_bytes = state.nodes[i].disk_bytes;
      out.upper_bytes = node.upper_bytes;
      out.start_ms = node.start_ms;
      out.condition = NodeCondition::kStopped;
      if (state.phase == Phase::kCreating) {
        out.condition = NodeCondition::kCreating;
      } else if (node.record.has_value() && NodeRuntime::IsRunning(*node.record)) {
        out.condition = NodeCondition::kRunning;
        out.init_pid = node.record->init.pid;
      } else if (state.nodes[i].wanted) {
        out.condition = NodeCondition::kBreakdown;
        out.problem = node.problem.empty() ? "its process 1 ended" : node.problem;
      }
    }
  }
  view.owner = UserName(view.owner_uid);
  for (size_t i = 0; i < view.nodes.size(); ++i)
    ReportBrokenRoot(*cluster, i, number, &view.nodes[i]);
  for (size_t i = 0; i < view.nodes.size() && with_sizes; ++i) {
    NodeView& node = view.nodes[i];
    const auto usage =
        volumes_.Usage(node.volume, std::to_string(number) + "-" + std::to_string(i));
    if (usage.ok()) node.upper_bytes = usage->used_bytes;
  }
  return view;
}

// A node of the fuse driver whose root has ended cannot do anything any more, though its processes
// are there.
void Clusters::ReportBrokenRoot(Cluster& cluster, size_t node, uint32_t number, NodeView* view) {
  if (view->condition != NodeCondition::kRunning || view->driver != layerfs::Driver::kFuse) return;
  const std::unique_lock saving(cluster.nodes[node]->saving, std::try_to_lock);
  if (!saving.owns_lock()) return;  // Its volume may go away meanwhile.
  const auto volume =
      volumes_.Activate(view->volume, std::to_string(number) + "-" + std::to_string(node));
  if (!volume.ok()) return;
  const auto reason = layerfs::BrokenReason(*volume + "/upper");
  if (!reason) return;
  view->condition = NodeCondition::kBreakdown;
  view->problem = "its root file system ended: " + *reason + " (stop and start the Vcluster)";
}

Result<std::vector<ClusterView>> Clusters::List(uid_t caller, const std::string& name) {
  std::vector<ClusterPtr> chosen;
  if (!name.empty()) {
    ASSIGN_OR_RETURN(const Target target, FindTarget(caller, name));
    chosen.push_back(target.cluster);
  } else {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, cluster] : clusters_) {
      if (caller == 0 || cluster->state.owner_uid == caller) chosen.push_back(cluster);
    }
  }
  std::vector<ClusterView> views;
  for (const ClusterPtr& cluster : chosen) views.push_back(View(cluster, /*with_sizes=*/true));
  std::sort(views.begin(), views.end(), [](const ClusterView& a, const ClusterView& b) {
    return std::tie(a.owner, a.name) < std::tie(b.owner, b.name);
  });
  return views;
}

Status Clusters::UpdateNetwork(bool at_start) {
  const std::lock_guard network_lock(network_mutex_);
  net::DesiredNetwork desired{config_.host.instance, config_.pool, {}, {}};
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, cluster] : clusters_) {
      const std::lock_guard cluster_lock(cluster->mutex);
      desired.bridges.push_back(
          {net::BridgeName(config_.host.instance, number), cluster->state.prefix});
      for (uint32_t i = 0; i < cluster->nodes.size(); ++i) {
        if (!cluster->nodes[i]->record.has_value()) continue;
        desired.veths.push_back(net::VethName(config_.host.instance, number, i));
      }
    }
  }
  const std::string marker = config_.host.run_dir + "/ip_forward.was_off";
  if (!desired.bridges.empty()) RETURN_IF_ERROR(net::EnableForwarding(marker));
  ASSIGN_OR_RETURN(const std::vector<net::ObservedLink> links, net::ObserveLinks());
  RETURN_IF_ERROR(net::ApplyPlan(net::MakePlan(desired, links, /*delete_veths=*/at_start)));
  return desired.bridges.empty() ? net::RestoreForwarding(marker) : Ok();
}

Result<ExecTarget> Clusters::FindForExec(uid_t caller, const std::string& node) {
  ASSIGN_OR_RETURN(const Target target, FindTarget(caller, node));
  if (!target.node.has_value()) {
    return Error(Code::kInvalidArgument, "say which node: " + node + "/0");
  }
  const std::lock_guard lock(target.cluster->mutex);
  const auto& record = target.cluster->nodes[*target.node]->record;
  if (!record.has_value() || !NodeRuntime::IsRunning(*record)) {
    return Error(Code::kFailedPrecondition,
                 "node " + node + " does not run (vcluster start " + node + ")");
  }
  const ClusterState& state = target.cluster->state;
  return ExecTarget{state.NodeId(*target.node), record->init.pid, state.id_first,
                    state.nodes[*target.node].env};
}

}  // namespace strata::vcluster
