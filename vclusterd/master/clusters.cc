// Names, rights, and what is shown.
#include "vclusterd/master/clusters.h"

#include <algorithm>
#include <charconv>

#include "common/printable.h"

namespace strata::vcluster {
namespace {

constexpr size_t kTextMax = 200;

// "[owner/]name[/node]"
std::vector<std::string> SplitTarget(const std::string& text) {
  std::vector<std::string> parts;
  size_t start = 0;
  while (true) {
    const size_t slash = text.find('/', start);
    parts.push_back(text.substr(start, slash - start));
    if (slash == std::string::npos) return parts;
    start = slash + 1;
  }
}

bool IsNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

const master::v1::Node* FindByName(const Vcluster& vcluster, const std::string& name) {
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    if (vcluster.NodeName(node) == name) return &node;
  }
  return nullptr;
}

NodeCondition ConditionOf(const Vcluster& vcluster, const master::v1::Node& node,
                          const host::v1::NodeStatus* status) {
  if (vcluster.record.phase() == master::v1::CREATING || status == nullptr) {
    return node.wanted() ? NodeCondition::kCreating : NodeCondition::kStopped;
  }
  switch (status->state()) {
    case host::v1::STARTING:
    case host::v1::READY:
      return NodeCondition::kRunning;
    case host::v1::BREAKDOWN:
      return NodeCondition::kBreakdown;
    case host::v1::MAKING:
      return NodeCondition::kCreating;
    default:
      return NodeCondition::kStopped;
  }
}

}  // namespace

Definition PlainDefinition(const std::string& name, const std::string& image, uint32_t nodes,
                           const Limits& limits) {
  Definition definition;
  definition.name = name;
  Role& role = definition.roles.emplace_back();
  role.name = kDefaultRole;
  role.image = image;
  role.count = nodes;
  role.limits = limits;
  return definition;
}

Target Clusters::TargetOf(uint32_t owner_uid, const std::string& name) const {
  const std::string full_name = users_.NameOf(owner_uid) + "/" + name;
  return {owner_uid, full_name, full_name};
}

// A token of a node may scale its Vcluster and not list it.
bool Clusters::Sees(const Caller& caller, Operation operation, const Target& target) const {
  return users_.Allows(caller, Operation::kVclusterList, target) ||
         users_.Allows(caller, operation, target);
}

Result<Clusters::Found> Clusters::FindOne(const Caller& caller, Operation operation,
                                          const std::string& owner, const std::string& name,
                                          const std::string& node) {
  const Error not_found(Code::kNotFound, "no Vcluster is called '" + Printable(name, kTextMax) +
                                             "' (see: vcluster list)");
  std::vector<uint32_t> owners = {caller.uid};
  if (!owner.empty()) {
    const auto uid = users_.UidOf(owner);
    if (!uid.ok()) return not_found;
    owners = {*uid};
  } else if (master_.Find(caller.uid, name).vcluster == nullptr) {
    owners = master_.OwnersOf(name);
  }
  std::erase_if(owners,
                [&](uint32_t uid) { return !Sees(caller, operation, TargetOf(uid, name)); });
  if (owners.empty()) return not_found;
  if (owners.size() > 1) {
    return Error(Code::kInvalidArgument,
                 "several users have a Vcluster called '" + name + "': say OWNER/" + name);
  }
  Found found{master_.Find(owners[0], name), std::nullopt, TargetOf(owners[0], name)};
  if (found.view.vcluster == nullptr) return not_found;
  if (node.empty()) return found;
  const master::v1::Node* named = FindByName(*found.view.vcluster, node);
  if (named == nullptr) {
    return Error(Code::kNotFound, "Vcluster " + name + " has no node " + Printable(node, kTextMax));
  }
  found.index = named->index();
  return found;
}

Result<Clusters::Found> Clusters::Find(const Caller& caller, Operation operation,
                                       const std::string& text) {
  const std::vector<std::string> parts = SplitTarget(text);
  if (parts.size() > 3) {
    return Error(Code::kNotFound, "no Vcluster or node is called '" + Printable(text, kTextMax) +
                                      "'; names are [OWNER/]VCLUSTER[/NODE]");
  }
  const auto find = [&](const std::string& owner, const std::string& name,
                        const std::string& node) {
    return FindOne(caller, operation, owner, name, node);
  };
  if (parts.size() == 3) return find(parts[0], parts[1], parts[2]);
  if (parts.size() == 1) return find("", parts[0], "");
  // "name/node" or "owner/name": where there is such a Vcluster of his, or what follows can only be
  // a node, a node is meant.
  auto as_cluster = find(parts[0], parts[1], "");
  auto as_node = find("", parts[0], parts[1]);
  if (as_node.ok() || IsNumber(parts[1])) return as_node;
  if (as_cluster.ok()) return as_cluster;
  return find("", parts[0], "").ok() ? as_node : as_cluster;
}

