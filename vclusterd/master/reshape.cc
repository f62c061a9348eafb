#include "vclusterd/master/reshape.h"

#include <algorithm>

#include "net/subnets.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/master/quota_demand.h"

namespace strata::vcluster {
namespace {

// Nodes of the role that stay, those that go first at the end. A record has its nodes as they were
// added; their ordinals say nothing of that, because what was given back is given again.
std::vector<master::v1::Node*> ByStaying(const Role& role, const ReshapeOptions& options,
                                         master::v1::Vcluster* record) {
  std::vector<master::v1::Node*> nodes;
  for (master::v1::Node& node : *record->mutable_nodes()) {
    if (node.role() == role.name && !node.leaving()) nodes.push_back(&node);
  }
  const auto use = [&](const master::v1::Node* node) {
    const auto found = options.cpu_use.find(node->index());
    return found == options.cpu_use.end() ? 0.0 : found->second;
  };
  if (role.scale_in == ScaleIn::kOldest) std::reverse(nodes.begin(), nodes.end());
  if (role.scale_in == ScaleIn::kIdlest) {
    std::stable_sort(nodes.begin(), nodes.end(),
                     [&](const auto* a, const auto* b) { return use(a) > use(b); });
  }
  return nodes;
}

// Its limits count until it is gone, whatever becomes of its role.
void Leave(const Vcluster& before, master::v1::Node* node) {
  if (node->leaving()) return;
  if (const Role* role = before.definition.FindRole(node->role())) {
    *node->mutable_leaves_with() = AmountsOf(*role, *node);
  }
  node->set_leaving(true);
}

Status CheckChanges(const std::vector<DefinitionChange>& changes, bool recreate) {
  std::vector<DefinitionChange> refused;
  std::vector<DefinitionChange> anew;
  for (const DefinitionChange& change : changes) {
    if (change.effect == ChangeEffect::kRefused) refused.push_back(change);
    if (change.effect == ChangeEffect::kRecreate) anew.push_back(change);
  }
  if (!refused.empty()) {
    return Error(
        Code::kFailedPrecondition,
        "this cannot change; delete the Vcluster and make another:\n" + FormatChanges(refused));
  }
  if (!anew.empty() && !recreate) {
    return Error(Code::kFailedPrecondition,
                 "this makes nodes anew, and what they wrote is lost (save them first, then "
                 "--recreate):\n" +
                     FormatChanges(anew));
  }
  return Ok();
}

}  // namespace

std::map<uint32_t, double> CpuUseOf(const NodeStates& states) {
  std::map<uint32_t, double> use;
  for (const auto& [index, status] : states) {
    if (status.has_usage()) use[index] = status.usage().cpus();
  }
  return use;
}

Status Reshape(const Vcluster& before, const Definition& wanted, const ReshapeOptions& options,
               master::v1::Vcluster* record) {
  RETURN_IF_ERROR(CheckClassQuota(record->quota(), wanted));
  RETURN_IF_ERROR(CheckChanges(DiffDefinitions(before.definition, wanted), options.recreate));
  record->set_definition(FormatDefinitionJson(wanted));
  NameVolumes(wanted, record);
  NumberRoles(wanted, record);
  if (wanted.ScalesFromNodes() && !before.definition.ScalesFromNodes()) {
    record->set_scales_anew(record->scales_anew() + 1);
  }
  for (master::v1::Node& node : *record->mutable_nodes()) {
    const Role* role = wanted.FindRole(node.role());
    const Role* old_role = before.definition.FindRole(node.role());
    if (role == nullptr || role->host_loss != HostLoss::kRecreate) node.clear_fenced();
    if (role == nullptr) {
      Leave(before, &node);
    } else if (!node.leaving() && old_role != nullptr &&
               old_role->ImageOf(node.ordinal()) != role->ImageOf(node.ordinal())) {
      record->set_incarnations(record->incarnations() + 1);
      node.set_incarnation(record->incarnations());
      node.clear_move();
    }
  }
  for (const Role& role : wanted.roles) {
    const std::vector<master::v1::Node*> nodes = ByStaying(role, options, record);
    for (size_t i = role.count; i < nodes.size(); ++i) Leave(before, nodes[i]);
    if (nodes.size() >= role.count) continue;
    // Those that are leaving keep their names until they are gone.
    const auto leaving = static_cast<uint32_t>(std::count_if(
        record->nodes().begin(), record->nodes().end(),
        [&](const auto& node) { return node.role() == role.name && node.leaving(); }));
    RETURN_IF_ERROR(
        AddNodes(record, role.name, role.count + leaving, net::NodesMaxOf(before.prefix)));
  }
  if (wanted.expires == before.definition.expires &&
      wanted.lifetime == before.definition.lifetime) {
    return Ok();
  }
  record->set_expired(false);
  record->set_expires_unix_s(0);
  if (wanted.expires.has_value()) {
    record->set_expires_unix_s(wanted.expires->time_since_epoch().count());
  } else if (wanted.lifetime.has_value()) {
    record->set_expires_unix_s(options.now_unix_s + wanted.lifetime->count());
  }
  return Ok();
}

bool DropNodes(const std::vector<uint32_t>& gone, master::v1::Vcluster* record) {
  const int before = record->nodes_size();
  auto* nodes = record->mutable_nodes();
  for (int i = nodes->size() - 1; i >= 0; --i) {
    const bool is_gone = std::find(gone.begin(), gone.end(), nodes->Get(i).index()) != gone.end();
    if (is_gone) nodes->DeleteSubrange(i, 1);
  }
  return record->nodes_size() != before;
}

}  // namespace strata::vcluster
