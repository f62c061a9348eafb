// What is said to WireGuard in the kernel by generic netlink (linux/wireguard.h), and its answers.
// Pure. Not part of the interface of net/secure.
#pragma once

#include <cstdint>
#include <string>

#include "net/netlink.h"
#include "net/secure/fabric_plan.h"

namespace strata::net {

// Asks which number the family has; the answer's is read by ReadFamily, 0 when it has none.
Owned<nl_msg> NewFamilyRequest(const std::string& family);
uint16_t ReadFamily(nlmsghdr* answer);

// A dump.
Owned<nl_msg> NewDeviceRequest(uint16_t family, const std::string& name);
// Adds what one message of the dump tells; a peer may go on in the next one. False: it is
// malformed.
bool AddDeviceMessage(nlmsghdr* message, ObservedDevice* device);

// One peer per message, each of which fits into a page whatever the number of peers.
Owned<nl_msg> NewDeviceSettings(uint16_t family, const std::string& name,
                                const DeviceChange& change);
Owned<nl_msg> NewPeerRemoval(uint16_t family, const std::string& name, const PublicKey& key);
Owned<nl_msg> NewPeerSettings(uint16_t family, const std::string& name, const PeerSettings& peer);

}  // namespace strata::net
