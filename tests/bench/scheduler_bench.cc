// Times decisions of the scheduler: scheduler_bench [HOSTS [NODES]]
// Fills HOSTS (100) with NODES (10,000) in Vclusters of four, by the scheduler itself, and prints
// the median, the 99th percentile and the slowest of each kind of decision. One thread, no I/O.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "vclusterd/scheduler/place.h"
#include "vclusterd/scheduler/rebalance.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kFirstOfBench = 1'000'000;  // Vclusters that are placed for a measurement.

NodeDemand Node(uint32_t vcluster, uint32_t index, std::mt19937_64* random) {
  NodeDemand node;
  node.key = {vcluster, index};
  node.name = "v" + std::to_string(vcluster) + "/" + std::to_string(index);
  node.owner_uid = 1000 + vcluster % 300;
  node.role = index == 0 ? "master" : "worker";
  node.rank = index == 0 ? RankBy::kLeastRequested : RankBy::kPack;
  node.request.cpus = 0.5 * static_cast<double>(1 + (*random)() % 4);
  node.request.memory_bytes = (uint64_t{1} + (*random)() % 4) << 29;
  node.load.memory = (*random)() % 50 == 0;
  node.load.io = (*random)() % 20 == 0;
  return node;
}

VclusterDemand Vcluster(uint32_t number, uint32_t nodes, std::mt19937_64* random) {
  VclusterDemand vcluster;
  vcluster.number = number;
  vcluster.name = "v" + std::to_string(number);
  for (uint32_t i = 0; i < nodes; ++i) vcluster.nodes.push_back(Node(number, i, random));
  return vcluster;
}

HostOffer Host(uint32_t number, uint32_t hosts, uint32_t nodes) {
  HostOffer host;
  char name[32];
  std::snprintf(name, sizeof(name), "lab-%04u", number);
  host.name = name;
  // Room for half as much again as is there: 1.25 CPUs and 1.25 GiB a node on average.
  const double per_host = 1.5 * nodes / hosts;
  host.cpus = per_host * 1.25 / host.overcommit_cpus;
  host.memory_bytes = static_cast<uint64_t>(per_host * 1.25 * (1u << 30));
  host.disk_bytes = uint64_t{1} << 42;
  host.labels = {"x86-64", number % 10 == 0 ? "gpu" : "cpu"};
  host.report.usage = {0.4, 0.5, 0.1};
  if (number % 10 == 3) host.report.pressure = {0.1, 0.6, 0.1};
  return host;
}

Status Fill(PlacementState* state, uint32_t hosts, uint32_t nodes, std::mt19937_64* random) {
  for (uint32_t i = 0; i < hosts; ++i) RETURN_IF_ERROR(state->PutHost(Host(i, hosts, nodes)));
  for (uint32_t i = 0; i < nodes / 4; ++i) {
    ASSIGN_OR_RETURN(const auto placed, Place(state, {{Vcluster(i, 4, random)}, {}}));
    if (placed[0].error) return *placed[0].error;
  }
  return Ok();
}

// What is measured in a round, and what takes it back.
struct Row {
  const char* name;
  int rounds;
  std::function<Status(int round)> decide;
  std::function<void(int round)> undo;
};

Status Measure(const Row& row) {
  std::vector<double> times;
  for (int round = 0; round < row.rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(row.decide(round), row.name);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    times.push_back(took.count());
    row.undo(round);
  }
  std::sort(times.begin(), times.end());
  const auto at = [&](double part) {
    return times[static_cast<size_t>(part * static_cast<double>(times.size() - 1))];
  };
  std::printf("%-44s %9.1f %9.1f %9.1f us\n", row.name, at(0.5), at(0.99), times.back());
  return Ok();
}

class Bench {
 public:
  Bench(PlacementState* state, std::mt19937_64* random) : state_(state), random_(random) {}

  // `count` Vclusters of `nodes` in one request; `change` makes each node special.
  Row Placing(const char* name, int rounds, uint32_t count, uint32_t nodes,
              const std::function<void(NodeDemand*)>& change, bool fits = true) {
    requests_.emplace_back();
    auto& requests = requests_.back();
    for (int round = 0; round < rounds; ++round) {
      PlacementRequest request;
      for (uint32_t i = 0; i < count; ++i) {
        request.vclusters.push_back(Vcluster(kFirstOfBench + i, nodes, random_));
        for (NodeDemand& node : request.vclusters.back().nodes) change(&node);
      }
      requests.push_back(std::move(request));
    }
    const size_t mine = requests_.size() - 1;
    const auto decide = [this, mine, fits](int round) -> Status {
      ASSIGN_OR_RETURN(const auto placed,
                       Place(state_, requests_[mine][static_cast<size_t>(round)]));
      for (const VclusterPlacement& vcluster : placed) {
        if (fits && vcluster.error) return *vcluster.error;
        if (!fits && !vcluster.error) return Error(Code::kInternal, "it fits");
      }
      return Ok();
    };
    const auto undo = [this, count, nodes](int) {
      for (uint32_t i = 0; i < count; ++i) {
        for (uint32_t node = 0; node < nodes; ++node) {
          const Status removed = state_->RemoveNode({kFirstOfBench + i, node});
          static_cast<void>(removed.ok());  // It is not there when it did not fit.
        }
      }
    };
    return {name, rounds, decide, undo};
  }

  Row Asking(const char* name, int rounds, std::function<Status(int)> decide) {
    return {name, rounds, std::move(decide), [](int) {}};
  }

 private:
  PlacementState* state_;
  std::mt19937_64* random_;
  std::vector<std::vector<PlacementRequest>> requests_;
};

