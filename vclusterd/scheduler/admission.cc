#include "vclusterd/scheduler/admission.h"

#include <algorithm>
#include <cstdio>

#include "common/byte_size.h"

namespace strata::vcluster {
namespace {

using Kind = AffinityRule::Kind;

std::string Factor(double factor) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.3g", factor);
  std::string number = text;
  if (number.find('.') == std::string::npos) number += ".0";
  return number;
}

// "4.0 GiB", or bytes where the other amount would look the same.
std::string BytesText(int64_t bytes, int64_t beside) {
  std::string text = HumanBytes(static_cast<uint64_t>(bytes));
  if (bytes == beside || text != HumanBytes(static_cast<uint64_t>(beside))) return text;
  return std::to_string(bytes) + " B";
}

std::string TargetText(const AffinityRule& rule) {
  std::string text = rule.role.empty() ? "a node" : "role " + rule.role;
  if (!rule.vcluster) return text + " of its Vcluster";
  return text + " of " +
         (rule.vcluster_name.empty() ? "Vcluster " + std::to_string(*rule.vcluster)
                                     : rule.vcluster_name);
}

bool HasLabel(const HostOffer& host, const std::string& label) {
  return std::find(host.labels.begin(), host.labels.end(), label) != host.labels.end();
}

}  // namespace

std::string ReasonsText(const std::vector<Refusal>& refusals) {
  std::string text;
  for (const Refusal& refusal : refusals) text += (text.empty() ? "" : "; ") + refusal.text;
  return text;
}

bool IsRoom(RefusalKind kind) {
  return kind == RefusalKind::kNodes || kind == RefusalKind::kCpus ||
         kind == RefusalKind::kMemory || kind == RefusalKind::kDisk;
}

Admission::Admission(const PlacementState& state, const NodeDemand& demand,
                     const TargetCounts& coming)
    : state_(state),
      demand_(demand),
      amounts_(CountedAmounts(demand.request, state.parameters())),
      marks_(state.slots()) {
  MarkOwn();
  static_assert(kRulesMax <= 32);  // Bits of waiting_.
  for (size_t i = 0; i < demand.rules.size(); ++i) MarkRule(i, coming);
  MarkRepelled({demand.key.vcluster, ""});
  if (!demand.role.empty()) MarkRepelled({demand.key.vcluster, demand.role});
  for (const std::string& host : demand.excluded_hosts) {
    if (const auto slot = state.FindHost(host)) marks_[*slot].excluded = true;
  }
  if (!demand.preferred_host.empty()) preferred_ = state.FindHost(demand.preferred_host);
}

void Admission::MarkOwn() {
  const uint32_t vcluster = demand_.key.vcluster;
  for (const auto& [slot, count] : state_.present().Of({vcluster, ""})) {
    marks_[slot].own_nodes = count;
  }
  if (demand_.role.empty()) {
    for (Mark& mark : marks_) mark.same_role = mark.own_nodes;
    return;
  }
  for (const auto& [slot, count] : state_.present().Of({vcluster, demand_.role})) {
    marks_[slot].same_role = count;
  }
}

void Admission::MarkRule(size_t index, const TargetCounts& coming) {
  const AffinityRule& rule = demand_.rules[index];
  const AffinityTarget target = TargetOf(rule, demand_);
  const TargetCounts::OnHosts& hosts = state_.present().Of(target);
  if (rule.kind == Kind::kApart) {
    for (const auto& [slot, count] : hosts) {
      if (rule.must) marks_[slot].apart = true;
      if (!rule.must) --marks_[slot].balance;
    }
    return;
  }
  if (!rule.must) {
    for (const auto& [slot, count] : hosts) ++marks_[slot].balance;
    return;
  }
  // The first of nodes that must be with each other has nobody to be with.
  const bool waits = Matches(target, demand_) || !coming.Of(target).empty();
  if (hosts.empty() && waits) {
    waiting_ |= 1u << index;
    return;
  }
  ++with_rules_;
  for (const auto& [slot, count] : hosts) ++marks_[slot].with_kept;
}

void Admission::MarkRepelled(const AffinityTarget& target) {
  for (const auto& [slot, count] : state_.repelled().Of(target)) marks_[slot].apart = true;
}

Amounts Admission::RoomOn(HostSlot slot) const {
  const HostTally& host = state_.host(slot);
  return host.limit - host.requested - state_.book().KeptFrom(demand_, slot);
}

bool Admission::Check(HostSlot slot, std::vector<Refusal>* refusals) const {
  const HostOffer& offer = state_.host(slot).offer;
  const auto refuse = [&](RefusalKind kind, std::string text) {
    refusals->push_back({kind, std::move(text)});
  };
  if (offer.condition != HostCondition::kReady) {
    if (refusals == nullptr) return false;
    refuse(RefusalKind::kCondition,
           offer.condition == HostCondition::kDraining ? "draining" : "lost");
  }
  if (marks_[slot].excluded) {
    if (refusals == nullptr) return false;
    refuse(RefusalKind::kExcluded, "excluded by the request");
  }
  for (const std::string& label : demand_.required_labels) {
    if (HasLabel(offer, label)) continue;
    if (refusals == nullptr) return false;
    refuse(RefusalKind::kLabel, "lacks label " + label);
  }
  if (marks_[slot].with_kept < with_rules_) {
    if (refusals == nullptr) return false;
    ExplainWith(slot, refusals);
  }
  if (marks_[slot].apart) {
    if (refusals == nullptr) return false;
    ExplainApart(slot, refusals);
  }
  return CheckRoom(slot, refusals) && (refusals == nullptr || refusals->empty());
}

