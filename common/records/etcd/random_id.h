// Names that nobody else makes.
#pragma once

#include <string>

#include "common/result.h"

namespace strata::records {

// 32 hex digits from getrandom(2).
Result<std::string> NewRandomId();

}  // namespace strata::records
