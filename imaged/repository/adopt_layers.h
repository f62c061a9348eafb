// The last resort when catalog and journal are both lost: names for layers that have none.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

// Makes a private image of root, recovered-<12 hex digits of the layer>, of every layer that no
// image and no lease names. A layer does not tell what it lay on: one that was saved from a
// container holds only what that container changed. Damaged manifests are left out, and told to
// `problem`. Answers the references.
Result<std::vector<std::string>> AdoptUnnamedLayers(
    Repository& repository, const std::function<void(const std::string&)>& problem);

}  // namespace strata::imaged
