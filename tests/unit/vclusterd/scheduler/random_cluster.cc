#include "tests/unit/vclusterd/scheduler/random_cluster.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "tests/unit/vclusterd/scheduler/fixtures.h"

namespace strata::vcluster {
namespace {

using Kind = AffinityRule::Kind;

const char* const kRoles[] = {"", "master", "worker", "db"};

int64_t Milli(double cpus) { return std::llround(cpus * 1000); }  // The tests use eighths.

Amounts Wants(const NodeDemand& node) {
  Amounts wants = {Milli(node.request.cpus), static_cast<int64_t>(node.request.memory_bytes),
                   static_cast<int64_t>(node.request.disk_bytes)};
  if (wants.milli_cpus == 0) wants.milli_cpus = 100;
  if (wants.memory_bytes == 0) wants.memory_bytes = int64_t{64} << 20;
  return wants;
}

Amounts Limit(const HostOffer& host) {
  const double cpus = std::max(0.0, host.cpus - host.system.cpus) * host.overcommit_cpus;
  const double memory = std::max(0.0, static_cast<double>(host.memory_bytes) -
                                          static_cast<double>(host.system.memory_bytes)) *
                        host.overcommit_memory;
  return {Milli(cpus), static_cast<int64_t>(memory), static_cast<int64_t>(host.disk_bytes)};
}

bool IsMeant(const AffinityRule& rule, const NodeDemand& by, const NodeDemand& other) {
  return rule.vcluster.value_or(by.key.vcluster) == other.key.vcluster &&
         (rule.role.empty() || rule.role == other.role);
}

const HostOffer* Find(const Facts& facts, const std::string& host) {
  for (const HostOffer& offer : facts.hosts) {
    if (offer.name == host) return &offer;
  }
  return nullptr;
}

Amounts FreeOn(const Facts& facts, const HostOffer& host) {
  Amounts free = Limit(host);
  for (const PlacedNode& node : facts.nodes) {
    if (node.host == host.name) free -= Wants(node.demand);
  }
  return free;
}

int64_t NodesOn(const Facts& facts, const std::string& host) {
  return std::count_if(facts.nodes.begin(), facts.nodes.end(),
                       [&](const PlacedNode& node) { return node.host == host; });
}

// What the reservation still keeps of a host that it names.
Amounts KeptOn(const Facts& facts, const Reservation& reservation, const std::string& host) {
  const int64_t pieces = reservation.pieces;
  Amounts kept = {Milli(reservation.piece.cpus) * pieces,
                  static_cast<int64_t>(reservation.piece.memory_bytes) * pieces, 0};
  for (const PlacedNode& node : facts.nodes) {
    if ((host.empty() || node.host == host) && HoldsReservation(reservation, node.demand)) {
      kept -= Wants(node.demand);
    }
  }
  return kept.Positive();
}

bool Names(const Reservation& reservation, const std::string& host) {
  return std::find(reservation.hosts.begin(), reservation.hosts.end(), host) !=
         reservation.hosts.end();
}

int64_t MissingPieces(const Facts& facts, const Reservation& reservation) {
  const int64_t cpus = Milli(reservation.piece.cpus);
  const auto memory = static_cast<int64_t>(reservation.piece.memory_bytes);
  const Amounts kept = KeptOn(facts, reservation, "");
  int64_t needed = 0;
  if (cpus > 0) needed = std::max(needed, (kept.milli_cpus + cpus - 1) / cpus);
  if (memory > 0) needed = std::max(needed, (kept.memory_bytes + memory - 1) / memory);
  for (const HostOffer& host : facts.hosts) {
    if (host.condition != HostCondition::kReady) continue;
    Amounts free = FreeOn(facts, host);
    for (const Reservation& other : facts.reservations) {
      if (Names(other, host.name)) free -= KeptOn(facts, other, host.name);
    }
    free = free.Positive();
    int64_t fits = host.nodes_max == 0 ? 1'000'000 : host.nodes_max - NodesOn(facts, host.name);
    fits = std::max<int64_t>(fits, 0);
    if (cpus > 0) fits = std::min(fits, free.milli_cpus / cpus);
    if (memory > 0) fits = std::min(fits, free.memory_bytes / memory);
    needed -= fits;
  }
  return std::max<int64_t>(needed, 0);
}

}  // namespace

bool HoldsReservation(const Reservation& reservation, const NodeDemand& node) {
  if (reservation.holder == Reservation::Holder::kOwner) {
    return node.owner_uid == reservation.number;
  }
  if (reservation.holder == Reservation::Holder::kGroup) return node.group == reservation.group;
  return node.key.vcluster == reservation.number;
}

HostOffer RandomCluster::Host(uint32_t number) {
  HostOffer host = MakeHost("h" + std::to_string(number), 2 + Below(15), 2 + Below(31));
  host.overcommit_cpus = OneIn(2) ? 1 : 1.5;
  host.overcommit_memory = OneIn(4) ? 1.25 : 1;
  host.disk_bytes = kGiB * Below(20);
  if (OneIn(4)) host.system = {0.5, kGiB / 2, 0};
  if (OneIn(4)) host.nodes_max = 1 + Below(6);
  if (OneIn(3)) host.labels = {"gpu"};
  if (OneIn(8)) host.condition = OneIn(2) ? HostCondition::kDraining : HostCondition::kLost;
  host.report = Report();
  return host;
}

HostReport RandomCluster::Report() {
  const auto level = [&] { return 0.1 * Below(11); };
  HostReport report;
  if (OneIn(2)) report.pressure = {level(), level(), level()};
  report.usage = {level(), level(), level()};
  report.settled = !OneIn(4);
  return report;
}

Reservation RandomCluster::Reserve(uint32_t number) {
  Reservation reservation;
  reservation.name = "r" + std::to_string(number);
  reservation.holder = static_cast<Reservation::Holder>(Below(3));
  reservation.number =
      reservation.holder == Reservation::Holder::kOwner ? 1000 + Below(3) : Below(20);
  if (reservation.holder == Reservation::Holder::kGroup) reservation.group = "g";
  reservation.piece = {0.5 * Below(5), Below(4) * kGiB, 0};
  if (reservation.piece == ResourceRequest{}) reservation.piece.cpus = 1;
  reservation.pieces = 1 + Below(3);
  const uint32_t hosts = Below(3);
  for (uint32_t i = 0; i < hosts; ++i) reservation.hosts.push_back("h" + std::to_string(i * 2));
  return reservation;
}

LoadClass RandomCluster::Load() { return {OneIn(5), OneIn(3), OneIn(4)}; }

NodeUsage RandomCluster::Usage(const NodeDemand& node) {
  return {node.request.cpus * 0.25 * Below(5), node.request.memory_bytes / 4 * Below(5),
          0.1 * Below(4)};
}

NodeDemand RandomCluster::Node(uint32_t vcluster, uint32_t index) {
  NodeDemand node = MakeNode(vcluster, index, 0.125 * Below(20), Below(6));
  node.owner_uid = 1000 + vcluster % 3;
  node.group = vcluster % 2 == 0 ? "g" : "";
  node.role = kRoles[Below(4)];
  node.rank = static_cast<RankBy>(Below(3));
  node.priority = static_cast<int32_t>(Below(4)) - 1;
  node.load = Load();
  if (OneIn(4)) node.request.disk_bytes = Below(8) * kGiB;
  if (OneIn(6)) node.required_labels = {"gpu"};
  if (OneIn(6)) node.excluded_hosts = {"h0", "h3"};
  if (OneIn(4)) node.preferred_host = "h" + std::to_string(Below(8));
  const uint32_t rules = OneIn(2) ? Below(3) : 0;
  for (uint32_t i = 0; i < rules; ++i) {
    AffinityRule rule;
    rule.kind = OneIn(2) ? Kind::kWith : Kind::kApart;
    rule.must = !OneIn(3);
    if (OneIn(4)) rule.vcluster = Below(20);
    rule.role = kRoles[Below(4)];
    node.rules.push_back(rule);
  }
  return node;
}

VclusterDemand RandomCluster::Vcluster(uint32_t number, uint32_t nodes) {
  std::vector<NodeDemand> list;
  for (uint32_t i = 0; i < nodes; ++i) list.push_back(Node(number, i));
  VclusterDemand vcluster = MakeVcluster(list);
  vcluster.ports = Below(3);
  vcluster.propose_preemption = true;
  return vcluster;
}

Facts FactsOf(const PlacementState& state) {
  return {state.Hosts(), state.Nodes(), state.Reservations()};
}

PlacementState Retold(const Facts& facts, RandomCluster* random) {
  PlacementState state = *PlacementState::Create({});
  Facts shuffled = facts;
  random->Shuffle(&shuffled.hosts);
  random->Shuffle(&shuffled.nodes);
  random->Shuffle(&shuffled.reservations);
  const bool reservations_first = random->OneIn(2);
  if (reservations_first) {
    EXPECT_TRUE(state.SetReservations(shuffled.reservations).ok());
  }
  for (const HostOffer& host : shuffled.hosts) EXPECT_TRUE(state.PutHost(host).ok());
  for (const PlacedNode& node : shuffled.nodes) EXPECT_TRUE(state.AddNode(node).ok());
  if (!reservations_first) {
    EXPECT_TRUE(state.SetReservations(shuffled.reservations).ok());
  }
  return state;
}

bool BreaksWith(const Facts& facts, const PlacedNode& node) {
  const NodeDemand& demand = node.demand;
  for (const AffinityRule& rule : demand.rules) {
    if (!rule.must || rule.kind != Kind::kWith) continue;
    bool here = false;
    bool elsewhere = false;
    for (const PlacedNode& other : facts.nodes) {
      if (other.demand.key == demand.key || !IsMeant(rule, demand, other.demand)) continue;
      (other.host == node.host ? here : elsewhere) = true;
    }
    // The only one of its kind has nobody to be with.
    if (!here && (elsewhere || !IsMeant(rule, demand, demand))) return true;
  }
  return false;
}

std::string WhyNot(const Facts& facts, const PlacedNode& node) {
  const HostOffer* host = Find(facts, node.host);
  if (host == nullptr) return "no such host";
  if (host->condition != HostCondition::kReady) return "host not ready";
  const NodeDemand& demand = node.demand;
  for (const std::string& label : demand.required_labels) {
    if (std::find(host->labels.begin(), host->labels.end(), label) == host->labels.end()) {
      return "label";
    }
  }
  for (const std::string& excluded : demand.excluded_hosts) {
    if (excluded == node.host) return "excluded";
  }
  const Amounts free = FreeOn(facts, *host);
  if (free.Positive() != free) return "over its limit";
  if (host->nodes_max != 0 && NodesOn(facts, node.host) > host->nodes_max) return "nodes_max";
  if (BreaksWith(facts, node)) return "with";
  for (const PlacedNode& other : facts.nodes) {
    if (other.host != node.host || other.demand.key == demand.key) continue;
    for (const AffinityRule& rule : demand.rules) {
      if (rule.must && rule.kind == Kind::kApart && IsMeant(rule, demand, other.demand)) {
        return "apart";
      }
    }
    for (const AffinityRule& rule : other.demand.rules) {
      if (rule.must && rule.kind == Kind::kApart && IsMeant(rule, other.demand, demand)) {
        return "kept away";
      }
    }
  }
  return "";
}

std::string WhyNotThere(Facts facts, const PlacedNode& node) {
  std::erase_if(facts.nodes,
                [&](const PlacedNode& other) { return other.demand.key == node.demand.key; });
  facts.nodes.push_back(node);
  return WhyNot(facts, node);
}

std::vector<int64_t> Missing(const Facts& facts) {
  std::vector<int64_t> missing;
  for (const Reservation& reservation : facts.reservations) {
    if (reservation.hosts.empty()) missing.push_back(MissingPieces(facts, reservation));
  }
  for (const HostOffer& host : facts.hosts) {  // Named hosts: all that is kept of one together.
    Amounts lacking = {};
    for (const Reservation& reservation : facts.reservations) {
      if (Names(reservation, host.name)) lacking += KeptOn(facts, reservation, host.name);
    }
    const bool kept = lacking != Amounts{};
    lacking = (lacking - FreeOn(facts, host)).Positive();
    missing.push_back(kept ? lacking.milli_cpus + lacking.memory_bytes : 0);
  }
  return missing;
}

std::string WrongSums(const PlacementState& state) {
  const Facts facts = FactsOf(state);
  for (const HostSlot slot : state.order()) {
    const HostTally& tally = state.host(slot);
    const std::string& name = tally.offer.name;
    if (tally.limit - tally.requested != FreeOn(facts, tally.offer)) return name + ": amounts";
    if (static_cast<int64_t>(tally.nodes.size()) != NodesOn(facts, name)) return name + ": nodes";
    uint32_t heavy[3] = {0, 0, 0};
    for (const PlacedNode& node : facts.nodes) {
      if (node.host != name) continue;
      heavy[0] += node.demand.load.cpu;
      heavy[1] += node.demand.load.memory;
      heavy[2] += node.demand.load.io;
    }
    if (tally.cpu_heavy != heavy[0] || tally.memory_heavy != heavy[1] ||
        tally.io_heavy != heavy[2]) {
      return name + ": heavy nodes";
    }
    for (uint32_t vcluster = 0; vcluster < 20; ++vcluster) {
      for (const char* role : kRoles) {
        AffinityRule rule;
        rule.vcluster = vcluster;
        rule.role = role;
        uint32_t present = 0;
        uint32_t repelled = 0;
        for (const PlacedNode& node : facts.nodes) {
          if (node.host != name) continue;
          present += IsMeant(rule, {}, node.demand);
          for (const AffinityRule& said : node.demand.rules) {
            repelled += said.must && said.kind == Kind::kApart && said.role == role &&
                        said.vcluster.value_or(node.demand.key.vcluster) == vcluster;
          }
        }
        if (state.present().At({vcluster, role}, slot) != present) return name + ": present";
        if (state.repelled().At({vcluster, role}, slot) != repelled) return name + ": repelled";
      }
    }
  }
  return "";
}

}  // namespace strata::vcluster
