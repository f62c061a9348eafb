// Whether the host encrypts packets by rule. What the fast path (net/fastpath) makes for the
// underlay would pass such rules by.
#pragma once

#include "common/result.h"

namespace strata::net {

// Whether the thread's network namespace has policies of IPsec, in either direction (ip-xfrm(8)).
// False when the kernel has no IPsec.
Result<bool> HasIpsecPolicies();

}  // namespace strata::net
