// The names by which nodes of a Vcluster find each other, as its order says: those of /etc/hosts.
// Pure.
#pragma once

#include "net/host_names.h"
#include "vclusterd/api/host.pb.h"

namespace strata::vcluster {

// REQUIRES: addresses of `order` are addresses. What cannot be a name in DNS is left out.
net::HostNames NamesOf(const host::v1::Part& order);

}  // namespace strata::vcluster
