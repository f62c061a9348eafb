// What of the encrypted network of the hosts does not work, and what helps. Pure.
#pragma once

#include <chrono>
#include <set>
#include <vector>

#include "net/doctor.h"
#include "net/secure/host_fabric.h"

namespace strata::net {

// `answered`: the peers' addresses in the fabric that have just answered there. `now`: since 1970.
std::vector<Finding> ExamineFabric(const DesiredFabric& fabric, const FabricView& view,
                                   const std::set<Ipv4>& answered, std::chrono::nanoseconds now);

}  // namespace strata::net