void Packed(NodeDemand* node) { node->rank = RankBy::kPack; }
void LeastRequested(NodeDemand* node) { node->rank = RankBy::kLeastRequested; }
void Ruled(NodeDemand* node) {
  node->rank = RankBy::kSpread;
  node->required_labels = {"cpu"};
  node->rules.push_back({AffinityRule::Kind::kApart, true, {}, "", "worker"});
  node->rules.push_back({AffinityRule::Kind::kWith, false, 7, "", ""});
}
void TooLarge(NodeDemand* node) { node->request.memory_bytes = uint64_t{1} << 45; }

std::vector<Reservation> Reservations() {
  std::vector<Reservation> reservations;
  for (uint32_t i = 0; i < 10; ++i) {
    Reservation reservation;
    reservation.name = "course-" + std::to_string(i);
    reservation.number = 5000 + i;
    reservation.piece = {1, uint64_t{1} << 30, 0};
    reservation.pieces = 5;
    if (i % 2 == 0) reservation.hosts = {"lab-0001", "lab-0002"};
    reservations.push_back(reservation);
  }
  return reservations;
}

// Figures as reported: nodes use half of what they ask for, and every tenth host has memory-heavy
// nodes that would be better off elsewhere.
Status Report(PlacementState* state) {
  for (const HostSlot slot : state->order()) {
    const HostTally& host = state->host(slot);
    const bool crowded = slot % 10 == 5;
    for (size_t i = 0; i < host.nodes.size(); ++i) {
      const NodeEntry& entry = *state->FindNode(host.nodes[i]);
      const NodeDemand& demand = *entry.demand;
      LoadClass load = entry.load;
      load.memory |= crowded && i < 10;
      RETURN_IF_ERROR(state->UpdateNode(
          demand.key, load, {demand.request.cpus / 2, demand.request.memory_bytes / 2, 0.001},
          true));
    }
  }
  return Ok();
}

Status Run(uint32_t hosts, uint32_t nodes) {
  std::mt19937_64 random(1);
  ASSIGN_OR_RETURN(PlacementState state, PlacementState::Create({}));
  const auto start = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(Fill(&state, hosts, nodes, &random), "fill");
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  std::printf("%u hosts, %zu nodes, placed in %.0f ms\n%-44s %9s %9s %9s\n", hosts,
              state.nodes_count(), took.count(), "", "median", "p99", "slowest");
  Bench bench(&state, &random);
  const auto none = [](NodeDemand*) {};
  RETURN_IF_ERROR(Measure(bench.Placing("one node, packed", 10'000, 1, 1, Packed)));
  RETURN_IF_ERROR(
      Measure(bench.Placing("one node, least requested", 10'000, 1, 1, LeastRequested)));
  RETURN_IF_ERROR(
      Measure(bench.Placing("one node, spread, label, two rules", 10'000, 1, 1, Ruled)));
  RETURN_IF_ERROR(
      Measure(bench.Placing("one node that fits nowhere", 2000, 1, 1, TooLarge, false)));
  RETURN_IF_ERROR(Measure(bench.Placing("gang of 30 Vclusters of 3", 500, 30, 3, none)));
  RETURN_IF_ERROR(Measure(bench.Placing("gang of one Vcluster of 90", 500, 1, 90, none)));
  RETURN_IF_ERROR(Measure(bench.Asking("a copy of the state", 200, [&](int) -> Status {
    const PlacementState copy = state;
    return copy.nodes_count() > 0 ? Ok() : Error(Code::kInternal, "empty");
  })));
  RETURN_IF_ERROR(Report(&state));
  RebalanceLimits limits;
  for (const uint32_t moves : {4u, 50u}) {
    limits.moves_max = moves;
    ASSIGN_OR_RETURN(const auto proposed, ProposeMoves(state, limits));
    if (proposed.size() != moves)
      return Error(Code::kInternal, "fewer moves than were to be timed");
    const std::string name = "ProposeMoves, " + std::to_string(moves) + " moves";
    RETURN_IF_ERROR(Measure(bench.Asking(name.c_str(), 200, [&](int) -> Status {
      return ProposeMoves(state, limits).ok() ? Ok() : Error(Code::kInternal, "refused");
    })));
  }
  RETURN_IF_ERROR(Measure(bench.Asking("ProposeDrain", 200, [&](int round) -> Status {
    const std::string& host =
        state.host(state.order()[static_cast<size_t>(round) % hosts]).offer.name;
    return ProposeDrain(state, host).ok() ? Ok() : Error(Code::kInternal, "refused");
  })));
  RETURN_IF_ERROR(Measure(bench.Asking("ExplainNode with its text", 200, [&](int round) -> Status {
    ASSIGN_OR_RETURN(const Explanation why, ExplainNode(state, {static_cast<uint32_t>(round), 0}));
    return ExplanationText(why, hosts).empty() ? Status(Error(Code::kInternal, "")) : Ok();
  })));
  RETURN_IF_ERROR(state.SetReservations(Reservations()));
  RETURN_IF_ERROR(
      Measure(bench.Placing("one node, packed; 10 reservations", 10'000, 1, 1, Packed)));
  return Ok();
}

}  // namespace
}  // namespace strata::vcluster

int main(int argc, char** argv) {
  const int hosts = argc > 1 ? std::atoi(argv[1]) : 100;
  const int nodes = argc > 2 ? std::atoi(argv[2]) : 10'000;
  if (argc > 3 || hosts < 3 || nodes < 1000) {
    std::fprintf(stderr, "usage: scheduler_bench [HOSTS [NODES]]  (at least 3 and 1000)\n");
    return 2;
  }
  const strata::Status status =
      strata::vcluster::Run(static_cast<uint32_t>(hosts), static_cast<uint32_t>(nodes));
  if (status.ok()) return 0;
  std::fprintf(stderr, "scheduler_bench: %s\n", status.error().message().c_str());
  return 1;
}
