// Names and rights.
#include "vclusterd/master/clusters.h"

#include <algorithm>
#include <charconv>

#include "common/printable.h"
#include "vclusterd/master/pin_images.h"
#include "vclusterd/master/plausible.h"

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

Result<host::v1::UsageHistory> Clusters::History(const Caller& caller, const std::string& node) {
  ASSIGN_OR_RETURN(const NodePlace place, FindNode(caller, Operation::kVclusterList, node));
  ASSIGN_OR_RETURN(const auto history, place.link->History(place.number, place.index));
  return Plausible(history);
}

Result<host::v1::UsageHistory> Clusters::HostHistory(const Caller& caller,
                                                     const std::string& host) {
  RETURN_IF_ERROR(users_.Authorize(caller, Operation::kHostList, {}));
  if (const auto link = master_.LinkTo(host)) {
    ASSIGN_OR_RETURN(const auto history, link->HostHistory());
    return Plausible(history);
  }
  for (const Master::HostView& known : master_.Hosts()) {
    if (known.name != host) continue;
    return Error(Code::kUnavailable, "host '" + host + "' is lost (vcluster host list)");
  }
  return Error(Code::kNotFound, "there is no host '" + host + "'");
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

Status Clusters::RotateFabricKeys(const Caller& caller) {
  return users_.Perform(caller, Operation::kHostDrain, {std::nullopt, "all hosts", ""},
                        "rotate fabric keys", [&] { return master_.RotateFabricKeys(); });
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

Result<Definition> Clusters::Export(const Caller& caller, const std::string& name, bool pin) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kVclusterExport, name));
  RETURN_IF_ERROR(users_.Authorize(caller, Operation::kVclusterExport, found.target));
  if (pin) return PinImages(*found.view.vcluster, found.view.states);
  return found.view.vcluster->definition;
}

}  // namespace strata::vcluster
