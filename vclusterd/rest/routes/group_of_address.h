// The group that "{group}" in an address means.
#pragma once

#include "vclusterd/rest/services.h"

namespace strata::vcluster::rest {

// By name or number. kNotFound also for one that the caller may not know of.
Result<GroupPtr> GroupIn(const Exchange& exchange);

}  // namespace strata::vcluster::rest
