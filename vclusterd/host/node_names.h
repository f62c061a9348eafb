// The names by which nodes of a Vcluster find each other, as its order says: those of /etc/hosts.
// Pure.
#pragma once

#include <string>

#include "net/desired.h"
#include "net/host_names.h"
#include "vclusterd/api/host.pb.h"

namespace strata::vcluster {

// Empty when the Vcluster's name cannot be one in DNS.
std::string DomainOf(const host::v1::Part& order);
// With the addresses that nodes have in `network`. What cannot be a name in DNS is left out.
net::HostNames NamesOf(const host::v1::Part& order, const net::Bridge& network);

}  // namespace strata::vcluster
