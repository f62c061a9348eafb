// What must hold for every cluster and request. Each seed is a cluster that lives through some
// operations; a failure prints it, and STRATA_SCHEDULER_SEED=N runs that one alone.
#include <cstdlib>
#include <map>
#include <set>

#include "tests/unit/vclusterd/scheduler/fixtures.h"
#include "tests/unit/vclusterd/scheduler/random_cluster.h"
#include "vclusterd/scheduler/rebalance.h"

namespace strata::vcluster {
namespace {

constexpr uint64_t kSeeds = 200;
constexpr int kSteps = 30;

// All that a decision says, as text.
std::string Text(const Result<std::vector<VclusterPlacement>>& answers) {
  if (!answers.ok()) return answers.error().message();
  std::string text;
  for (const VclusterPlacement& answer : *answers) {
    text += std::to_string(answer.number) + "\n";
    if (answer.error) text += answer.error->message() + "\n";
    for (const NodePlacement& placed : answer.nodes) {
      text += std::to_string(placed.key.node) + " on " + placed.host + "\n";
    }
    for (const Explanation& explanation : answer.explanations) {
      text += ExplanationText(explanation);
    }
    if (!answer.preemption) continue;
    for (const Victim& victim : answer.preemption->victims) text += "stop " + victim.name + "\n";
  }
  return text;
}

class Life {
 public:
  explicit Life(uint64_t seed)
      : random_(seed), state_(*PlacementState::Create({})), with_reservations_(seed % 3 == 0) {
    const uint32_t hosts = 1 + random_.Below(8);
    for (uint32_t i = 0; i < hosts; ++i) EXPECT_TRUE(state_.PutHost(random_.Host(i)).ok());
  }

  void Step() {
    switch (random_.Below(12)) {
      case 0:
        ChangeHost();
        break;
      case 1:
        RemoveSome();
        break;
      case 2:
        Measure();
        break;
      case 3:
        if (with_reservations_) Reserve();
        break;
      case 4:
        CheckMoves();
        break;
      case 5:
        CheckDrain();
        break;
      default:
        PlaceSome();
    }
    ASSERT_EQ(WrongSums(state_), "");
  }

  // The state that lived through all this and one that was told the outcome decide alike.
  void CheckRetold() {
    PlacementState retold = Retold(FactsOf(state_), &random_);
    ASSERT_EQ(WrongSums(retold), "");
    PlacementRequest request = Request(3);
    PlacementState copy = state_;
    const std::string text = Text(Place(&copy, request, true));
    // The Vclusters' order in the request does not matter either; their answers keep its order.
    ASSERT_EQ(Text(Place(&retold, request, true)), text);
    ASSERT_EQ(FactsOf(retold), FactsOf(copy));
    PlacementState again = Retold(FactsOf(state_), &random_);
    random_.Shuffle(&request.vclusters);
    ASSERT_TRUE(Place(&again, request).ok());
    ASSERT_EQ(FactsOf(again), FactsOf(copy));
    ASSERT_EQ(*ProposeMoves(again, {}), *ProposeMoves(copy, {}));
    for (const HostOffer& host : copy.Hosts()) {
      ASSERT_EQ(*ProposeDrain(again, host.name), *ProposeDrain(copy, host.name));
    }
  }

 private:
  PlacementRequest Request(uint32_t vclusters) {
    PlacementRequest request;
    for (uint32_t i = 0; i < vclusters; ++i) {
      const uint32_t number = next_vcluster_++;
      request.vclusters.push_back(random_.Vcluster(number, 1 + random_.Below(5)));
    }
    OwnerQuota quota;
    quota.owner_uid = 1000;
    quota.nodes = {4, random_.Below(3)};
    quota.memory_bytes.limit = 12 * kGiB;
    if (random_.OneIn(3)) request.quotas.push_back(quota);
    return request;
  }

  void PlaceSome() {
    const Facts before = FactsOf(state_);
    const PlacementRequest request = Request(1 + random_.Below(2));
    const auto answers = Place(&state_, request);
    ASSERT_TRUE(answers.ok()) << answers.error().message();
    const Facts after = FactsOf(state_);
    size_t placed = 0;
    for (size_t i = 0; i < answers->size(); ++i) {
      const VclusterPlacement& answer = (*answers)[i];
      placed += answer.nodes.size();
      if (!answer.error) {
        ASSERT_EQ(answer.nodes.size(), request.vclusters[i].nodes.size());
        continue;
      }
      ASSERT_EQ(answer.error->code(), Code::kResourceExhausted);
      ASSERT_TRUE(answer.nodes.empty());
      if (answers->size() == 1) {
        ASSERT_EQ(after, before);
        CheckRefusal(before, request, answer);
      }
    }
    ASSERT_EQ(after.nodes.size(), before.nodes.size() + placed);
    CheckArrivals(before, after);
    CheckKept(before, after);
  }

