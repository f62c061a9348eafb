// A program that is run to its end (common/subprocess.h) and may be given up before.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "common/cancel.h"
#include "common/subprocess.h"

namespace strata {

// As Run; kCancelled, soon after `cancel` was set, has killed it, too.
Result<CommandOutput> RunCancellable(const std::vector<std::string>& argv, std::string_view input,
                                     std::chrono::milliseconds timeout, size_t limit_bytes,
                                     const CancelToken& cancel);

}  // namespace strata
