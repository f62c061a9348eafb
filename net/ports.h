// Ports of the host for forwards (net/desired.h).
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string_view>

#include "common/result.h"
#include "net/wire.h"

namespace strata::net {

// Both ends included. The default lies below the ports that the kernel chooses for outgoing
// connections (ip_local_port_range, 32768 and up).
struct PortRange {
  uint16_t first = 20000;
  uint16_t last = 29999;

  // "20000-29999"; kInvalidArgument for anything else, port 0 and an empty range included.
  static Result<PortRange> Parse(std::string_view text);
};

// The lowest port of the range that is not `taken` (by forwards of the same protocol) and that
// `is_free`. kResourceExhausted when there is none. Pure but for `is_free`.
Result<uint16_t> ChooseHostPort(const std::set<uint16_t>& taken, const PortRange& range,
                                const std::function<bool(uint16_t)>& is_free);

// kFailedPrecondition when a program of the host, in the network namespace of the calling thread,
// uses the port on any IPv4 address: a forward would take its traffic away. It knows nothing of
// forwards, which have no socket, and a program that comes later is not kept from its bind(2).
Status CheckHostPortFree(Protocol protocol, uint16_t port);

}  // namespace strata::net
