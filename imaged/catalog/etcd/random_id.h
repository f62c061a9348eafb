// Names that nobody else makes.
#pragma once

#include <string>

#include "common/result.h"

namespace strata::imaged {

// 32 hex digits from getrandom(2).
Result<std::string> NewRandomId();

}  // namespace strata::imaged
