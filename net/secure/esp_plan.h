// A fabric by ESP: what of it is in the kernel (security associations and policies, ip-xfrm(8)),
// and what has to be done. Pure. Part of net/secure/fabric_plan.h.
#pragma once

#include <compare>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "net/secure/esp_keys.h"
#include "net/secure/fabric.h"

namespace strata::net {

// From whom to whom, below and in the fabric.
struct EspWay {
  Ipv4 source;
  Ipv4 destination;
  Ipv4 inner_source;
  Ipv4 inner_destination;
  auto operator<=>(const EspWay&) const = default;
};

// A security association, in tunnel mode. It begins to count when it is put into the kernel.
struct EspState {
  EspWay way;
  uint32_t spi = 0;
  EspKey key;
  bool is_ours = true;  // As we make them; false: not to be kept, whatever else it is.
};

// Out: packets of the way go by the association with the SPI. In: they come by any of the way.
struct EspPolicy {
  bool out = false;
  EspWay way;
  uint32_t spi = 0;  // 0 for in.
  auto operator<=>(const EspPolicy&) const = default;
};

// Of this fabric's interface.
struct ObservedEsp {
  std::vector<EspState> states;
  std::vector<EspPolicy> policies;
  std::set<PublicKey> used_sessions;  // With these of others, keys have been in the kernel.
};

struct EspPlan {
  // What was in the kernel is there no more, and must not begin anew: another session first.
  bool renew_session = false;
  std::vector<EspState> remove_states;
  std::vector<EspState> add_states;
  std::vector<PublicKey> use_sessions;  // Of the added ones.
  std::vector<EspPolicy> set_policies;
  std::vector<EspPolicy> remove_policies;
  bool empty() const {
    return !renew_session && remove_states.empty() && add_states.empty() && set_policies.empty() &&
           remove_policies.empty();
  }
};

// REQUIRES: CheckFabric is Ok, and the fabric has a session. Peers whose session is not known are
// left out: nothing passes to them.
Result<EspPlan> MakeEspPlan(const SecureFabric& fabric, const ObservedEsp& observed);
// All of it goes.
EspPlan RemovalOfEsp(const ObservedEsp& observed);
std::vector<std::string> DescribeChanges(const EspPlan& plan, const std::string& device);

}  // namespace strata::net
