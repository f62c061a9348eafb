#include "net/host_network.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "net/forwarding.h"
#include "net/ruleset.h"

namespace strata::net {
namespace {

std::set<std::string> VethsOf(const std::string& instance, const std::vector<ObservedLink>& links) {
  std::set<std::string> veths;
  for (const ObservedLink& link : links) {
    if (IsNameOf(link.name, instance, LinkKind::kVeth)) veths.insert(link.name);
  }
  return veths;
}

void Append(std::vector<std::string>* lines, std::vector<std::string> more) {
  for (std::string& line : more) lines->push_back(std::move(line));
}

// Where a peer is, and which of its keys counts, follows from what it does. Of rules that an
// earlier process put it is not known whether they are in force still.
bool IsNoRepair(const std::string& change, bool rules_were_known) {
  return change.starts_with("~ peer ") ||
         (!rules_were_known && change.starts_with("~ rules of fabric "));
}

}  // namespace

Result<std::unique_ptr<HostNetwork>> HostNetwork::Open(Options options) {
  options.ovs.instance = options.instance;
  std::unique_ptr<HostNetwork> network(new HostNetwork(std::move(options)));
  // Before there are many descriptors (net/nft.h).
  RETURN_IF_ERROR(network->rules_.nft().Start());
  if (network->options_.driver == Driver::kOvs) {
    ASSIGN_OR_RETURN(network->ovs_, OvsSwitch::Open(network->options_.ovs));
  } else if (network->options_.fast_path) {
    network->fast_ = FastPath::OpenOrLog();
  }
  if (!network->options_.state_dir.empty()) {
    HostFabric::Options fabric;
    fabric.instance = network->options_.instance;
    fabric.state_dir = network->options_.state_dir;
    fabric.run_dir = network->options_.run_dir;
    RETURN_IF_ERROR(network->fabric_.emplace(fabric).Start());
  }
  return network;
}

Result<PlannedChanges> HostNetwork::Plan(DesiredNetwork desired) {
  if (!HasIpv6()) desired = WithoutIpv6(std::move(desired));
  names_.Mark(&desired);
  PlannedChanges planned;
  ASSIGN_OR_RETURN(const std::vector<ObservedLink> links, ObserveLinks());
  if (fabric_.has_value()) {
    ASSIGN_OR_RETURN(planned.changes, fabric_->Plan(desired.fabric));
  }
  if (ovs_.has_value()) {
    ASSIGN_OR_RETURN(const OvsPlan ovs, ovs_->Plan(desired, links));
    Append(&planned.changes, DescribeOvsChanges(ovs));
  }
  ASSIGN_OR_RETURN(const NetworkPlan plan, MakePlan(desired, links, options_.driver));
  Append(&planned.changes, DescribeChanges(plan));
  planned.ruleset = FormatRuleset(plan.ruleset);
  planned.new_rules = !rules_.Has(plan.ruleset);
  return planned;
}

Status HostNetwork::MakeFabric(const DesiredNetwork& desired, std::vector<std::string>* changes) {
  if (!fabric_.has_value()) {
    if (!desired.fabric) return Ok();
    return Error(Code::kFailedPrecondition, "fabric: there is no state directory for its keys");
  }
  ASSIGN_OR_RETURN(*changes, fabric_->Make(desired.fabric));
  return Ok();
}

Result<HostNetwork::Made> HostNetwork::Make(DesiredNetwork desired,
                                            const std::function<void()>& before_rules) {
  if (desired.pool6 && !HasIpv6()) desired = WithoutIpv6(std::move(desired));
  std::vector<std::string> changes;
  Status fabric = Ok();
  if (desired.fabric) {
    fabric = MakeFabric(desired, &changes);
    // Otherwise what is for it would go in plain. If it would not, all else goes on.
    if (!fabric.ok() && (!fabric_.has_value() || !fabric_->IsSealed())) return fabric.error();
  }
  Result<Made> made = MakeAll(desired, before_rules);
  if (made.ok() && !desired.fabric) fabric = MakeFabric(desired, &changes);
  if (!made.ok() && fast_ != nullptr) {
    if (Status cleared = fast_->Clear(); !cleared.ok()) LOG_WARNING(cleared.error().message());
  }
  if (!made.ok()) return made;
  RETURN_IF_ERROR(fabric);
  const bool fabric_was_known = std::exchange(fabric_was_made_, true);
  made->mends |= !std::all_of(changes.begin(), changes.end(), [&](const std::string& change) {
    return IsNoRepair(change, fabric_was_known);
  });
  made->changes.insert(made->changes.begin(), changes.begin(), changes.end());
  return made;
}

Result<std::vector<ObservedLink>> HostNetwork::MakeSwitch(const DesiredNetwork& desired,
                                                          const std::function<void()>& before_rules,
                                                          bool* new_rules, Made* made) {
  ASSIGN_OR_RETURN(std::vector<ObservedLink> links, ObserveLinks());
  if (!ovs_.has_value()) return links;
  ASSIGN_OR_RETURN(const OvsPlan plan, ovs_->Plan(desired, links));
  // Rules first: they know how to treat what flows let through from then on.
  if (!plan.empty() && !desired.bridges.empty()) {
    ASSIGN_OR_RETURN(const NetworkPlan rest, MakePlan(desired, links, options_.driver));
    before_rules();
    ASSIGN_OR_RETURN(*new_rules, rules_.Put(rest.ruleset));
  }
  RETURN_IF_ERROR(ovs_->Apply(plan));
  if (plan.empty()) return links;
  Append(&made->changes, DescribeOvsChanges(plan));
  return ObserveLinks();
}

Status HostNetwork::MakeFast(const DesiredNetwork& desired,
                             const std::vector<ObservedLink>& links) {
  if (fast_ == nullptr) return Ok();
  const auto kept = fast_->Keep(desired, links, KeptOffTheFastPath(desired));
  return kept.ok() ? Ok() : Status(kept.error().Wrap("fast path"));
}

Result<bool> HostNetwork::ServeNames(DesiredNetwork* desired) {
  if (!names_.Serve(*desired)) return false;
  names_.Mark(desired);
  return rules_.Put(MakeRuleset(*desired));
}

Result<HostNetwork::Made> HostNetwork::MakeAll(DesiredNetwork desired,
                                               const std::function<void()>& before_rules) {
  Made made;
  names_.Prepare(desired);
  names_.Mark(&desired);
  if (!desired.bridges.empty()) {
    RETURN_IF_ERROR(EnableForwarding(MarkerPath()));
    if (desired.pool6) RETURN_IF_ERROR(EnableForwarding6(Marker6Path()));
  }
  bool new_rules = false;
  ASSIGN_OR_RETURN(std::vector<ObservedLink> links,
                   MakeSwitch(desired, before_rules, &new_rules, &made));
  ASSIGN_OR_RETURN(const NetworkPlan plan, MakePlan(desired, links, options_.driver));
  before_rules();
  std::vector<std::string> changes = DescribeChanges(plan);
  const auto make_fast = [&]() -> Status {
    if (fast_ != nullptr && !changes.empty()) {
      ASSIGN_OR_RETURN(links, ObserveLinks());
    }
    return MakeFast(desired, links);
  };
  ASSIGN_OR_RETURN(const bool put, ApplyPlan(plan, &rules_, make_fast));
  new_rules |= put;
  ASSIGN_OR_RETURN(const bool newer_rules, ServeNames(&desired));
  new_rules |= newer_rules;
  Append(&made.changes, std::move(changes));

  const std::set<std::string> veths = VethsOf(options_.instance, links);
  const auto is_of_new_link = [&](const std::string& change) {
    return std::any_of(veths.begin(), veths.end(), [&](const std::string& veth) {
      return !linked_.contains(veth) && (" " + change + " ").find(" " + veth + " ") != change.npos;
    });
  };
  // Of what an earlier process put, it is not known whether it is in force still.
  const bool rules_were_known = std::exchange(rules_were_put_, true);
  made.mends = (new_rules && rules_were_known) ||
               !std::all_of(made.changes.begin(), made.changes.end(), is_of_new_link);
  if (new_rules) made.changes.push_back("~ rules of table " + TableName(options_.instance));
  linked_ = veths;
  if (desired.bridges.empty()) {
    RETURN_IF_ERROR(RestoreForwarding6(Marker6Path(), rules_.nft()));
    RETURN_IF_ERROR(RestoreForwarding(MarkerPath(), rules_.nft()));
  }
  return made;
}

Result<FabricView> HostNetwork::LookAtFabric(const std::optional<DesiredFabric>& desired) {
  if (!fabric_.has_value()) {
    return Error(Code::kFailedPrecondition, "fabric: there is no state directory for its keys");
  }
  return fabric_->Look(desired);
}

std::optional<FastProgram::Counts> HostNetwork::FastCounts() const {
  if (fast_ == nullptr) return std::nullopt;
  auto counts = fast_->Count();
  return counts.ok() ? std::optional(*counts) : std::nullopt;
}

}  // namespace strata::net
