#include "vclusterd/scheduler/rebalance.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "vclusterd/scheduler/admission.h"
#include "vclusterd/scheduler/checks.h"
#include "vclusterd/scheduler/placing_order.h"
#include "vclusterd/scheduler/ranking.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kMovesMax = 10'000;

struct Resource {
  double ResourceLevels::*level;
  const char* name;
};
constexpr Resource kResources[] = {{&ResourceLevels::memory, "memory"},
                                   {&ResourceLevels::io, "I/O"},
                                   {&ResourceLevels::cpu, "CPU"}};

double PairsOf(uint32_t count) { return count < 2 ? 0 : 0.5 * count * (count - 1); }

double InterferenceOn(const HostTally& host) {
  return PairsOf(host.memory_heavy) + 0.5 * PairsOf(host.io_heavy);
}

// How much less of it there would be; the counts of `from` are without the node.
double Gain(LoadClass load, uint32_t memory_from, uint32_t io_from, uint32_t memory_to,
            uint32_t io_to) {
  double gain = 0;
  if (load.memory) gain += static_cast<double>(memory_from) - memory_to;
  if (load.io) gain += 0.5 * (static_cast<double>(io_from) - io_to);
  return gain;
}

// The part of a host's resources that a node uses.
ResourceLevels PartOf(const NodeUsage& usage, const HostOffer& host) {
  const auto share = [](double used, double all) { return all > 0 ? used / all : 0; };
  return {share(usage.cpus, host.cpus),
          share(static_cast<double>(usage.memory_bytes), static_cast<double>(host.memory_bytes)),
          usage.io};
}

// A node on the host must be with this one, and with no other there. REQUIRES: taken off the host.
bool IsNeededOn(const PlacementState& state, const NodeDemand& demand, HostSlot slot) {
  const auto needs = [&](NodeKey key) {
    const NodeDemand& other = *state.FindNode(key)->demand;
    return std::any_of(other.rules.begin(), other.rules.end(), [&](const AffinityRule& rule) {
      if (!IsMustWith(rule)) return false;
      const AffinityTarget target = TargetOf(rule, other);
      if (!Matches(target, demand)) return false;
      return state.present().At(target, slot) == (Matches(target, other) ? 1u : 0u);
    });
  };
  const std::vector<NodeKey>& keys = state.host(slot).nodes;
  return std::any_of(keys.begin(), keys.end(), needs);
}

Status CheckLimits(const RebalanceLimits& limits) {
  RETURN_IF_ERROR(CheckRange("moves", limits.moves_max, kMovesMax));
  RETURN_IF_ERROR(CheckRange("gain of interference", limits.interference_gain_min, 1e9));
  RETURN_IF_ERROR(CheckRange("gain of usage", limits.usage_gain_min, 1));
  RETURN_IF_ERROR(CheckRange("gain of pressure", limits.pressure_gain_min, 1));
  if (limits.interference_gain_min == 0) {
    return Error(Code::kInvalidArgument, "moves that gain nothing would never end");
  }
  return Ok();
}

class Rebalance {
 public:
  Rebalance(const PlacementState& state, const RebalanceLimits& limits)
      : state_(state), limits_(limits), reports_(state.slots()) {
    for (const HostSlot slot : state.order()) reports_[slot] = state.host(slot).offer.report;
  }

  std::vector<Move> Run() {
    // In turn, as long as anything moves: a node that leaves makes room for others.
    while (moves_.size() < limits_.moves_max && (ReduceInterference() || RelievePressure())) {
    }
    return std::move(moves_);
  }

 private:
  struct Proposal {
    NodeKey key;
    HostSlot from = 0;
    HostSlot to = 0;
    double gain = 0;
    Score score;
  };

  bool ReduceInterference();
  std::optional<Proposal> BestMoveFrom(HostSlot from, uint32_t memory_least, uint32_t io_least);
  bool RelievePressure();
  bool RelieveHost(HostSlot from, const Resource& resource);
  // The best host for the node by `judge(entry, slot)`, which answers a gain, or nothing
  // where it must not go. The node is in no sum while it is judged.
  template <typename Judge>
  std::optional<Proposal> BestTarget(NodeKey key, const Judge& judge);
  std::vector<NodeKey> MovableOn(HostSlot slot) const;
  // Neither pressed now nor used up with the node; and that is known.
  bool Bears(HostSlot slot, const NodeUsage& usage) const;
  void Apply(const Proposal& proposal, MoveCause cause, std::string reason);
  const std::string& NameOf(HostSlot slot) const { return state_.host(slot).offer.name; }

  PlacementState state_;
  const RebalanceLimits limits_;
  std::vector<HostReport> reports_;  // By slot, as estimated after the moves.
  std::set<NodeKey> moved_;
  std::vector<Move> moves_;
};

