// What this host's kernel can do for Open vSwitch.
#pragma once

#include "common/result.h"
#include "net/ovs/ovs_plan.h"

namespace strata::net {

// kSystem when the kernel has Open vSwitch's datapath, or can load it; otherwise kNetdev.
Result<Datapath> ProbeDatapath();

}  // namespace strata::net
