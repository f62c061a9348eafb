// A local directory as a tar stream.
#pragma once

#include <memory>
#include <string>

#include "common/result.h"
#include "tools/vimage/tar_source.h"

namespace strata::tools {

// Starts to read `directory` in a thread of its own; what cannot be kept is in warnings().
Result<std::unique_ptr<TarSource>> StartDirectorySource(const std::string& directory);

}  // namespace strata::tools
