// A Vcluster as its user defines it: what a Vcluster file says (docs/definition.md), once it was
// read and checked. Plain values; nothing in here depends on a host, so the same definition makes
// the same Vcluster anywhere.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::vcluster {

inline constexpr uint32_t kNodesMax = 250;  // Of a Vcluster: then its subnet is a /24.
inline constexpr size_t kRolesMax = 64;
inline constexpr size_t kNameSizeMax = 40;  // Of a Vcluster.
inline constexpr size_t kRoleNameSizeMax = 30;
inline constexpr size_t kPeersMax = 16;                  // Of a Vcluster.
inline constexpr size_t kAcceptRulesMax = 1000;          // As net/desired.h, kGroupRulesMax.
inline constexpr size_t kHookOutputBytesMax = 64 << 10;  // What is kept of one run.
// The role of nodes that the user gave none.
inline constexpr std::string_view kDefaultRole = "node";

// What each node of a role may use. 0: no limit, unless said otherwise.
struct Limits {
  double cpus = 0;  // 1.5 = one and a half cores.
  uint64_t memory_bytes = 0;
  uint64_t processes = 0;              // 0: the host's default.
  std::optional<uint64_t> disk_bytes;  // What its own changes may take. Absent: the host's default.
  uint64_t network_bits_per_s = 0;     // In each direction.
  uint64_t io_bytes_per_s = 0;         // Reads and writes of block devices, each.
  bool operator==(const Limits&) const = default;
};

// A command that Strata runs inside a node, as its root.
struct Hook {
  std::vector<std::string> argv;
  std::chrono::seconds timeout{300};  // Then it is killed and has failed.
  bool operator==(const Hook&) const = default;
};

struct Hooks {
  std::optional<Hook> on_create;    // After the first start of a node, before it counts as ready.
  std::optional<Hook> on_destroy;   // Before a node is deleted, while it still runs.
  std::optional<Hook> on_recovery;  // After a node that broke down was started again.
  bool operator==(const Hooks&) const = default;
};

// When a node counts as ready: a command inside of it exits with 0, or a port of it takes
// connections. Without one: when its process 1 runs and on_create has succeeded.
struct ReadyCheck {
  std::vector<std::string> argv;
  uint16_t tcp_port = 0;
  std::chrono::milliseconds every{1000};
  std::chrono::seconds timeout{120};  // Then the node is not started successfully.
  bool operator==(const ReadyCheck&) const = default;
};

enum class Protocol { kTcp, kUdp };

// Whether one port of a host leads to all nodes of the role.
enum class Balance {
  kNone,
  kRoundRobin,  // Each new connection to the next node.
  kSticky,      // Those of one sender to the same.
};

// A port of every node of the role, reachable through a port of the node's host. With `balance`
// each host that has nodes of the role has a port, too, that leads to all of them.
struct PortForward {
  uint16_t node_port = 0;
  // Of the node, or with `balance` of the role: the same on all of its hosts. 0: a free one is
  // chosen. REQUIRES: 0 when the role may have two nodes, but with `balance`.
  uint16_t host_port = 0;
  Protocol protocol = Protocol::kTcp;
  Balance balance = Balance::kNone;
  bool operator==(const PortForward&) const = default;
};

struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;
  bool operator==(const PortRange&) const = default;
};

// Words of Accept::from that are no roles.
inline constexpr std::string_view kAnybody = "any";
inline constexpr std::string_view kOutside = "outside";

// What others may begin at the nodes of a role.
struct Accept {
  std::vector<std::string> from = {std::string(kAnybody)};  // Roles, and the two words.
  // None of the three: everything.
  std::vector<PortRange> tcp;
  std::vector<PortRange> udp;
  bool icmp = false;
  bool operator==(const Accept&) const = default;
};

// A directory that outlives the node, mounted in it.
struct VolumeMount {
  std::string volume;  // "home": the owner's own; otherwise a name of Definition::volumes.
  std::string path;    // In the node; absolute, canonical.
  bool read_only = false;
  bool operator==(const VolumeMount&) const = default;
};

// DCM's two ways to rank hosts, and one more (docs/scheduling.md).
enum class Rank {
  kLeastRequested,  // The host with the most room: masters and drivers.
  kPack,            // As few hosts as possible: workers.
  kSpread,          // As many hosts as possible.
};

struct Placement {
  Rank rank = Rank::kPack;
  std::vector<std::string> near;     // Roles whose hosts are preferred.
  std::vector<std::string> apart;    // Roles (its own too) whose hosts are avoided.
  bool strict = false;               // near and apart must hold, or the node is not placed.
  std::vector<std::string> require;  // Labels that the host must have.
  int priority = 0;                  // -100..100
  bool operator==(const Placement&) const = default;
};

