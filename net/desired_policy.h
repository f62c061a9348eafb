// Parts of CheckDesired: what networks may ask for as policy. Not part of the interface of net/.
#pragma once

#include "common/result.h"
#include "net/desired.h"

namespace strata::net {

Status CheckForwards(const DesiredNetwork& desired);
Status CheckGroups(const DesiredNetwork& desired);
Status CheckPeers(const DesiredNetwork& desired);

}  // namespace strata::net
