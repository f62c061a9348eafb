// What is said to the kernel's IPsec by netlink (linux/xfrm.h, ip-xfrm(8)), and its answers. All of
// one fabric carries the number of its interface (`if_id`). Pure. Not part of the interface of
// net/secure.
#pragma once

#include <cstdint>
#include <optional>

#include "net/netlink.h"
#include "net/secure/esp_plan.h"

namespace strata::net {

Owned<nl_msg> NewEspState(uint32_t if_id, const EspState& state);
Owned<nl_msg> NewEspStateRemoval(const EspState& state);
Owned<nl_msg> NewEspPolicy(uint32_t if_id, const EspPolicy& policy);
Owned<nl_msg> NewEspPolicyRemoval(uint32_t if_id, const EspPolicy& policy);

// Dumps.
Owned<nl_msg> NewEspStatesRequest();
Owned<nl_msg> NewEspPoliciesRequest();
// None: it is of no concern to the fabric, or malformed.
std::optional<EspState> ReadEspState(uint32_t if_id, nlmsghdr* message);
std::optional<EspPolicy> ReadEspPolicy(uint32_t if_id, nlmsghdr* message);

}  // namespace strata::net
