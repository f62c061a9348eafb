#include "vclusterd/scheduler/placement_state.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "vclusterd/scheduler/checks.h"

namespace strata::vcluster {
namespace {

// Far from where sums overflow, even when as much again is placed.
constexpr int64_t kRequestedMax = int64_t{1} << 61;

std::string NameOf(NodeKey key) {
  return "node " + std::to_string(key.vcluster) + "/" + std::to_string(key.node);
}

Error NoHost(const std::string& name) {
  return Error(Code::kNotFound, "there is no host '" + name + "'");
}

Error NoNode(NodeKey key) { return Error(Code::kNotFound, "there is no " + NameOf(key)); }

}  // namespace

AffinityTarget TargetOf(const AffinityRule& rule, const NodeDemand& demand) {
  return {rule.vcluster.value_or(demand.key.vcluster), rule.role};
}

bool Matches(const AffinityTarget& target, const NodeDemand& demand) {
  return target.vcluster == demand.key.vcluster &&
         (target.role.empty() || target.role == demand.role);
}

void ChangeTargets(TargetCounts* counts, const NodeDemand& demand, HostSlot slot, int by) {
  counts->Change({demand.key.vcluster, ""}, slot, by);
  if (!demand.role.empty()) counts->Change({demand.key.vcluster, demand.role}, slot, by);
}

FreeRoom HostTally::Free() const {
  const auto count = static_cast<int64_t>(nodes.size());
  return {limit - requested,
          offer.nodes_max == 0 ? std::numeric_limits<int64_t>::max() : offer.nodes_max - count,
          offer.condition == HostCondition::kReady};
}

Result<PlacementState> PlacementState::Create(const SchedulerParameters& parameters) {
  RETURN_IF_ERROR(CheckParameters(parameters));
  return PlacementState(parameters);
}

std::optional<HostSlot> PlacementState::FindHost(const std::string& name) const {
  const auto found = names_.find(name);
  if (found == names_.end()) return std::nullopt;
  return found->second;
}

const NodeEntry* PlacementState::FindNode(NodeKey key) const {
  const auto found = nodes_.find(key);
  return found == nodes_.end() ? nullptr : &found->second;
}

HostSlot PlacementState::NewSlot(const std::string& name) {
  auto gap = std::find(hosts_.begin(), hosts_.end(), std::nullopt);
  if (gap == hosts_.end()) gap = hosts_.emplace(hosts_.end());
  const auto slot = static_cast<HostSlot>(gap - hosts_.begin());
  const auto [at, added] = names_.emplace(name, slot);
  order_.insert(order_.begin() + std::distance(names_.begin(), at), slot);
  return slot;
}

Status PlacementState::PutHost(const HostOffer& host) {
  RETURN_IF_ERROR(CheckHost(host));
  std::optional<HostSlot> slot = FindHost(host.name);
  const bool is_new = !slot;
  if (is_new) {
    if (names_.size() >= kSchedulerHostsMax) {
      return Error(Code::kResourceExhausted,
                   "more than " + std::to_string(kSchedulerHostsMax) + " hosts");
    }
    slot = NewSlot(host.name);
    hosts_[*slot].emplace();
  }
  HostTally& tally = *hosts_[*slot];
  tally.offer = host;
  tally.capacity = CapacityOf(host);
  tally.limit = LimitOf(host);
  if (is_new && !book_.empty()) {
    RestartBook(book_.reservations());
  } else {
    RefreshBook(*slot);
  }
  return Ok();
}

Status PlacementState::UpdateReport(const std::string& host, const HostReport& report) {
  const std::optional<HostSlot> slot = FindHost(host);
  if (!slot) return NoHost(host);
  RETURN_IF_ERROR(CheckReport(host, report));
  hosts_[*slot]->offer.report = report;
  return Ok();
}

Status PlacementState::RemoveHost(const std::string& host) {
  const std::optional<HostSlot> slot = FindHost(host);
  if (!slot) return NoHost(host);
  if (!hosts_[*slot]->nodes.empty()) {
    return Error(Code::kFailedPrecondition, "host '" + host + "' has " +
                                                std::to_string(hosts_[*slot]->nodes.size()) +
                                                " nodes: move or remove them first");
  }
  hosts_[*slot].reset();
  names_.erase(host);
  order_.erase(std::find(order_.begin(), order_.end(), *slot));
  if (!book_.empty()) RestartBook(book_.reservations());
  return Ok();
}

void PlacementState::RefreshBook(HostSlot slot) {
  if (!book_.empty()) book_.Refresh(slot, hosts_[slot]->Free());
}

void PlacementState::RestartBook(std::vector<Reservation> reservations) {
  book_.Reset(std::move(reservations), hosts_.size(),
              [this](const std::string& name) { return FindHost(name); });
  if (book_.empty()) return;
  for (const auto& [key, entry] : nodes_) book_.Count(*entry.demand, entry.amounts, entry.slot, 1);
  for (const HostSlot slot : order_) RefreshBook(slot);
}

Status PlacementState::SetReservations(std::vector<Reservation> reservations) {
  if (reservations.size() > kReservationsMax) {
    return Error(Code::kResourceExhausted,
                 "more than " + std::to_string(kReservationsMax) + " reservations");
  }
  std::set<std::string> names;
  for (const Reservation& reservation : reservations) {
    RETURN_IF_ERROR(CheckReservation(reservation));
    if (!names.insert(reservation.name).second) {
      return Error(Code::kAlreadyExists, "two reservations '" + reservation.name + "'");
    }
  }
  RestartBook(std::move(reservations));
  return Ok();
}

void PlacementState::Count(const NodeEntry& entry, int sign) {
  HostTally& tally = *hosts_[entry.slot];
  const NodeDemand& demand = *entry.demand;
  if (sign > 0) {
    tally.requested += entry.amounts;
    requested_ += entry.amounts;
    tally.nodes.insert(std::lower_bound(tally.nodes.begin(), tally.nodes.end(), demand.key),
                       demand.key);
  } else {
    tally.requested -= entry.amounts;
    requested_ -= entry.amounts;
    tally.nodes.erase(std::lower_bound(tally.nodes.begin(), tally.nodes.end(), demand.key));
  }
  const auto step = static_cast<uint32_t>(sign);
  if (entry.load.cpu) tally.cpu_heavy += step;
  if (entry.load.memory) tally.memory_heavy += step;
  if (entry.load.io) tally.io_heavy += step;
  ChangeTargets(&present_, demand, entry.slot, sign);
  for (const AffinityRule& rule : demand.rules) {
    if (rule.must && rule.kind == AffinityRule::Kind::kApart) {
      repelled_.Change(TargetOf(rule, demand), entry.slot, sign);
    }
  }
  if (book_.empty()) return;
  book_.Count(demand, entry.amounts, entry.slot, sign);
  RefreshBook(entry.slot);
}

void PlacementState::Insert(NodeKey key, NodeEntry entry) {
  const auto at = nodes_.emplace(key, std::move(entry)).first;
  Count(at->second, 1);
}

void PlacementState::Insert(std::shared_ptr<const NodeDemand> demand, HostSlot slot) {
  const NodeDemand& node = *demand;
  Insert(node.key,
         {std::move(demand), CountedAmounts(node.request, parameters_), slot, node.load, {}, true});
}

NodeEntry PlacementState::Take(NodeKey key) {
  const auto at = nodes_.find(key);
  NodeEntry entry = std::move(at->second);
  nodes_.erase(at);
  Count(entry, -1);
  return entry;
}

Status PlacementState::AddNode(const PlacedNode& node) {
  RETURN_IF_ERROR(CheckDemand(node.demand));
  RETURN_IF_ERROR(CheckUsage(node.usage), "node '" + node.demand.name + "'");
  const std::optional<HostSlot> slot = FindHost(node.host);
  if (!slot) return NoHost(node.host);
  const NodeKey key = node.demand.key;
  if (nodes_.contains(key)) return Error(Code::kAlreadyExists, NameOf(key) + " is there already");
  if (nodes_.size() >= kSchedulerNodesMax) {
    return Error(Code::kResourceExhausted,
                 "more than " + std::to_string(kSchedulerNodesMax) + " nodes");
  }
  const Amounts amounts = CountedAmounts(node.demand.request, parameters_);
  if (!(requested_ + amounts).FitsIn({kRequestedMax, kRequestedMax, kRequestedMax})) {
    return Error(Code::kResourceExhausted, "the nodes ask for more than can be counted");
  }
  Insert(key, {std::make_shared<const NodeDemand>(node.demand), amounts, *slot, node.demand.load,
               node.usage, node.movable});
  return Ok();
}

Status PlacementState::UpdateNode(NodeKey key, LoadClass load, const NodeUsage& usage,
                                  bool movable) {
  RETURN_IF_ERROR(CheckUsage(usage), NameOf(key));
  const auto at = nodes_.find(key);
  if (at == nodes_.end()) return NoNode(key);
  NodeEntry& entry = at->second;
  HostTally& tally = *hosts_[entry.slot];
  const auto change = [](uint32_t* count, bool before, bool after) {
    *count += static_cast<uint32_t>(after) - static_cast<uint32_t>(before);
  };
  change(&tally.cpu_heavy, entry.load.cpu, load.cpu);
  change(&tally.memory_heavy, entry.load.memory, load.memory);
  change(&tally.io_heavy, entry.load.io, load.io);
  entry.load = load;
  entry.usage = usage;
  entry.movable = movable;
  return Ok();
}

Status PlacementState::RemoveNode(NodeKey key) {
  if (!nodes_.contains(key)) return NoNode(key);
  Take(key);
  return Ok();
}

Status PlacementState::MoveNode(NodeKey key, const std::string& host) {
  const std::optional<HostSlot> slot = FindHost(host);
  if (!slot) return NoHost(host);
  if (!nodes_.contains(key)) return NoNode(key);
  NodeEntry entry = Take(key);
  hosts_[entry.slot]->offer.report.settled = false;
  hosts_[*slot]->offer.report.settled = false;
  entry.slot = *slot;
  entry.movable = false;
  Insert(key, std::move(entry));
  return Ok();
}

void PlacementState::SetCondition(HostSlot slot, HostCondition condition) {
  hosts_[slot]->offer.condition = condition;
  RefreshBook(slot);
}

std::vector<HostOffer> PlacementState::Hosts() const {
  std::vector<HostOffer> hosts;
  for (const HostSlot slot : order_) hosts.push_back(hosts_[slot]->offer);
  return hosts;
}

std::vector<PlacedNode> PlacementState::Nodes() const {
  std::vector<PlacedNode> nodes;
  nodes.reserve(nodes_.size());
  for (const auto& [key, entry] : nodes_) {
    nodes.push_back({*entry.demand, hosts_[entry.slot]->offer.name, entry.usage, entry.movable});
    nodes.back().demand.load = entry.load;
  }
  std::sort(nodes.begin(), nodes.end(),
            [](const PlacedNode& a, const PlacedNode& b) { return a.demand.key < b.demand.key; });
  return nodes;
}

}  // namespace strata::vcluster
