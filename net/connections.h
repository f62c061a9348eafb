// How many connections a forward of this host has, as the kernel tracks them: whoever takes one
// away, or waits until it is not needed any more, wants to know.
//
// In the network namespace of the calling thread. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "net/desired.h"

namespace strata::net {

// Of TCP those that are not closed on both sides; of UDP what the kernel has not forgotten yet (30
// s after one packet, 120 s after more of them). kInternal: the kernel tells nothing.
Result<uint64_t> CountConnections(const Forward& forward);

// Whether somebody waits for its end: it is ending, or its node is on another host.
bool IsLeaving(const Bridge& bridge, const Forward& forward);

}  // namespace strata::net
