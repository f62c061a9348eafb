// One node as the runtime needs it, and where the runtime keeps things on this host.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/ip_address.h"
#include "net/ipv4.h"
#include "net/names.h"
#include "net/wire.h"
#include "vclusterd/definition/definition.h"

namespace strata::vcluster {

inline constexpr uint32_t kIdCount = 65536;             // Ids that every container has.
inline constexpr uint64_t kDefaultProcessesMax = 4096;  // Where the user asks for no limit.

// Everything that other nodes of the Vcluster can see of a node.
struct NodeAddress {
  std::string hostname;
  std::vector<std::string> aliases;
  net::Ipv4 address;
  std::optional<net::IpAddress> address6;  // In a /64, whose first host is the gateway.
};

// Keys of one Vcluster: one for logging in, one by which its nodes know each other.
struct SshKeys {
  std::string login_seed;  // 32 bytes each: an Ed25519 private key.
  std::string host_seed;
  // While keys are changed: those of before, which nodes still take. Otherwise empty.
  std::string login_seed_before;
  std::string host_seed_before;
};

// A directory that is mounted in the node.
struct VolumeSpec {
  std::string name;       // As the user calls it.
  std::string directory;  // Below the host's shared directory.
  std::string path;       // In the node.
  bool read_only = false;
};

struct NodeSpec {
  std::string id;  // "<cluster>-<node>", unique on this host.
  NodeAddress self;
  std::vector<NodeAddress> peers;       // All nodes of the Vcluster, itself included.
  std::vector<NodeAddress> neighbours;  // Nodes of Vclusters with which it talks.
  net::Ipv4Prefix prefix;
  net::Ipv4 gateway;
  std::string domain;  // Of its Vcluster's names; empty: the gateway answers no questions for them.
  std::string bridge;  // That its link is to be a port of; empty: somebody else sees to that.
  std::string veth;
  net::Mac mac{};
  uint32_t mtu = net::kBridgeMtu;
  bool fills_in_checksums = false;  // Of what it sends (net/checksums.h).
  uint32_t id_first = 0;            // Root of the container on the host.
  Limits limits;
  std::string machine_id;  // 32 hex digits.
  SshKeys ssh;
  std::vector<std::string> command;  // The image's; may be empty.
  std::vector<std::string> env;
  uint32_t owner_uid = 0;
  std::string shared_id;            // Of the directory that holds the volumes.
  std::vector<VolumeSpec> volumes;  // In the order in which they are mounted.
};

struct HostLayout {
  std::string run_dir;      // Every directory on the way can be passed by everybody (o+x).
  std::string instance;     // kInstanceDigits hex digits.
  std::string node_binary;  // strata-node
  std::string vinit;        // Readable by everybody, as the next.
  std::string command;      // strata-in-node; empty: nodes have none.
  bool unified_cgroups = false;
  uint64_t memory_bytes_max = 0;  // Of a node; 0: none.
  std::string apparmor_profile;   // Loaded; empty: this kernel has no AppArmor.

  std::string NodesDir() const { return run_dir + "/nodes"; }
  // What every node mounts from the host.
  std::vector<std::string> FilesInNodes() const {
    return command.empty() ? std::vector{vinit} : std::vector{vinit, command};
  }
  // The paths that whoever starts containers needs, besides liblxc's.
  std::vector<std::string> NeededInStarts() const {
    std::vector<std::string> needed = FilesInNodes();
    needed.push_back(NodesDir());
    return needed;
  }
  std::string SeccompPath() const { return run_dir + "/seccomp"; }
  // What a node gets that should have `limits`.
  Limits Bound(Limits limits) const {
    const bool unlimited = limits.memory_bytes == 0;
    if (unlimited || (memory_bytes_max != 0 && limits.memory_bytes > memory_bytes_max)) {
      limits.memory_bytes = memory_bytes_max;
    }
    return limits;
  }
  // Also liblxc's name of the container, so that its cgroups say whose they are.
  std::string ContainerName(const std::string& id) const { return "s" + instance + "-" + id; }
  std::string NodeDir(const std::string& id) const { return NodesDir() + "/" + ContainerName(id); }
};

}  // namespace strata::vcluster