Result<VclusterView> Clusters::FindVcluster(const Caller& caller, Operation operation,
                                            const std::string& name) {
  ASSIGN_OR_RETURN(Found found, Find(caller, operation, name));
  RETURN_IF_ERROR(users_.Authorize(caller, operation, found.target));
  if (!found.index.has_value()) return std::move(found.view);
  return Error(Code::kInvalidArgument,
               "'" + Printable(name, kTextMax) + "' is one node: say the Vcluster");
}

ClusterView Clusters::View(const VclusterView& seen, bool with_usage) {
  const Vcluster& vcluster = *seen.vcluster;
  const master::v1::Vcluster& record = vcluster.record;
  NodeStates states = seen.states;
  if (with_usage) {
    std::set<std::string> hosts;
    for (const master::v1::Node& node : record.nodes()) hosts.insert(node.host());
    for (const std::string& host : hosts) {
      const std::shared_ptr<HostLink> link = master_.LinkTo(host);
      if (link == nullptr) continue;
      const auto looked = link->Look(record.number());
      if (!looked.ok()) continue;
      for (const host::v1::NodeStatus& status : looked->nodes()) {
        const auto known = states.find(status.index());
        if (known != states.end() && known->second.incarnation() == status.incarnation()) {
          known->second = status;
        }
      }
    }
  }
  ClusterView view;
  view.name = record.name();
  view.owner_uid = record.owner_uid();
  view.owner = users_.NameOf(record.owner_uid());
  view.prefix = vcluster.prefix;
  view.created_unix_ms = record.created_unix_ms();
  view.expires_unix_s = record.expires_unix_s();
  view.cloned_from = record.cloned_from();
  view.description = vcluster.definition.description;
  view.notice = seen.notice;
  const std::string credits = users_.CreditNotice(record.owner_uid());
  if (view.notice != credits && !credits.empty()) {
    view.notice += (view.notice.empty() ? "" : "; ") + credits;
  }
  for (const master::v1::Node& node : record.nodes()) {
    const auto status = states.find(node.index());
    const host::v1::NodeStatus* told = status == states.end() ? nullptr : &status->second;
    static const Role kGoneRole;
    const Role* known_role = vcluster.RoleOf(node);
    const Role& role = known_role == nullptr ? kGoneRole : *known_role;
    NodeView& out = view.nodes.emplace_back();
    out.name = record.name() + "/" + vcluster.NodeName(node);
    out.hostname = vcluster.Hostname(node);
    out.role = node.role();
    out.host = node.host();
    out.address = vcluster.AddressOf(node);
    out.condition = ConditionOf(vcluster, node, told);
    out.limits = role.limits;
    out.image = role.ImageOf(node.ordinal());
    if (const auto lost = seen.lost.find(node.index()); lost != seen.lost.end()) {
      out.condition = NodeCondition::kBreakdown;
      out.problem = "its host '" + lost->second + "' is lost (vcluster host list)";
      continue;
    }
    if (told == nullptr) {
      if (seen.problem.has_value()) out.problem = seen.problem->message();
      continue;
    }
    out.ready = told->state() == host::v1::READY;
    if (!told->image().empty()) out.image = told->image();
    out.image_digest = told->image_digest();
    out.driver = told->driver();
    out.volume = told->volume();
    out.disk_limit_bytes = told->disk_bytes();
    out.upper_bytes = told->upper_bytes();
    if (out.condition == NodeCondition::kRunning) {
      out.init_pid = static_cast<pid_t>(told->init_pid());
    }
    out.problem = told->problem();
    out.start_ms = told->start_ms();
    out.restarts = told->restarts();
    if (told->has_usage()) out.usage = told->usage();
    out.ports.assign(told->forwards().begin(), told->forwards().end());
    out.hooks.assign(told->hooks().begin(), told->hooks().end());
  }
  return view;
}

Result<std::vector<ClusterView>> Clusters::Look(const Caller& caller, const std::string& name,
                                                bool with_usage) {
  std::vector<VclusterView> chosen;
  if (!name.empty()) {
    ASSIGN_OR_RETURN(Found found, Find(caller, Operation::kVclusterList, name));
    RETURN_IF_ERROR(users_.Authorize(caller, Operation::kVclusterList, found.target));
    chosen.push_back(std::move(found.view));
  } else {
    chosen = master_.All([&](const master::v1::Vcluster& record) {
      return users_.Allows(caller, Operation::kVclusterList,
                           TargetOf(record.owner_uid(), record.name()));
    });
  }
  std::vector<ClusterView> views;
  for (const VclusterView& view : chosen) views.push_back(View(view, with_usage));
  std::sort(views.begin(), views.end(), [](const ClusterView& a, const ClusterView& b) {
    return std::tie(a.owner, a.name) < std::tie(b.owner, b.name);
  });
  return views;
}

