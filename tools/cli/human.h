// Numbers as people read and write them; sizes are read by common/byte_size.h, which comes along.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/byte_size.h"  // HumanBytes, ParseBytes, for the same callers.
#include "common/result.h"

namespace strata::tools {


// 12345 -> "12,345".
std::string HumanCount(uint64_t count);

// Milliseconds since the epoch as local time, "2026-01-31 12:00".
std::string LocalTime(int64_t unix_ms);

int64_t NowUnixMs();

// When something ends: "2026-12-24", "2026-12-24 18:00" (local time), or "30d", "12h", "90m" from
// `now_unix_ms` on. kInvalidArgument for anything else. A day without a time ends with it.
Result<int64_t> ParseUntil(const std::string& text, int64_t now_unix_ms);

// When something begins: as ParseUntil, but a day needs a time, and "18:00" is the next time that
// clocks show it.
Result<int64_t> ParseStart(const std::string& text, int64_t now_unix_ms);

// "-rwxr-xr-x" from st_mode.
std::string ModeString(uint32_t mode);

}  // namespace strata::tools