  // Every new node may stand where it does.
  void CheckArrivals(const Facts& before, const Facts& after) {
    std::map<NodeKey, std::string> stood;
    for (const PlacedNode& node : before.nodes) stood[node.demand.key] = node.host;
    for (const PlacedNode& node : after.nodes) {
      const auto was = stood.find(node.demand.key);
      if (was != stood.end() && was->second == node.host) continue;
      ASSERT_EQ(WhyNot(after, node), "") << node.demand.name << " on " << node.host;
    }
  }

  // No reservation lacks more than before, unless its own holder takes what is kept.
  void CheckKept(const Facts& before, const Facts& after) {
    std::map<NodeKey, std::string> stood;
    for (const PlacedNode& node : before.nodes) stood[node.demand.key] = node.host;
    for (const PlacedNode& node : after.nodes) {
      if (stood.contains(node.demand.key)) continue;
      for (const Reservation& reservation : after.reservations) {
        if (HoldsReservation(reservation, node.demand)) return;
      }
    }
    const std::vector<int64_t> missed = Missing(before);
    const std::vector<int64_t> missing = Missing(after);
    for (size_t i = 0; i < missing.size(); ++i) ASSERT_LE(missing[i], missed[i]) << i;
  }

  // A single node is refused only when no host may take it; victims are enough, and all needed.
  void CheckRefusal(const Facts& before, const PlacementRequest& request,
                    const VclusterPlacement& answer) {
    if (!before.reservations.empty() || !request.quotas.empty()) return;
    const std::vector<NodeDemand>& nodes = request.vclusters[0].nodes;
    if (nodes.size() == 1) {
      for (const HostOffer& host : before.hosts) {
        ASSERT_NE(WhyNotThere(before, {nodes[0], host.name, {}, true}), "") << host.name;
      }
    }
    if (!answer.preemption) return;
    PlacementState without = state_;
    for (const Victim& victim : answer.preemption->victims) {
      ASSERT_TRUE(without.RemoveNode(victim.key).ok());
    }
    PlacementState placed = without;
    ASSERT_FALSE((*Place(&placed, request))[0].error);
    if (nodes.size() != 1) return;
    for (const Victim& victim : answer.preemption->victims) {
      ASSERT_LT(victim.priority, nodes[0].priority);
      PlacementState spared = without;
      for (const PlacedNode& node : before.nodes) {
        if (node.demand.key == victim.key) {
          ASSERT_TRUE(spared.AddNode(node).ok());
        }
      }
      ASSERT_TRUE((*Place(&spared, request))[0].error) << victim.name << " need not stop";
    }
  }

  // Proposals end: at once without new reports, and after a while with reports that always settle.
  void CheckMoves() {
    const Facts untouched = FactsOf(state_);
    std::vector<Move> moves = MovesNow();
    ASSERT_EQ(FactsOf(state_), untouched);
    for (int round = 0; !moves.empty(); ++round) {
      ASSERT_LT(round, 50) << "moves without an end";
      const double before = Interference();
      ASSERT_NO_FATAL_FAILURE(ApplyMoves(moves));
      ASSERT_TRUE(MovesNow().empty());
      bool interference = false;
      for (const Move& move : moves) interference |= move.cause == MoveCause::kInterference;
      ASSERT_TRUE(interference ? Interference() < before : Interference() <= before);
      for (const HostOffer& host : state_.Hosts()) {
        ASSERT_TRUE(state_.UpdateReport(host.name, {{}, {0.1, 0.1, 0.1}, true}).ok());
      }
      for (const PlacedNode& node : state_.Nodes()) {
        ASSERT_TRUE(state_.UpdateNode(node.demand.key, node.demand.load, node.usage, true).ok());
      }
      moves = MovesNow();
    }
  }

  std::vector<Move> MovesNow() {
    RebalanceLimits limits;
    limits.moves_max = 50;
    return *ProposeMoves(state_, limits);
  }

  double Interference() {
    double sum = 0;
    for (const HostSlot slot : state_.order()) {
      const double memory = state_.host(slot).memory_heavy;
      const double io = state_.host(slot).io_heavy;
      sum += memory * (memory - 1) / 2 + io * (io - 1) / 4;
    }
    return sum;
  }

