// `layerfs requests`: what the kernel has asked of the running fuse drivers, by kind of request.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "common/result.h"

namespace strata::layerfs {

struct RequestsArguments {
  std::string upper;  // Only the root with this upper directory; empty: all.
  bool json = false;
};

void AddRequests(CLI::App& app, RequestsArguments* arguments);

// Prints the counts since each mount was made, across servers that died. kNotFound when `upper` has
// no server.
Status RunRequests(const RequestsArguments& arguments);

}  // namespace strata::layerfs
