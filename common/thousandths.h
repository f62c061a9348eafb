// Amounts with at most three decimals, as whole numbers of thousandths. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace strata {

// "12", "-0.5", "1.250". kInvalidArgument for anything else, and beyond +-10^15 thousandths.
Result<int64_t> ParseThousandths(std::string_view text);
// "-1.250"
std::string ThousandthsText(int64_t amount);

}  // namespace strata