  void ApplyMoves(const std::vector<Move>& moves) {
    std::set<NodeKey> moved;
    for (const Move& move : moves) ASSERT_TRUE(moved.insert(move.key).second) << move.name;
    for (const Move& move : moves) {
      const Facts before = FactsOf(state_);
      for (const PlacedNode& node : before.nodes) {
        if (node.demand.key == move.key) {
          ASSERT_TRUE(node.movable && node.host == move.from);
        }
      }
      ASSERT_TRUE(state_.MoveNode(move.key, move.to).ok());
      CheckArrivals(before, FactsOf(state_));
      CheckStillWith(before, FactsOf(state_));
    }
  }

  // Who was with whom it must be with is so after a move.
  void CheckStillWith(const Facts& before, const Facts& after) {
    for (size_t i = 0; i < before.nodes.size(); ++i) {
      if (!BreaksWith(before, before.nodes[i])) {
        ASSERT_FALSE(BreaksWith(after, after.nodes[i])) << after.nodes[i].demand.name;
      }
    }
  }

  void CheckDrain() {
    const std::vector<HostOffer> hosts = state_.Hosts();
    HostOffer host = hosts[random_.Below(static_cast<uint32_t>(hosts.size()))];
    const size_t nodes = state_.host(*state_.FindHost(host.name)).nodes.size();
    const auto steps = ProposeDrain(state_, host.name);
    ASSERT_TRUE(steps.ok());
    ASSERT_EQ(steps->size(), nodes);
    host.condition = HostCondition::kDraining;
    ASSERT_TRUE(state_.PutHost(host).ok());
    const Facts before = FactsOf(state_);
    for (const DrainStep& step : *steps) {
      ASSERT_NE(step.to.empty(), step.why.empty());
      if (!step.to.empty()) {
        ASSERT_TRUE(state_.MoveNode(step.key, step.to).ok());
      }
    }
    CheckArrivals(before, FactsOf(state_));
    host.condition = HostCondition::kReady;
    ASSERT_TRUE(state_.PutHost(host).ok());
  }

  void ChangeHost() {
    const uint32_t number = random_.Below(9);
    const std::string name = "h" + std::to_string(number);
    const auto slot = state_.FindHost(name);
    if (slot && state_.host(*slot).nodes.empty() && state_.order().size() > 1) {
      ASSERT_TRUE(state_.RemoveHost(name).ok());
    } else {
      ASSERT_TRUE(state_.PutHost(random_.Host(number)).ok());
    }
  }

  void RemoveSome() {
    for (const PlacedNode& node : state_.Nodes()) {
      if (!random_.OneIn(4)) continue;
      ASSERT_TRUE(state_.RemoveNode(node.demand.key).ok());
    }
  }

  void Measure() {
    for (const PlacedNode& node : state_.Nodes()) {
      ASSERT_TRUE(state_
                      .UpdateNode(node.demand.key, random_.Load(), random_.Usage(node.demand),
                                  !random_.OneIn(5))
                      .ok());
    }
    for (const HostOffer& host : state_.Hosts()) {
      ASSERT_TRUE(state_.UpdateReport(host.name, random_.Report()).ok());
    }
  }

  void Reserve() {
    std::vector<Reservation> reservations;
    const uint32_t count = random_.Below(4);
    for (uint32_t i = 0; i < count; ++i) reservations.push_back(random_.Reserve(i));
    ASSERT_TRUE(state_.SetReservations(reservations).ok());
  }

  RandomCluster random_;
  PlacementState state_;
  const bool with_reservations_;
  uint32_t next_vcluster_ = 0;
};

void Live(uint64_t seed) {
  SCOPED_TRACE("STRATA_SCHEDULER_SEED=" + std::to_string(seed));
  Life life(seed);
  for (int step = 0; step < kSteps && !testing::Test::HasFatalFailure(); ++step) life.Step();
  if (!testing::Test::HasFatalFailure()) life.CheckRetold();
}

TEST(RandomSchedulerTest, WhatMustHoldHoldsForEverySeed) {
  if (const char* only = std::getenv("STRATA_SCHEDULER_SEED")) {
    Live(std::strtoull(only, nullptr, 10));
    return;
  }
  std::printf("seeds 1 to %llu\n", static_cast<unsigned long long>(kSeeds));
  for (uint64_t seed = 1; seed <= kSeeds && !HasFatalFailure(); ++seed) Live(seed);
}

}  // namespace
}  // namespace strata::vcluster
