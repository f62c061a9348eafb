// Whether the kernel hands packets on between links: of nodes to the outside, to peers, from
// forwards. In the network namespace of the calling thread.
//
// `marker_path` is written when it was off, and Restore… turns it off again and removes the marker;
// without a marker they do nothing. While another Strata of this host has Vclusters, forwarding
// stays on. They are called after this instance's own table is gone.
#pragma once

#include <string>

#include "net/nft.h"

namespace strata::net {

Status EnableForwarding(const std::string& marker_path);
Status RestoreForwarding(const std::string& marker_path, Nft& nft);

// False where the kernel has no IPv6, and where links that are made have none (sysctl
// net.ipv6.conf.default.disable_ipv6): bridges and nodes then have IPv4 alone.
bool HasIpv6();
// Of IPv6. A kernel that forwards is a router, and takes no default route from others (accept_ra
// 1): links where it does so now go on with 2, and with 1 again afterwards. REQUIRES: HasIpv6.
Status EnableForwarding6(const std::string& marker_path);
Status RestoreForwarding6(const std::string& marker_path, Nft& nft);

}  // namespace strata::net