enum class RestartPolicy {
  kOnFailure,  // When process 1 was killed or exited with another code than 0.
  kAlways,     // Also when it exited with 0.
  kNever,
};
// What becomes of a node whose host is lost.
enum class HostLoss {
  kWait,      // It is where its data are: it runs again when the host is back.
  kRecreate,  // It is made anew from its image elsewhere; what it wrote is lost.
};
// How a node leaves a host that is drained.
enum class MigrationPolicy {
  kAuto,       // Live where that is possible, otherwise as kStopStart.
  kStopStart,  // Stopped, moved with its data, started.
  kNever,      // It stays, and the drain says so.
};

// By how much a role grows and shrinks by itself.
struct Autoscale {
  uint32_t min = 1;
  uint32_t max = 1;
  // One of the two: the mean CPU use of the role's nodes, of what each may use, in percent; or a
  // command in the role's first node that prints a number, and the number it should be per node.
  double cpu_percent = 0;
  std::vector<std::string> argv;
  double target_per_node = 0;
  std::chrono::seconds every{30};
  std::chrono::seconds shrink_after{300};  // Too large for this long.
  bool operator==(const Autoscale&) const = default;
};

// Which nodes go first when a role shrinks.
enum class ScaleIn { kNewest, kOldest, kIdlest };

// Programs in the Vcluster's nodes may ask for another number of nodes (docs/scale-from-nodes.md):
// from `min` to `max`, and what `autoscale` allows where there is that too.
struct ScaleFromNodes {
  uint32_t min = 1;
  uint32_t max = kNodesMax;
  bool operator==(const ScaleFromNodes&) const = default;
};

struct Role {
  std::string name;  // Also of its nodes: "<name>-0", "<name>-1", …
  uint32_t count = 1;
  std::string image;  // [OWNER/]NAME[:TAG]
  // Of single nodes, by ordinal; those beyond are of `image`. How a template tells nodes
  // apart that were alike once (docs/classes.md).
  std::vector<std::string> images;
  Limits limits;
  std::map<std::string, std::string> env;
  std::vector<std::string> command;  // Empty: the image's.
  Hooks hooks;
  std::optional<ReadyCheck> ready;
  std::vector<std::string> after;  // Roles that have to be ready before its nodes start.
  std::vector<PortForward> ports;
  // What its nodes take, beside what `ports` and `ready` need. Absent: everything of the Vcluster.
  std::optional<std::vector<Accept>> accept;
  std::vector<VolumeMount> volumes;
  Placement placement;
  RestartPolicy restart = RestartPolicy::kOnFailure;
  HostLoss host_loss = HostLoss::kWait;
  MigrationPolicy migration = MigrationPolicy::kAuto;
  ScaleIn scale_in = ScaleIn::kNewest;
  std::optional<Autoscale> autoscale;
  std::optional<ScaleFromNodes> scale_from_nodes;  // Absent: they may not.
  bool operator==(const Role&) const = default;

  const std::string& ImageOf(uint32_t ordinal) const {
    return ordinal < images.size() ? images[ordinal] : image;
  }
};

// A directory that the nodes of the Vcluster share, deleted with it.
struct Volume {
  std::string name;
  bool operator==(const Volume&) const = default;
};

enum class ExpiryAction { kStop, kDelete };

struct Definition {
  std::string name;
  std::string description;
  std::vector<Role> roles;  // In the file's order; 1 to kRolesMax, kNodesMax nodes in all.
  std::vector<Volume> volumes;
  std::vector<std::string> peers;  // [OWNER/]NAME: Vclusters with which it talks, if they name it.
  // It never has more; what is not needed for them, other Vclusters have.
  uint32_t nodes_max = kNodesMax;
  // At most one of the two; neither: it lives until it is deleted.
  std::optional<std::chrono::sys_seconds> expires;
  std::optional<std::chrono::seconds> lifetime;  // From its creation.
  ExpiryAction on_expiry = ExpiryAction::kStop;
  std::optional<std::chrono::seconds> idle_stop;  // Stopped when no node did anything for so long.
  bool operator==(const Definition&) const = default;

  uint32_t NodeCount() const {
    uint32_t count = 0;
    for (const Role& role : roles) count += role.count;
    return count;
  }
  // Whether nodes may ask for anything at all.
  bool ScalesFromNodes() const {
    for (const Role& role : roles) {
      if (role.scale_from_nodes) return true;
    }
    return false;
  }
  // Whether there are rules of who may begin what.
  bool HasAccepts() const {
    for (const Role& role : roles) {
      if (role.accept) return true;
    }
    return false;
  }
  const Role* FindRole(std::string_view role) const {
    for (const Role& candidate : roles) {
      if (candidate.name == role) return &candidate;
    }
    return nullptr;
  }
};

// kInvalidArgument unless it is a lower-case letter followed by letters, digits and '-', so that it
// is a host name and never looks like a node's number.
Status CheckClusterName(std::string_view name);
Status CheckLimits(const Limits& limits);
// Everything that a file is checked for beyond its syntax: names, ranges, references between roles
// and volumes, no cycle in `after`, ports that cannot be had twice. kInvalidArgument names the
// place: "roles.worker.after: there is no role 'mater' (did you mean 'master'?)".
Status CheckDefinition(const Definition& definition);

}  // namespace strata::vcluster
