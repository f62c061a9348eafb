// The rules of a host's fabric, as commands of nft(8), in a table of their own. Pure.
//
// An address of the fabric proves who sent a packet only if it came by the fabric, and what is sent
// to one is secret only if it goes by the fabric. Linux has neither: an address of one link is
// taken by all (the weak host model), and when the device is not there the default route is. So
// what has an address of the fabric passes by the device or not at all, and nothing is routed into
// it or out of it: it is for the hosts themselves.
#pragma once

#include <string>

#include "net/secure/fabric.h"

namespace strata::net {

// "stratafabric_1a2b3": not with the others' prefix, which says that there are Vclusters
// (RestoreForwarding).
std::string FabricTableName(const std::string& instance);
// Replaces what is there, in one transaction.
std::string MakeFabricRuleset(const SecureFabric& fabric);
std::string RemovalOfFabricRuleset(const std::string& instance);

}  // namespace strata::net
