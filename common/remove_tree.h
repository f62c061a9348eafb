// RemoveTree of common/file_io.h for trees that may take long to remove.
#pragma once

#include <string>

#include "common/cancel.h"
#include "common/result.h"

namespace strata {

// kCancelled: some of it is left.
Status RemoveTree(const std::string& path, const CancelToken& cancel);

}  // namespace strata
