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

}  // namespace strata::imaged
