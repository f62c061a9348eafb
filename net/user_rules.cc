#include "net/guard_rules.h"

namespace strata::net {
namespace {

// What may come at once, beside what comes in a second: the kernel's bucket is never smaller
// (nft_limit_init, net/netfilter/nft_limit.c). The largest segments that a link hands over pass.
constexpr uint64_t kBurstBytes = 128 << 10;

}  // namespace

// One bucket per user and direction, on all links of the user's nodes. A bucket cannot be changed:
// its name has the rate.
void AddUserLimits(const DesiredNetwork& desired, RuleTable* table) {
  table->collections["users"] = {"map", "type ifname : limit", {}};
  table->collections["users_to"] = {"map", "type ifname : limit", {}};
  std::map<uint32_t, uint64_t> limits;
  for (const UserLimit& limit : desired.user_limits) {
    if (limit.bits_per_s_max != 0) limits.emplace(limit.user, limit.bits_per_s_max / 8);
  }
  for (const Veth& veth : desired.veths) {
    const auto limit = limits.find(veth.user);
    if (limit == limits.end()) continue;
    const uint64_t rate = limit->second;
    const std::string bucket = "rate over " + std::to_string(rate) + " bytes/second burst " +
                               std::to_string(kBurstBytes) + " bytes";
    for (const auto& [map, direction] : {std::pair("users", "from"), std::pair("users_to", "to")}) {
      const std::string name = std::string(direction) + ".user." + std::to_string(veth.user) + "." +
                               std::to_string(rate);
      table->limits.emplace(name, bucket);
      table->collections[map].elements.push_back(Quoted(veth.name) + " : " + Quoted(name));
    }
  }
}

}  // namespace strata::net
