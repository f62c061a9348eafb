#include "net/subnets.h"

#include <algorithm>

namespace strata::net {

uint32_t NodesMaxOf(const Ipv4Prefix& prefix) {
  const uint64_t size = uint64_t{1} << (32 - prefix.length);
  const uint64_t others = kFirstNodeHost + 1;
  return size <= others
             ? 0
             : static_cast<uint32_t>(std::min<uint64_t>(size - others, kNodesMaxPerCluster));
}

int PrefixLengthFor(uint32_t nodes) {
  int length = kClusterPrefixLengthMax;
  while (length > kClusterPrefixLength && NodesMaxOf({{}, length}) < nodes) --length;
  return length;
}

Result<Ipv4Prefix> ChoosePrefix(const Ipv4Prefix& pool, int length,
                                const std::vector<Ipv4Prefix>& taken,
                                const std::vector<ObservedLink>& observed) {
  std::vector<Ipv4Prefix> in_use;
  const auto use = [&](const Ipv4Prefix& prefix) {
    if (prefix.Overlaps(pool)) in_use.push_back(prefix);
  };
  for (const Ipv4Prefix& prefix : taken) use(prefix);
  for (const ObservedLink& link : observed) {
    for (const Ipv4Prefix& address : link.addresses) use(address);
  }
  if (pool.length < kClusterPrefixLength) use(pool.Nth(kClusterPrefixLength, 0));
  std::sort(in_use.begin(), in_use.end());
  const uint64_t size = uint64_t{1} << (32 - length);
  const auto end_of = [](const Ipv4Prefix& prefix) {
    return uint64_t{prefix.base.value} + (uint64_t{1} << (32 - prefix.length));
  };
  uint64_t candidate = pool.base.value;
  for (const Ipv4Prefix& prefix : in_use) {
    if (candidate + size <= prefix.base.value) break;
    candidate = std::max(candidate, (end_of(prefix) + size - 1) / size * size);
  }
  if (candidate + size <= end_of(pool)) {
    return Ipv4Prefix{{static_cast<uint32_t>(candidate)}, length};
  }
  return Error(Code::kResourceExhausted,
               "no free /" + std::to_string(length) + " is left in " + pool.ToString() +
                   ": delete a Vcluster, make this one with a smaller nodes-max, or start "
                   "vclusterd with a larger --subnet-pool");
}

}  // namespace strata::net
