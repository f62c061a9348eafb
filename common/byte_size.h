// Sizes in bytes as people write them, with powers of 1024. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace strata {

// "512M", "1.5G", "64KiB", "1000". kInvalidArgument for anything else.
Result<uint64_t> ParseBytes(std::string_view text);

// The shortest text without a fraction that ParseBytes understands as `bytes`: "4G", "1536M",
// "1000". Exact below 2^53.
std::string ExactBytes(uint64_t bytes);

// For people, rounded: 1536 -> "1.5 KiB".
std::string HumanBytes(uint64_t bytes);

}  // namespace strata