// The cheapest to move first.
std::vector<NodeKey> Rebalance::MovableOn(HostSlot slot) const {
  std::vector<NodeKey> keys;
  for (const NodeKey key : state_.host(slot).nodes) {
    if (state_.FindNode(key)->movable && !moved_.contains(key)) keys.push_back(key);
  }
  std::sort(keys.begin(), keys.end(), [&](NodeKey a, NodeKey b) {
    const NodeEntry& left = *state_.FindNode(a);
    const NodeEntry& right = *state_.FindNode(b);
    return std::tuple(left.amounts.memory_bytes, left.demand->priority, a) <
           std::tuple(right.amounts.memory_bytes, right.demand->priority, b);
  });
  return keys;
}

bool Rebalance::Bears(HostSlot slot, const NodeUsage& usage) const {
  HostReport report = reports_[slot];
  if (!report.settled) return false;
  const ResourceLevels part = PartOf(usage, state_.host(slot).offer);
  for (const Resource& resource : kResources) {
    report.usage.*resource.level += part.*resource.level;
  }
  return PressedResources(report, state_.parameters()) == 0;
}

template <typename Judge>
std::optional<Rebalance::Proposal> Rebalance::BestTarget(NodeKey key, const Judge& judge) {
  NodeEntry entry = state_.Take(key);
  std::optional<Proposal> best;
  if (!IsNeededOn(state_, *entry.demand, entry.slot)) {
    NodeDemand demand = *entry.demand;
    demand.load = entry.load;
    const Admission admission(state_, demand);
    for (const HostSlot slot : state_.order()) {
      if (slot == entry.slot || !admission.Admits(slot) || !Bears(slot, entry.usage)) continue;
      const std::optional<double> gain = judge(entry, slot);
      if (!gain || (best && *gain < best->gain)) continue;
      const Score score = Rate(state_, admission, slot);
      if (best && *gain == best->gain && !Better(demand.rank, score, best->score)) continue;
      best = Proposal{key, entry.slot, slot, *gain, score};
    }
  }
  state_.Insert(key, std::move(entry));
  return best;
}

void Rebalance::Apply(const Proposal& proposal, MoveCause cause, std::string reason) {
  NodeEntry entry = state_.Take(proposal.key);
  moves_.push_back({proposal.key, entry.demand->name, NameOf(proposal.from), NameOf(proposal.to),
                    cause, std::move(reason)});
  moved_.insert(proposal.key);
  const ResourceLevels off = PartOf(entry.usage, state_.host(proposal.from).offer);
  const ResourceLevels on = PartOf(entry.usage, state_.host(proposal.to).offer);
  HostReport& from = reports_[proposal.from];
  for (const Resource& resource : kResources) {
    double& usage = from.usage.*resource.level;
    if (usage > 0) {
      from.pressure.*resource.level *= 1 - std::min(1.0, off.*resource.level / usage);
    }
    usage = std::max(0.0, usage - off.*resource.level);
    reports_[proposal.to].usage.*resource.level += on.*resource.level;
  }
  entry.slot = proposal.to;
  state_.Insert(proposal.key, std::move(entry));
}

std::optional<Rebalance::Proposal> Rebalance::BestMoveFrom(HostSlot from, uint32_t memory_least,
                                                           uint32_t io_least) {
  std::optional<Proposal> best;
  const uint32_t memory_before = state_.host(from).memory_heavy;
  const uint32_t io_before = state_.host(from).io_heavy;
  for (const NodeKey key : MovableOn(from)) {
    const LoadClass load = state_.FindNode(key)->load;
    const uint32_t memory_rest = memory_before - (load.memory ? 1 : 0);
    const uint32_t io_rest = io_before - (load.io ? 1 : 0);
    // Even the best host there is would not do, or would not do better.
    const double most = Gain(load, memory_rest, io_rest, memory_least, io_least);
    if (most < limits_.interference_gain_min || (best && most <= best->gain)) continue;
    const auto proposal =
        BestTarget(key, [&](const NodeEntry&, HostSlot slot) -> std::optional<double> {
          const HostTally& to = state_.host(slot);
          const double gain = Gain(load, memory_rest, io_rest, to.memory_heavy, to.io_heavy);
          if (gain < limits_.interference_gain_min) return std::nullopt;
          return gain;
        });
    if (proposal && (!best || proposal->gain > best->gain)) best = proposal;
  }
  return best;
}

