// The image that every sequence starts from, and the same as a model.
#pragma once

#include "tests/conformance/test_image.h"
#include "tests/property/model.h"

namespace strata::property {

// Directories, files of all kinds of sizes (none, in the tree itself, objects), hard links within
// and across directories, symbolic links, special files, attributes, ACLs; below `prefix`, which
// must exist in both ("" or a directory with a slash at its end).
void DescribeSample(const std::string& prefix, testing::TestImage* image, Model* model);

}  // namespace strata::property
