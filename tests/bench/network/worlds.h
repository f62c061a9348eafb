// Worlds to measure: three hosts (P0, P1, P2) with nodes, each world with network namespaces of its
// own and its nodes joined in another way. Hosts are joined by a bridge that stands for the network
// between them, with an MTU of 1500.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/network/measure.h"
#include "tests/unit/net/ovs/ovs_host.h"
#include "tests/unit/net/test_host.h"

namespace strata::net {

inline constexpr int kHosts = 3;

// The pairs of the paper's Table 2. C0a and C0b are nodes of P0, C1 of P1, C2 of P2.
inline constexpr char kSelf[] = "P0-P0";
inline constexpr char kHostToHost[] = "P0-P1";
inline constexpr char kHostToNode[] = "P0-C0a";
inline constexpr char kNodeToSelf[] = "C0a-C0a";
inline constexpr char kSameHost[] = "C0a-C0b";
inline constexpr char kCrossHost[] = "C0a-C1";
inline constexpr char kCrossHost2[] = "C1-C2";

class World {
 public:
  virtual ~World() = default;
  // Those pairs that it has.
  std::map<std::string, Way> ways;
};

// Names of what others are compared with.
inline constexpr char kFlat[] = "hosts";
inline constexpr char kPlainBridge[] = "plain bridge";
inline constexpr char kFilteredBridge[] = "plain bridge, filtered";
inline constexpr char kLearningVxlan[] = "kernel VXLAN, learning";
inline constexpr char kStaticVxlan[] = "kernel VXLAN, static";

struct Candidate {
  std::string name;
  std::unique_ptr<World> world;
};

// `bridge_filter`: bridged frames pass the rules of the host (bridge-nf-call-iptables).
std::unique_ptr<World> MakeFlatHosts();
std::unique_ptr<World> MakePlainBridge(bool bridge_filter);
enum class HandMadeVxlan { kLearning, kStatic };
std::unique_ptr<World> MakeHandMadeVxlan(HandMadeVxlan kind);
std::unique_ptr<World> MakeLinuxDriver(bool bridge_filter, bool fast);
std::unique_ptr<World> MakeOvsDriver(TunnelKind tunnel);

// All of them. A driver that is to be measured gets its line there.
std::vector<Candidate> MakeCandidates();

}  // namespace strata::net
