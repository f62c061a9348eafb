// Random clusters and requests, and a second opinion on what may stand where: plain loops over all
// nodes, written without the scheduler's own sums.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "vclusterd/scheduler/place.h"
#include "vclusterd/scheduler/placement_state.h"

namespace strata::vcluster {

class RandomCluster {
 public:
  explicit RandomCluster(uint64_t seed) : random_(seed) {}

  uint32_t Below(uint32_t end) { return static_cast<uint32_t>(random_() % end); }
  bool OneIn(uint32_t count) { return Below(count) == 0; }
  template <typename T>
  void Shuffle(std::vector<T>* list) {
    std::shuffle(list->begin(), list->end(), random_);
  }

  HostOffer Host(uint32_t number);
  Reservation Reserve(uint32_t number);
  // With rules about roles of its own and other Vclusters.
  NodeDemand Node(uint32_t vcluster, uint32_t index);
  VclusterDemand Vcluster(uint32_t number, uint32_t nodes);
  LoadClass Load();
  NodeUsage Usage(const NodeDemand& node);
  HostReport Report();

 private:
  std::mt19937_64 random_;
};

// What the state was told, and nothing of what it has added up.
struct Facts {
  std::vector<HostOffer> hosts;
  std::vector<PlacedNode> nodes;
  std::vector<Reservation> reservations;
  bool operator==(const Facts&) const = default;
};
Facts FactsOf(const PlacementState& state);
// A new state that was told the same in another order.
PlacementState Retold(const Facts& facts, RandomCluster* random);

// Why the node may not stand where it does, beside all others; "" when it may. Reservations are not
// looked at.
std::string WhyNot(const Facts& facts, const PlacedNode& node);
// It is not with a node that it must be with.
bool BreaksWith(const Facts& facts, const PlacedNode& node);
// As WhyNot, for a host that it does not stand on yet. `node.host` is the host.
std::string WhyNotThere(Facts facts, const PlacedNode& node);

// Room that is missing for reservations, by reservation (and host, where it names one): 0 where all
// is there. In pieces for those that may lie anywhere, else in thousandths of CPUs plus bytes.
std::vector<int64_t> Missing(const Facts& facts);
bool HoldsReservation(const Reservation& reservation, const NodeDemand& node);

// Sums of the state against sums over all nodes; "" when they agree.
std::string WrongSums(const PlacementState& state);

}  // namespace strata::vcluster
