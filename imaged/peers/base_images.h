// Which images here are likely to have files that are like those of an image to come.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "imaged/repository/repository.h"

namespace strata::imaged {

// References of at most three images that `uid` may use, the most alike first: of the same name, or
// on the same layers. More cost memory and find little.
std::vector<std::string> FindBaseImages(Repository& repository, uid_t uid, const v1::Image& image);

// All layers of the images that the user may use, those of the newest images first, each once; no
// more than a few hundred.
std::vector<Digest> NewestLayers(Repository& repository, uid_t uid);

}  // namespace strata::imaged
