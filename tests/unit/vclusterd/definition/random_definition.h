// Random definitions that CheckDefinition accepts, with every value that can be written somewhere
// in a thousand of them. The same seed gives the same definition.
#pragma once

#include <cstdint>

#include "vclusterd/definition/definition.h"

namespace strata::vcluster {

Definition RandomDefinition(uint64_t seed);

}  // namespace strata::vcluster
