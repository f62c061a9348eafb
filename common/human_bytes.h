// Sizes for people. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

namespace strata {

// 1536 -> "1.5 KiB".
std::string HumanBytes(uint64_t bytes);

}  // namespace strata
