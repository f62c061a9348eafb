#include "net/host_network.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
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

// Those whose frames only the bridge's rules know how to treat.
std::set<std::string> KeptOffTheFastPath(const DesiredNetwork& desired) {
  std::set<uint32_t> with_groups;
  for (const Bridge& bridge : desired.bridges) {
    if (!bridge.group_rules.empty()) with_groups.insert(bridge.number);
  }
  std::set<std::string> kept_off;
  for (const Veth& veth : desired.veths) {
    if (veth.user != 0 || with_groups.contains(veth.network)) kept_off.insert(veth.name);
  }
  return kept_off;
}

void Append(std::vector<std::string>* lines, std::vector<std::string> more) {
  for (std::string& line : more) lines->push_back(std::move(line));
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
  return network;
}

Result<PlannedChanges> HostNetwork::Plan(DesiredNetwork desired) {
  names_.Mark(&desired);
  PlannedChanges planned;
  ASSIGN_OR_RETURN(const std::vector<ObservedLink> links, ObserveLinks());
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

Result<HostNetwork::Made> HostNetwork::Make(DesiredNetwork desired,
                                            const std::function<void()>& before_rules) {
  Result<Made> made = MakeAll(std::move(desired), before_rules);
  if (!made.ok() && fast_ != nullptr) {
    if (Status cleared = fast_->Clear(); !cleared.ok()) LOG_WARNING(cleared.error().message());
  }
  return made;
}

Result<std::vector<ObservedLink>> HostNetwork::MakeSwitch(const DesiredNetwork& desired,
                                                          Made* made) {
  ASSIGN_OR_RETURN(std::vector<ObservedLink> links, ObserveLinks());
  if (!ovs_.has_value()) return links;
  ASSIGN_OR_RETURN(const OvsPlan plan, ovs_->Plan(desired, links));
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
  if (!desired.bridges.empty()) RETURN_IF_ERROR(EnableForwarding(MarkerPath()));
  ASSIGN_OR_RETURN(std::vector<ObservedLink> links, MakeSwitch(desired, &made));
  ASSIGN_OR_RETURN(const NetworkPlan plan, MakePlan(desired, links, options_.driver));
  before_rules();
  ASSIGN_OR_RETURN(bool new_rules, ApplyPlan(plan, &rules_));
  ASSIGN_OR_RETURN(const bool newer_rules, ServeNames(&desired));
  new_rules |= newer_rules;
  std::vector<std::string> changes = DescribeChanges(plan);
  if (fast_ != nullptr && !changes.empty()) {
    ASSIGN_OR_RETURN(links, ObserveLinks());
  }
  RETURN_IF_ERROR(MakeFast(desired, links));
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
  if (desired.bridges.empty()) RETURN_IF_ERROR(RestoreForwarding(MarkerPath(), rules_.nft()));
  return made;
}

std::optional<FastProgram::Counts> HostNetwork::FastCounts() const {
  if (fast_ == nullptr) return std::nullopt;
  auto counts = fast_->Count();
  return counts.ok() ? std::optional(*counts) : std::nullopt;
}

}  // namespace strata::net
