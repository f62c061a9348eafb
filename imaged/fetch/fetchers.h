// The sources that an administrator names on imaged's command line.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "imaged/fetch/object_fetcher.h"

namespace strata::imaged {

// Each name is a store's directory, or the socket of another imaged (which need not answer yet).
// They are asked in this order. kNotFound for a name that is neither.
Result<std::vector<std::unique_ptr<ObjectFetcher>>> OpenFetchers(
    const std::vector<std::string>& names);

}  // namespace strata::imaged