bool Admission::CheckRoom(HostSlot slot, std::vector<Refusal>* refusals) const {
  const HostTally& host = state_.host(slot);
  const FreeRoom free = host.Free();
  const Amounts room = RoomOn(slot);
  const bool fits = free.nodes_left > 0 && amounts_.FitsIn(room);
  const Reservation* blocked =
      fits ? state_.book().Blocking(demand_, amounts_, slot, free) : nullptr;
  if (refusals == nullptr || (fits && blocked == nullptr)) return fits && blocked == nullptr;

  if (free.nodes_left <= 0) {
    refusals->push_back({RefusalKind::kNodes, "has " + std::to_string(host.nodes.size()) +
                                                  " nodes of at most " +
                                                  std::to_string(host.offer.nodes_max)});
  }
  const Amounts left = room.Positive();
  const std::string keepers = state_.book().KeepersFrom(demand_, slot);
  const std::string kept = keepers.empty() ? "" : " beside what is kept for " + keepers;
  if (amounts_.milli_cpus > room.milli_cpus) {
    refusals->push_back({RefusalKind::kCpus, "needs " + CpusText(amounts_.milli_cpus) + ", " +
                                                 CpusNumber(left.milli_cpus) + " left of " +
                                                 CpusNumber(host.capacity.milli_cpus) +
                                                 " (over-commit " +
                                                 Factor(host.offer.overcommit_cpus) + ")" + kept});
  }
  if (amounts_.memory_bytes > room.memory_bytes) {
    refusals->push_back({RefusalKind::kMemory,
                         "needs " + BytesText(amounts_.memory_bytes, left.memory_bytes) +
                             " of memory, " + BytesText(left.memory_bytes, amounts_.memory_bytes) +
                             " left of " +
                             HumanBytes(static_cast<uint64_t>(host.capacity.memory_bytes)) +
                             " (over-commit " + Factor(host.offer.overcommit_memory) + ")" + kept});
  }
  if (amounts_.disk_bytes > room.disk_bytes) {
    refusals->push_back({RefusalKind::kDisk,
                         "needs " + BytesText(amounts_.disk_bytes, left.disk_bytes) + " of disk, " +
                             BytesText(left.disk_bytes, amounts_.disk_bytes) + " left of " +
                             HumanBytes(static_cast<uint64_t>(host.capacity.disk_bytes)) + kept});
  }
  if (blocked != nullptr) {
    refusals->push_back(
        {RefusalKind::kReserved, "has room that reservation '" + blocked->name + "' needs"});
  }
  return false;
}

void Admission::ExplainWith(HostSlot slot, std::vector<Refusal>* refusals) const {
  for (size_t i = 0; i < demand_.rules.size(); ++i) {
    const AffinityRule& rule = demand_.rules[i];
    if (!rule.must || rule.kind != Kind::kWith || (waiting_ >> i & 1) != 0) continue;
    const AffinityTarget target = TargetOf(rule, demand_);
    if (state_.present().At(target, slot) > 0) continue;
    std::string text = "must be with " + TargetText(rule);
    const TargetCounts::OnHosts& hosts = state_.present().Of(target);
    if (hosts.empty()) {
      text += ", which is nowhere";
    } else {
      // By name: slots depend on the order in which hosts came.
      std::string first;
      for (const auto& entry : hosts) {
        const std::string& name = state_.host(entry.first).offer.name;
        if (first.empty() || name < first) first = name;
      }
      text += ", which is on " + first;
      if (hosts.size() > 1) text += " and " + std::to_string(hosts.size() - 1) + " more";
    }
    refusals->push_back({RefusalKind::kWith, text});
  }
}

void Admission::ExplainApart(HostSlot slot, std::vector<Refusal>* refusals) const {
  for (const NodeKey key : state_.host(slot).nodes) {
    const NodeDemand& other = *state_.FindNode(key)->demand;
    const auto repels = [](const NodeDemand& from, const NodeDemand& whom) {
      return std::any_of(from.rules.begin(), from.rules.end(), [&](const AffinityRule& rule) {
        return rule.must && rule.kind == Kind::kApart && Matches(TargetOf(rule, from), whom);
      });
    };
    if (repels(demand_, other)) {
      refusals->push_back({RefusalKind::kApart, "must be apart from " + other.name});
    } else if (repels(other, demand_)) {
      refusals->push_back({RefusalKind::kApart, other.name + " must be apart from it"});
    } else {
      continue;
    }
    return;  // One is enough.
  }
}

std::vector<Refusal> Admission::Refusals(HostSlot slot) const {
  std::vector<Refusal> refusals;
  Check(slot, &refusals);
  return refusals;
}

}  // namespace strata::vcluster
