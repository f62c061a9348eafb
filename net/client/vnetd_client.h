// vnetd as the NetworkMaker of another daemon of its host, which must be root.
// Thread-safe. Errors are vnetd's own; kUnavailable when it does not answer, and then the next call
// looks for it again.
#pragma once

#include <memory>
#include <string>

#include "net/network_maker.h"

namespace strata::net {

// kUnavailable: nobody answers at the socket. A vnetd that is started anew has to have the same
// driver.
Result<std::unique_ptr<NetworkMaker>> ConnectVnetd(const std::string& socket_path);

}  // namespace strata::net
