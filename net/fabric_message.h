// The fabric as messages (net/api/net.proto). Pure. kInvalidArgument names the place; what a fabric
// must be besides is checked when it is made (net/secure/fabric.h).
#pragma once

#include "common/result.h"
#include "net/api/net.pb.h"
#include "net/secure/desired_fabric.h"

namespace strata::net {

Result<DesiredFabric> ReadFabric(const v1::Fabric& message);
v1::Fabric ToMessage(const DesiredFabric& fabric);
// "" is none.
Result<std::optional<PublicKey>> ReadKey(const std::string& text);

}  // namespace strata::net
