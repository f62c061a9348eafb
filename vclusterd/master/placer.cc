#include "vclusterd/master/placer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/log.h"
#include "vclusterd/master/moves.h"
#include "vclusterd/master/reservations.h"
#include "vclusterd/scheduler/admission.h"
#include "vclusterd/scheduler/load_class.h"

namespace strata::vcluster {
namespace {

// What a node without a limit counts as: little, because most of them idle.
constexpr double kDefaultCpus = 0.05;
constexpr uint64_t kDefaultMemoryBytes = 16u << 20;
// Anybody may ask why: who might be preempted is looked for up to so many nodes times hosts.
constexpr size_t kProposalWorkMax = 500;
// Of nodes whose stop would give no room, or come in between.
constexpr int32_t kNeverPreempted = std::numeric_limits<int32_t>::max();
// Beyond all indices: the room that a node which moves leaves is kept for it under this and its
// own.
constexpr uint32_t kOldPlaces = 1'000'000;

PlacementState NewState() {
  SchedulerParameters parameters;
  parameters.default_cpus = kDefaultCpus;
  parameters.default_memory_bytes = kDefaultMemoryBytes;
  auto state = PlacementState::Create(parameters);
  CHECK(state.ok());
  return std::move(*state);
}

RankBy RankOf(Rank rank) {
  switch (rank) {
    case Rank::kLeastRequested:
      return RankBy::kLeastRequested;
    case Rank::kPack:
      return RankBy::kPack;
    case Rank::kSpread:
      return RankBy::kSpread;
  }
  return RankBy::kPack;
}

NodeDemand DemandOf(const Vcluster& vcluster, const master::v1::Node& node) {
  const Role& role = *vcluster.RoleOf(node);
  NodeDemand demand;
  demand.key = {vcluster.record.number(), node.index()};
  demand.name = vcluster.record.name() + "/" + vcluster.NodeName(node);
  demand.owner_uid = vcluster.record.owner_uid();
  if (!vcluster.record.class_key().empty()) {
    demand.group = GroupOfClass(vcluster.record.class_key());
  }
  demand.role = node.role();
  demand.request = {role.limits.cpus, role.limits.memory_bytes,
                    node.has_disk_bytes() ? node.disk_bytes() : role.limits.disk_bytes.value_or(0)};
  demand.rank = RankOf(role.placement.rank);
  demand.priority = role.placement.priority;
  for (const auto& [kind, roles] : {std::pair(AffinityRule::Kind::kWith, &role.placement.near),
                                    std::pair(AffinityRule::Kind::kApart, &role.placement.apart)}) {
    for (const std::string& other : *roles) {
      AffinityRule rule;
      rule.kind = kind;
      rule.must = role.placement.strict;
      rule.role = other;
      demand.rules.push_back(std::move(rule));
    }
  }
  demand.required_labels = role.placement.require;
  return demand;
}

// "if 3 nodes of lower priority on h1, h2 stopped, there would be room (vcluster preempt …)"
std::string ProposalText(const PreemptionProposal& proposal) {
  std::set<std::string> hosts;
  for (const Victim& victim : proposal.victims) hosts.insert(victim.host);
  std::string on;
  for (const std::string& host : hosts) on += (on.empty() ? "" : ", ") + host;
  const size_t count = proposal.victims.size();
  return "if " + std::to_string(count) + (count == 1 ? " node" : " nodes") +
         " of lower priority on " + on +
         " stopped, there might be room (admins: vcluster preempt, or create --preempt)";
}

// What is left of a node that was stopped to make room: its disk.
void GiveUpRoom(NodeKey key, PlacementState* state) {
  if (state->FindNode(key) == nullptr) return;
  NodeEntry entry = state->Take(key);
  entry.amounts.milli_cpus = 0;
  entry.amounts.memory_bytes = 0;
  state->Insert(key, std::move(entry));
}

VclusterDemand UnplacedOf(const Vcluster& vcluster) {
  VclusterDemand demand;
  demand.number = vcluster.record.number();
  demand.name = vcluster.record.name();
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    if (!node.host().empty() || node.leaving() || node.preempted()) continue;
    demand.nodes.push_back(DemandOf(vcluster, node));
  }
  return demand;
}

std::string LoadText(LoadClass load) {
  std::string text;
  for (const auto& [is_heavy, name] :
       {std::pair(load.cpu, "CPU"), std::pair(load.memory, "memory"), std::pair(load.io, "I/O")}) {
    if (is_heavy) text += (text.empty() ? "it is heavy on " : ", ") + std::string(name);
  }
  return text.empty() ? text : text + ", as measured\n";
}

// Foreign figures: what cannot be counts as nothing.
double PressureOf(double told) { return told >= 0 && told <= 1 ? told : 0.0; }

HostOffer OfferOf(const std::string& name, const host::v1::Capacity& capacity,
                  HostCondition condition, const PlacerOptions& options) {
  HostOffer offer;
  offer.name = name;
  offer.condition = condition;
  offer.cpus = capacity.cpus();
  offer.memory_bytes = capacity.memory_bytes();
  offer.disk_bytes = capacity.disk_bytes();
  offer.overcommit_cpus = options.overcommit_cpus;
  offer.overcommit_memory = options.overcommit_memory;
  offer.labels.assign(capacity.labels().begin(), capacity.labels().end());
  return offer;
}

}  // namespace