bool Rebalance::ReduceInterference() {
  std::vector<HostSlot> sources;
  uint32_t memory_least = UINT32_MAX;
  uint32_t io_least = UINT32_MAX;
  for (const HostSlot slot : state_.order()) {
    const HostTally& host = state_.host(slot);
    if (host.offer.condition != HostCondition::kReady) continue;
    memory_least = std::min(memory_least, host.memory_heavy);
    io_least = std::min(io_least, host.io_heavy);
    if (InterferenceOn(host) > 0) sources.push_back(slot);
  }
  std::stable_sort(sources.begin(), sources.end(), [&](HostSlot a, HostSlot b) {
    return InterferenceOn(state_.host(a)) > InterferenceOn(state_.host(b));
  });
  for (const HostSlot from : sources) {
    const auto proposal = BestMoveFrom(from, memory_least, io_least);
    if (!proposal) continue;
    const LoadClass load = state_.FindNode(proposal->key)->load;
    const HostTally& old_host = state_.host(from);
    const HostTally& new_host = state_.host(proposal->to);
    std::string reason;
    const auto add = [&](const char* kind, uint32_t here, uint32_t there) {
      reason += (reason.empty() ? "" : "; ") + std::to_string(here) + " " + kind + " nodes on " +
                NameOf(from) + ", " + std::to_string(there) + " on " + NameOf(proposal->to);
    };
    if (load.memory) add("memory-heavy", old_host.memory_heavy, new_host.memory_heavy);
    if (load.io) add("I/O-heavy", old_host.io_heavy, new_host.io_heavy);
    Apply(*proposal, MoveCause::kInterference, reason);
    return true;
  }
  return false;
}

bool Rebalance::RelievePressure() {
  struct Source {
    double pressure;
    HostSlot slot;
    const Resource* resource;
  };
  std::vector<Source> sources;
  for (const HostSlot slot : state_.order()) {
    const HostTally& host = state_.host(slot);
    if (host.offer.condition != HostCondition::kReady || !reports_[slot].settled) continue;
    for (const Resource& resource : kResources) {
      const double pressure = reports_[slot].pressure.*resource.level;
      if (pressure >= state_.parameters().pressure_high) {
        sources.push_back({pressure, slot, &resource});
      }
    }
  }
  std::stable_sort(sources.begin(), sources.end(),
                   [](const Source& a, const Source& b) { return a.pressure > b.pressure; });
  return std::any_of(sources.begin(), sources.end(), [this](const Source& source) {
    return RelieveHost(source.slot, *source.resource);
  });
}

bool Rebalance::RelieveHost(HostSlot from, const Resource& resource) {
  const auto level = resource.level;
  const double high = state_.parameters().pressure_high;
  const double pressure = reports_[from].pressure.*level;
  const double usage = reports_[from].usage.*level;
  if (pressure < high || usage <= 0) return false;
  struct Candidate {
    NodeKey key;
    double relief;
    bool enough;
  };
  std::vector<Candidate> candidates;
  for (const NodeKey key : MovableOn(from)) {
    const ResourceLevels part = PartOf(state_.FindNode(key)->usage, state_.host(from).offer);
    const double relief = pressure * std::min(1.0, part.*level / usage);
    if (relief <= 0 || relief < limits_.pressure_gain_min) continue;
    candidates.push_back({key, relief, pressure - relief < high});
  }
  // The cheapest of those that are enough alone; else the one that helps most.
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) {
                     if (a.enough != b.enough) return a.enough;
                     return !a.enough && a.relief > b.relief;
                   });
  for (const Candidate& candidate : candidates) {
    const auto proposal = BestTarget(
        candidate.key, [&](const NodeEntry& entry, HostSlot slot) -> std::optional<double> {
          const HostReport& report = reports_[slot];
          const HostTally& old_host = state_.host(from);
          const HostTally& new_host = state_.host(slot);
          const ResourceLevels part = PartOf(entry.usage, new_host.offer);
          const double gain = usage - report.usage.*level - part.*level;
          const bool better = report.pressure.*level < state_.parameters().pressure_low &&
                              gain > 0 && gain >= limits_.usage_gain_min &&
                              Gain(entry.load, old_host.memory_heavy, old_host.io_heavy,
                                   new_host.memory_heavy, new_host.io_heavy) >= 0;
          return better ? std::optional<double>(0) : std::nullopt;  // The ranking decides.
        });
    if (!proposal) continue;
    Apply(*proposal, MoveCause::kPressure,
          std::string(resource.name) + " pressure on " + NameOf(from) + " is " +
              DecimalText(pressure) + " (high from " + DecimalText(high) + "), on " +
              NameOf(proposal->to) + " " + DecimalText(reports_[proposal->to].pressure.*level));
    return true;
  }
  return false;
}

}  // namespace

Result<std::vector<Move>> ProposeMoves(const PlacementState& state, const RebalanceLimits& limits) {
  RETURN_IF_ERROR(CheckLimits(limits));
  return Rebalance(state, limits).Run();
}

}  // namespace strata::vcluster
