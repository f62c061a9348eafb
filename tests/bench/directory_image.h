// An image made straight from a directory, for benchmarks of mounts: no store, no catalog, nothing
// durable.
#pragma once

#include <string>

#include "common/result.h"

namespace strata::bench {

// <target>/tree and <target>/objects from everything below `source`.
Status ImageFromDirectory(const std::string& source, const std::string& target);

}  // namespace strata::bench