Placer::Placer(PlacerOptions options) : options_(options), state_(NewState()) {}

void Placer::PutHost(const std::string& name, const host::v1::Capacity& capacity,
                     HostCondition condition) {
  capacities_[name] = capacity;
  const Status put = state_.PutHost(OfferOf(name, capacity, condition, options_));
  if (!put.ok()) LOG_WARNING("host " + name + " gets no nodes: " + put.error().message());
}

void Placer::RemoveHost(const std::string& name) {
  if (state_.RemoveHost(name).ok()) capacities_.erase(name);
}

VclusterDemand Placer::Unplaced(const Vcluster& vcluster) const { return UnplacedOf(vcluster); }

void Placer::SetCondition(const std::string& name, HostCondition condition) {
  if (const auto slot = state_.FindHost(name)) state_.SetCondition(*slot, condition);
}

void Placer::Unplace(uint32_t number) {
  for (const auto& [index, host] : placed_[number]) state_.Take({number, index});
  placed_.erase(number);
}

void Placer::Forget(uint32_t number) {
  Unplace(number);
  measured_.erase(measured_.lower_bound({number, 0}), measured_.lower_bound({number + 1, 0}));
}

void Placer::Sync(const Vcluster& vcluster) {
  const uint32_t number = vcluster.record.number();
  Unplace(number);
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    const std::string& host = PlaceOf(node);
    if (host.empty() || vcluster.RoleOf(node) == nullptr) continue;
    if (!state_.FindHost(host)) {
      // Nothing is known of it yet but that it has nodes.
      PutHost(host, capacities_[host], HostCondition::kLost);
    }
    PlacedNode placed;
    placed.demand = DemandOf(vcluster, node);
    placed.host = host;
    const bool stays = node.preempted() || node.has_move() || node.leaving() ||
                       vcluster.record.phase() != master::v1::LIVE;
    if (stays) placed.demand.priority = kNeverPreempted;
    placed.movable = !WhyNotMovable(vcluster, node).has_value();
    if (const auto measured = measured_.find(placed.demand.key); measured != measured_.end()) {
      placed.demand.load = measured->second.load;
      if (measured->second.host == host) placed.usage = measured->second.usage;
    }
    Add(placed);
    if (node.preempted()) GiveUpRoom(placed.demand.key, &state_);
    if (!node.has_move() || OldHostOf(node) == host || !state_.FindHost(OldHostOf(node))) continue;
    // It may have to go back.
    placed.demand.key.node += kOldPlaces;
    placed.demand.role.clear();
    placed.demand.rules.clear();
    placed.demand.load = {};
    placed.usage = {};
    placed.host = OldHostOf(node);
    Add(placed);
  }
}

void Placer::Add(const PlacedNode& node) {
  if (Status added = state_.AddNode(node); added.ok()) {
    placed_[node.demand.key.vcluster][node.demand.key.node] = node.host;
  } else {
    LOG_WARNING("node " + node.demand.name + ": " + added.error().message());
  }
}

