// What this host's kernel can do for Open vSwitch, and what must be done to links for it.
#pragma once

#include <string>

#include "common/result.h"
#include "net/ovs/ovs_plan.h"

namespace strata::net {

// kSystem when the kernel has Open vSwitch's datapath, or can load it; otherwise kNetdev.
Result<Datapath> ProbeDatapath();

// Has the kernel fill in the checksums of what is sent by this link, of the network namespace of
// the calling thread. Datapath::kNetdev takes frames as they are: what a node leaves to hardware
// that is not there arrives with a wrong checksum, so that ping works and TCP does not.
Status FillInChecksums(const std::string& link);

}  // namespace strata::net