Result<std::vector<ClusterView>> Clusters::List(const Caller& caller, const std::string& name) {
  return Look(caller, name, /*with_usage=*/true);
}

Result<std::vector<ClusterView>> Clusters::Glance(const Caller& caller, const std::string& name) {
  return Look(caller, name, /*with_usage=*/false);
}

std::optional<ClusterView> Clusters::Glance(uint32_t number) {
  const VclusterView seen = master_.Find(number);
  if (seen.vcluster == nullptr) return std::nullopt;
  return View(seen, /*with_usage=*/false);
}

Result<Target> Clusters::MayDo(const Caller& caller, Operation operation, const std::string& name) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, operation, name));
  RETURN_IF_ERROR(users_.Authorize(caller, operation, found.target));
  Target target = found.target;
  if (found.index.has_value()) {
    const Vcluster& vcluster = *found.view.vcluster;
    target.name += "/" + vcluster.NodeName(*vcluster.FindNode(*found.index));
  }
  return target;
}

Result<VclusterPtr> Clusters::FindForCommands(const Caller& caller, const std::string& name) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kVclusterExec, name));
  if (found.index.has_value()) {
    return Error(Code::kInvalidArgument, "'" + name + "' is a node: name its Vcluster");
  }
  return found.view.vcluster;
}

Result<NodePlace> Clusters::FindNode(const Caller& caller, Operation operation,
                                     const std::string& node) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, operation, node));
  RETURN_IF_ERROR(users_.Authorize(caller, operation, found.target));
  const Vcluster& vcluster = *found.view.vcluster;
  if (!found.index.has_value()) {
    return Error(Code::kInvalidArgument,
                 "say which node: " + node + "/" + vcluster.NodeName(vcluster.record.nodes(0)));
  }
  const master::v1::Node& named = *vcluster.FindNode(*found.index);
  NodePlace place;
  place.number = vcluster.record.number();
  place.index = *found.index;
  place.name = vcluster.record.name() + "/" + vcluster.NodeName(named);
  place.host = named.host();
  place.link = master_.LinkTo(named.host());
  if (place.link == nullptr) {
    return Error(Code::kUnavailable, "node " + place.name + " is on host '" + named.host() +
                                         "', which is not there (vcluster host list)");
  }
  return place;
}

Result<std::vector<Master::HostView>> Clusters::Hosts(const Caller& caller) {
  RETURN_IF_ERROR(users_.Authorize(caller, Operation::kHostList, {}));
  std::vector<Master::HostView> hosts = master_.Hosts();
  // Which nodes others have is not told to everybody.
  const bool sees_all = users_.Allows(caller, Operation::kHostDrain, {});
  for (Master::HostView& host : hosts) {
    if (!sees_all) host.staying.clear();
  }
  return hosts;
}

Status Clusters::Drain(const Caller& caller, const std::string& host, bool drain) {
  return users_.Perform(caller, Operation::kHostDrain, {std::nullopt, "host " + host, ""},
                        drain ? "drain" : "resume", [&] { return master_.Drain(host, drain); });
}

Result<std::string> Clusters::Why(const Caller& caller, const std::string& node) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kVclusterList, node));
  RETURN_IF_ERROR(users_.Authorize(caller, Operation::kVclusterList, found.target));
  const Vcluster& vcluster = *found.view.vcluster;
  std::string text;
  for (const master::v1::Node& candidate : vcluster.record.nodes()) {
    if (found.index.has_value() && candidate.index() != *found.index) continue;
    ASSIGN_OR_RETURN(const std::string why,
                     master_.Why(vcluster.record.number(), candidate.index()));
    text += why;
  }
  if (!vcluster.record.last_problem().empty()) {
    text += "last moved because " + vcluster.record.last_problem() + "\n";
  }
  return text;
}

std::map<uint32_t, QuotaAmounts> Clusters::Used() {
  std::map<uint32_t, QuotaAmounts> used;
  for (const VclusterView& view : master_.All()) {
    used[view.vcluster->record.owner_uid()] += DemandOf(*view.vcluster).amounts;
  }
  return used;
}

Result<Definition> Clusters::Export(const Caller& caller, const std::string& name) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kVclusterExport, name));
  RETURN_IF_ERROR(users_.Authorize(caller, Operation::kVclusterExport, found.target));
  return found.view.vcluster->definition;
}

}  // namespace strata::vcluster