std::map<uint32_t, Placer::Placed> Placer::Place(
    const std::vector<const Vcluster*>& vclusters) const {
  std::map<uint32_t, Placed> result;
  PlacementState state = state_;
  PlacementRequest request;
  size_t nodes = 0;
  const auto place = [&] {
    const auto placed = vcluster::Place(&state, request);
    for (const VclusterDemand& demand : request.vclusters) {
      if (!placed.ok()) result[demand.number].error = placed.error();
    }
    for (const VclusterPlacement& placement :
         placed.ok() ? *placed : std::vector<VclusterPlacement>()) {
      Placed& out = result[placement.number];
      out.error = placement.error;
      for (const NodePlacement& node : placement.nodes) out.host[node.key.node] = node.host;
    }
    request.vclusters.clear();
    nodes = 0;
  };
  for (const Vcluster* vcluster : vclusters) {
    VclusterDemand demand = UnplacedOf(*vcluster);
    if (demand.nodes.empty()) continue;
    // As many as the scheduler takes at once.
    if (nodes + demand.nodes.size() > kRequestedNodesMax) place();
    nodes += demand.nodes.size();
    request.vclusters.push_back(std::move(demand));
  }
  if (!request.vclusters.empty()) place();
  return result;
}

Result<std::vector<Victim>> Placer::VictimsFor(const Vcluster& vcluster,
                                               std::optional<int32_t> below) const {
  VclusterDemand demand = UnplacedOf(vcluster);
  if (demand.nodes.empty()) {
    return Error(Code::kFailedPrecondition,
                 "all nodes of Vcluster " + demand.name + " have their places");
  }
  for (NodeDemand& node : demand.nodes) node.priority = below.value_or(node.priority);
  demand.propose_preemption = true;
  PlacementState state = state_;
  ASSIGN_OR_RETURN(const auto placed, vcluster::Place(&state, {{demand}, {}}));
  const VclusterPlacement& placement = placed.at(0);
  if (!placement.error.has_value()) {
    return Error(Code::kFailedPrecondition,
                 "there is room for Vcluster " + demand.name + " without that");
  }
  if (placement.preemption.has_value()) {
    for (const Victim& victim : placement.preemption->victims) GiveUpRoom(victim.key, &state);
    demand.propose_preemption = false;
    ASSIGN_OR_RETURN(const auto then, vcluster::Place(&state, {{std::move(demand)}, {}}));
    if (!then.at(0).error.has_value()) return placement.preemption->victims;
  }
  return Error(Code::kResourceExhausted,
               "stopping nodes of lower priority, which keep their disk, gives no room: " +
                   placement.error->message());
}

Status Placer::CheckReturn(const Vcluster& vcluster, uint32_t index, PlacementState* state) {
  const master::v1::Node* node = vcluster.FindNode(index);
  const NodeKey key{vcluster.record.number(), index};
  const NodeEntry* entry = state->FindNode(key);
  if (node == nullptr || entry == nullptr || vcluster.RoleOf(*node) == nullptr) return Ok();
  const HostSlot slot = entry->slot;
  NodeEntry stopped = state->Take(key);
  auto demand = std::make_shared<const NodeDemand>(DemandOf(vcluster, *node));
  const std::vector<Refusal> refusals = Admission(*state, *demand).Refusals(slot);
  if (std::any_of(refusals.begin(), refusals.end(), [](const Refusal& refusal) {
        return IsRoom(refusal.kind) || refusal.kind == RefusalKind::kReserved;
      })) {
    state->Insert(key, std::move(stopped));
    return Error(Code::kResourceExhausted,
                 "node " + demand->name + " was stopped to make room for others, and its host " +
                     state->host(slot).offer.name + " has none for it now: it " +
                     ReasonsText(refusals) + ". Try again when others have ended, or delete it");
  }
  state->Insert(std::move(demand), slot);
  return Ok();
}

Result<std::string> Placer::Why(const Vcluster& vcluster, uint32_t index) const {
  const NodeKey key{vcluster.record.number(), index};
  if (state_.FindNode(key) != nullptr) {
    ASSIGN_OR_RETURN(const Explanation explanation, ExplainNode(state_, key));
    return ExplanationText(explanation) + LoadText(state_.FindNode(key)->load);
  }
  PlacementRequest request;
  request.vclusters.push_back(UnplacedOf(vcluster));
  request.vclusters[0].propose_preemption =
      request.vclusters[0].nodes.size() * state_.order().size() <= kProposalWorkMax;
  PlacementState state = state_;
  ASSIGN_OR_RETURN(const auto placed, vcluster::Place(&state, request, /*explain=*/true));
  std::string text;
  for (const VclusterPlacement& placement : placed) {
    for (const Explanation& explanation : placement.explanations) {
      if (explanation.key == key) text += ExplanationText(explanation);
    }
    if (placement.error.has_value()) text += placement.error->message() + "\n";
    if (placement.preemption.has_value()) {
      text += ProposalText(*placement.preemption) + "\n";
    }
  }
  return text;
}

