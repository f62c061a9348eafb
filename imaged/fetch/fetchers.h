// The sources that an administrator names on imaged's command line.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "imaged/fetch/object_fetcher.h"

namespace strata::imaged {

// A fetcher from a host of the cluster, by its name.
using HostFetcherFactory =
    std::function<Result<std::unique_ptr<ObjectFetcher>>(const std::string& host)>;

// Each name is a store's directory, the socket of another imaged (which need not answer yet), or
// host:NAME, a host of the cluster (which need not be in it yet). They are asked in this order.
// kNotFound for a name that is none of these.
Result<std::vector<std::unique_ptr<ObjectFetcher>>> OpenFetchers(
    const std::vector<std::string>& names, const HostFetcherFactory& from_host = {});

}  // namespace strata::imaged
