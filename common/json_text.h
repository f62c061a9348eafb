// Parsing JSON that somebody else has written, within limits. Thread-safe.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "common/result.h"

namespace strata {

// kResourceExhausted for more bytes, or objects and arrays within another, than that;
// kInvalidArgument for what is no JSON.
Result<nlohmann::json> ParseJsonText(std::string_view text, size_t bytes_max, size_t depth_max);

}  // namespace strata