void Placer::Measure(NodeKey key, const host::v1::Usage& usage) {
  const NodeEntry* entry = state_.FindNode(key);
  if (entry == nullptr) return;
  const HostOffer& host = state_.host(entry->slot).offer;
  // Of its I/O a cgroup tells only how long it waits for it.
  const NodeUsage used = {usage.cpus(), usage.memory_bytes(), usage.io_pressure()};
  const auto load = ClassifyLoad(used, usage.memory_pressure(), host, entry->load);
  const Status updated =
      load.ok() ? state_.UpdateNode(key, *load, used, entry->movable) : Status(load.error());
  if (updated.ok()) {
    measured_[key] = {host.name, *load, used};
  } else {
    LOG_WARNING("host " + host.name + ": figures of a node: " + updated.error().message());
  }
}

void Placer::ReportHosts(const std::map<std::string, host::v1::HostLoad>& loads,
                         const std::set<std::string>& unsettled) {
  std::map<std::string, NodeUsage> used;
  for (const auto& [key, measured] : measured_) {
    const NodeEntry* entry = state_.FindNode(key);
    if (entry == nullptr || state_.host(entry->slot).offer.name != measured.host) continue;
    used[measured.host].cpus += measured.usage.cpus;
    used[measured.host].memory_bytes += measured.usage.memory_bytes;
  }
  for (const HostSlot slot : state_.order()) {
    const HostOffer& offer = state_.host(slot).offer;
    const auto share = [](double part, double whole) {
      return whole > 0 && part > 0 ? std::min(1.0, part / whole) : 0.0;
    };
    HostReport report;
    report.usage.cpu = share(used[offer.name].cpus, offer.cpus);
    report.usage.memory = share(static_cast<double>(used[offer.name].memory_bytes),
                                static_cast<double>(offer.memory_bytes));
    if (const auto load = loads.find(offer.name); load != loads.end()) {
      // With what it does besides its nodes.
      const host::v1::Usage& usage = load->second.usage();
      report.usage.cpu = share(usage.cpus(), offer.cpus);
      report.usage.memory =
          share(static_cast<double>(usage.memory_bytes()), static_cast<double>(offer.memory_bytes));
      report.pressure = {PressureOf(usage.cpu_pressure()), PressureOf(usage.memory_pressure()),
                         PressureOf(usage.io_pressure())};
    }
    report.settled = !unsettled.contains(offer.name);
    const Status updated = state_.UpdateReport(std::string(offer.name), report);
    CHECK(updated.ok());
  }
}

Result<std::vector<DrainStep>> Placer::DrainOf(
    const std::string& host, const std::map<NodeKey, std::string>& staying) const {
  ASSIGN_OR_RETURN(std::vector<DrainStep> steps, ProposeDrain(state_, host));
  std::erase_if(steps, [](const DrainStep& step) { return step.key.node >= kOldPlaces; });
  std::map<NodeKey, std::string> stay = staying;
  // Whether something stays that the node must be with.
  const auto held_by = [&](NodeKey key) -> std::optional<NodeKey> {
    const NodeDemand& demand = *state_.FindNode(key)->demand;
    for (const AffinityRule& rule : demand.rules) {
      if (rule.kind != AffinityRule::Kind::kWith || !rule.must) continue;
      for (const auto& [other, why] : stay) {
        const NodeEntry* entry = state_.FindNode(other);
        if (other != key && entry != nullptr && Matches(TargetOf(rule, demand), *entry->demand)) {
          return other;
        }
      }
    }
    return std::nullopt;
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (DrainStep& step : steps) {
      if (stay.contains(step.key)) continue;
      const auto other = held_by(step.key);
      if (!other.has_value()) continue;
      stay[step.key] = "it must be with " + state_.FindNode(*other)->demand->name + ", which stays";
      changed = true;
    }
  }
  for (DrainStep& step : steps) {
    const auto found = stay.find(step.key);
    if (found == stay.end()) continue;
    step.to.clear();
    step.why = found->second;
  }
  return steps;
}

}  // namespace strata::vcluster
