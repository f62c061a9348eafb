// What the scheduler is told: hosts, nodes, reservations, quotas. Plain values without behaviour,
// owned by whoever holds them. Every value is checked where it enters (placement_state.h, place.h):
// one that cannot be (NaN, negative, past the limits below) is kInvalidArgument.
//
// The model is DCM's (CPU and memory requested, DCSpark 4.4) with disk, labels, affinity,
// reservations and priorities, and the reported load of the container multi-cloud (III.D).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace strata::vcluster {

// Limits of what is taken in.
inline constexpr double kSchedulerCpusMax = 100'000;
inline constexpr uint64_t kSchedulerBytesMax = uint64_t{1} << 50;  // 1 PiB of memory or disk.
inline constexpr double kOvercommitMax = 64;
inline constexpr size_t kSchedulerHostsMax = 4096;
inline constexpr size_t kSchedulerNodesMax = 1'000'000;
inline constexpr size_t kRequestedNodesMax = 4096;  // Of one request, all its Vclusters together.
inline constexpr size_t kReservationsMax = 256;
inline constexpr size_t kReservedPiecesMax = 100'000;
inline constexpr size_t kRulesMax = 16;   // Of one node.
inline constexpr size_t kLabelsMax = 64;  // Of one host or node; also hosts that a node excludes.
inline constexpr size_t kTextSizeMax = 128;  // Names, roles, labels, groups.

struct NodeKey {
  uint32_t vcluster = 0;  // Number of the Vcluster.
  uint32_t node = 0;      // Index in it.
  auto operator<=>(const NodeKey&) const = default;
};

// What a node asks for, or one piece of a reservation.
struct ResourceRequest {
  double cpus = 0;            // 0: no limit, which counts as SchedulerParameters say.
  uint64_t memory_bytes = 0;  // 0: as above.
  uint64_t disk_bytes = 0;    // 0: no limit, which counts as nothing.
  bool operator==(const ResourceRequest&) const = default;
};

// A value for each resource that is reported.
struct ResourceLevels {
  double cpu = 0;
  double memory = 0;
  double io = 0;
  bool operator==(const ResourceLevels&) const = default;
};

// Averages over some ten seconds, each 0..1.
struct HostReport {
  ResourceLevels pressure;  // Share of time that somebody waited (PSI "some").
  ResourceLevels usage;     // Share of the capacity that is in use.
  // The report covers only time after the last move from or to the host. One that does not says
  // little about the host as it is now, so no node is moved because of it.
  bool settled = true;
  bool operator==(const HostReport&) const = default;
};

enum class HostCondition { kReady, kDraining, kLost };

struct HostOffer {
  std::string name;  // Unique; the order of names breaks every tie.
  HostCondition condition = HostCondition::kReady;
  double cpus = 0;
  uint64_t memory_bytes = 0;
  uint64_t disk_bytes = 0;
  uint32_t nodes_max = 0;  // 0: no limit.
  // What the host itself needs; comes off before anything else.
  ResourceRequest system;
  // What may be requested is the rest times these.
  double overcommit_cpus = 4.0;
  double overcommit_memory = 1.0;
  std::vector<std::string> labels;
  HostReport report;
  bool operator==(const HostOffer&) const = default;
};

// What a node is heavy on, measured (load_class.h) or said in advance.
struct LoadClass {
  bool cpu = false;
  bool memory = false;
  bool io = false;
  bool operator==(const LoadClass&) const = default;
};

// What a node really uses.
struct NodeUsage {
  double cpus = 0;
  uint64_t memory_bytes = 0;
  double io = 0;  // Share of its host's I/O time, 0..1.
  bool operator==(const NodeUsage&) const = default;
};

// How the hosts that would do are ranked.
enum class RankBy {
  kLeastRequested,  // Masters and drivers: Eq. 2 of DCSpark.
  kPack,            // Workers: few hosts, Eq. 3.
  kSpread,          // Few nodes of the same role on a host.
};

// Where a node wants to be, seen from other nodes.
struct AffinityRule {
  enum class Kind { kWith, kApart };
  Kind kind = Kind::kApart;
  bool must = true;  // Otherwise it only counts in the ranking.
  // Whom it is about: at least one node (kWith), every node (kApart) of this Vcluster and role.
  std::optional<uint32_t> vcluster;  // Absent: the node's own.
  std::string vcluster_name;         // For texts.
  std::string role;                  // Empty: any.
  bool operator==(const AffinityRule&) const = default;
};

struct NodeDemand {
  NodeKey key;
  std::string name;  // For texts, such as "spark/worker-1".
  uint32_t owner_uid = 0;
  std::string group;  // For whom it runs besides its owner; may be empty.
  std::string role;   // May be empty.
  ResourceRequest request;
  RankBy rank = RankBy::kPack;
  int32_t priority = 0;  // Higher is more important.
  LoadClass load;
  std::vector<AffinityRule> rules;
  std::vector<std::string> required_labels;
  std::vector<std::string> excluded_hosts;
  std::string preferred_host;  // Where its layers or data are. It need not exist.
  bool operator==(const NodeDemand&) const = default;
};

struct PlacedNode {
  NodeDemand demand;
  std::string host;
  NodeUsage usage;
  bool movable = true;  // False: it was moved or started a moment ago, or its owner says no.
  bool operator==(const PlacedNode&) const = default;
};

// Room that is kept for somebody: `pieces` times `piece`, on each of `hosts`, or anywhere when
// there are none. What its holder already has there counts as a part of it. Whether it is time for
// it is the caller's to know: only reservations that hold now are given.
struct Reservation {
  enum class Holder { kOwner, kGroup, kVcluster };
  std::string name;  // Unique.
  Holder holder = Holder::kOwner;
  uint32_t number = 0;  // uid or Vcluster.
  std::string group;
  ResourceRequest piece;  // 0: nothing of this resource. On one host, when it may be anywhere.
  uint32_t pieces = 1;
  std::vector<std::string> hosts;
  bool operator==(const Reservation&) const = default;
};

template <typename T>
struct Allowance {
  std::optional<T> limit;  // Absent: none.
  T used{};
};

struct OwnerQuota {
  uint32_t owner_uid = 0;
  std::string owner_name;  // For texts.
  Allowance<uint64_t> nodes;
  Allowance<double> cpus;
  Allowance<uint64_t> memory_bytes;
  Allowance<uint64_t> disk_bytes;
  Allowance<uint64_t> ports;
};

// Nodes of one Vcluster that are placed together or not at all.
struct VclusterDemand {
  uint32_t number = 0;
  std::string name;               // For texts.
  uint32_t ports = 0;             // Of the host's addresses; only quotas look at them.
  std::vector<NodeDemand> nodes;  // Of one owner.
  // When there is no room: say which nodes of lower priority would have to stop.
  bool propose_preemption = false;
};

struct PlacementRequest {
  std::vector<VclusterDemand> vclusters;  // Different ones.
  std::vector<OwnerQuota> quotas;         // Owners without one have no limit.
};

struct SchedulerParameters {
  // What a node without a limit counts as, so that it costs something; both above 0.
  double default_cpus = 0.1;
  uint64_t default_memory_bytes = uint64_t{64} << 20;
  // A host is pressed from this pressure, or this usage, of any resource on; it gets nodes only
  // when no other host will do, and gives some away.
  double pressure_high = 0.4;
  double usage_high = 0.9;
  // A host takes nodes from a pressed one only below this; at most pressure_high.
  double pressure_low = 0.2;
};

}  // namespace strata::vcluster
