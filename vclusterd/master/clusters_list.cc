// What is shown.
#include <algorithm>
#include <tuple>

#include "vclusterd/master/clusters.h"

namespace strata::vcluster {
namespace {

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

ClusterView Clusters::View(const VclusterView& seen, bool with_usage) {
  const Vcluster& vcluster = *seen.vcluster;
  const master::v1::Vcluster& record = vcluster.record;
  NodeStates looked_at;
  if (with_usage) {
    looked_at = seen.states;
    std::set<std::string> hosts;
    for (const master::v1::Node& node : record.nodes()) hosts.insert(node.host());
    for (const std::string& host : hosts) {
      const std::shared_ptr<HostLink> link = master_.LinkTo(host);
      if (link == nullptr) continue;
      const auto looked = link->Look(record.number());
      if (!looked.ok()) continue;
      for (const host::v1::NodeStatus& status : looked->nodes()) {
        const auto known = looked_at.find(status.index());
        if (known != looked_at.end() && known->second.incarnation() == status.incarnation()) {
          known->second = status;
        }
      }
    }
  }
  const NodeStates& states = with_usage ? looked_at : seen.states;
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

Result<Clusters::Page> Clusters::ListPage(const Caller& caller, const PageQuery& query) {
  const size_t slash = query.after.find('/');
  const std::string after_owner = query.after.substr(0, slash);
  const std::string after_name =
      slash == std::string::npos ? std::string() : query.after.substr(slash + 1);
  std::vector<std::pair<std::string, uint32_t>> owners;
  if (query.owner.empty()) {
    for (const uint32_t uid : master_.Owners()) owners.emplace_back(users_.NameOf(uid), uid);
  } else if (const auto uid = users_.UidOf(query.owner); uid.ok()) {
    owners.emplace_back(users_.NameOf(*uid), *uid);
  }
  std::erase_if(owners, [&](const auto& owner) { return owner.first < after_owner; });
  std::sort(owners.begin(), owners.end());
  // Only a token for one Vcluster tells those of one owner apart.
  const bool alike = caller.token == nullptr || caller.token->scope.vcluster.empty();
  const auto sees = [&](uint32_t uid, const std::string& name) {
    return users_.Allows(caller, Operation::kVclusterList, TargetOf(uid, name));
  };
  Page page;
  for (const auto& [owner, uid] : owners) {
    if (alike && !sees(uid, "")) continue;
    // One more than there is room for tells whether there are more.
    const std::vector<VclusterView> seen = master_.Page(
        uid, owner == after_owner ? after_name : std::string(), query.limit + 1 - page.views.size(),
        [&](const master::v1::Vcluster& record) { return alike || sees(uid, record.name()); });
    for (const VclusterView& view : seen) {
      if (page.views.size() == query.limit) {
        page.next = page.views.back().owner + "/" + page.views.back().name;
        return page;
      }
      page.views.push_back(View(view, query.fresh));
    }
  }
  return page;
}

}  // namespace strata::vcluster
