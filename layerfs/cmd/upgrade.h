// `layerfs upgrade`: every running fuse driver goes on as the binary that is installed now.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "common/result.h"

namespace strata::layerfs {

struct UpgradeArguments {
  std::string upper;  // Only the root with this upper directory; empty: all.
};

void AddUpgrade(CLI::App& app, UpgradeArguments* arguments);

// Prints what it did. kNotFound when `upper` has no server, kFailedPrecondition naming those that
// stayed with the old version (their logs say why). Roots keep working either way.
Status RunUpgrade(const UpgradeArguments& arguments);

}  // namespace strata::layerfs
