// The plan of addresses: which prefix a Vcluster's network has, and who has which address in it.
// Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "net/ipv4.h"
#include "net/observed.h"

namespace strata::net {

// A network is as large as its nodes need, up to the largest.
inline constexpr int kClusterPrefixLength = 24;
inline constexpr int kClusterPrefixLengthMax = 28;
inline constexpr uint32_t kGatewayHost = 1;
inline constexpr uint32_t kFirstNodeHost = 2;
inline constexpr uint32_t kNodesMaxPerCluster = 250;
// How many nodes a network of this prefix has addresses for: all but those of the network, the
// gateway and all nodes at once.
uint32_t NodesMaxOf(const Ipv4Prefix& prefix);
// The length of the smallest prefix for so many. REQUIRES: at most kNodesMaxPerCluster.
int PrefixLengthFor(uint32_t nodes);

// The lowest prefix of this length in the pool (its first /24 is left out) that overlaps neither
// `taken` nor an address of the host. kResourceExhausted names the remedy.
Result<Ipv4Prefix> ChoosePrefix(const Ipv4Prefix& pool, int length,
                                const std::vector<Ipv4Prefix>& taken,
                                const std::vector<ObservedLink>& observed);

}  // namespace strata::net
