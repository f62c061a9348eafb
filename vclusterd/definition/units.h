// Times, durations and rates as a Vcluster file writes them, and back: what is written is read as
// the same. Sizes are in common/byte_size.h. Pure functions, thread-safe; every error is
// kInvalidArgument and says what would be right.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace strata::vcluster {

// "500ms", "90s", "5m", "8h", "2d"; at most 10,000 days.
Result<std::chrono::milliseconds> ParseDuration(std::string_view text);
std::string DurationText(std::chrono::milliseconds duration);

// Bits per second, with powers of 1000: "100Mbit", "1.5Gbit", "64kbit", "300bit".
Result<uint64_t> ParseBitRate(std::string_view text);
std::string BitRateText(uint64_t bits_per_s);

// "2026-12-31T18:00:00Z", "2026-12-31T18:00+08:00": RFC 3339, the seconds may be left out. A zone
// is demanded, so that the file means the same everywhere.
Result<std::chrono::sys_seconds> ParseInstant(std::string_view text);
std::string InstantText(std::chrono::sys_seconds instant);  // In UTC.

}  // namespace strata::vcluster
