// The arithmetic of credits: what use costs, and what a balance means. Pure; whole numbers of
// thousandths of a credit, so that sums are exact. (Docklet's "beans".)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::vcluster {

using MilliCredits = int64_t;

// No balance, grant or charge is beyond it, so that sums cannot overflow.
inline constexpr MilliCredits kMilliCreditsMax = 1'000'000'000'000'000;
inline constexpr MilliCredits kPriceMax = 1'000'000'000;

struct Prices {
  MilliCredits cpu_hour = 0;   // Of one core.
  MilliCredits gib_hour = 0;   // Of memory.
  MilliCredits node_hour = 0;  // Of a running node, whatever its size.
  bool IsNothing() const { return cpu_hour == 0 && gib_hour == 0 && node_hour == 0; }
};
// kInvalidArgument unless each is 0 to kPriceMax.
Status CheckPrices(const Prices& prices);
// "cpu-hour=1,gib-hour=0.5,node-hour=0.1", or some of them. Empty: nothing costs anything.
Result<Prices> ParsePrices(std::string_view text);

// What a user's nodes had within one hour.
struct HourUse {
  uint64_t cpu_milli_seconds = 0;   // Thousandths of a core x seconds.
  uint64_t memory_mib_seconds = 0;  // MiB x seconds.
  uint64_t node_seconds = 0;
};
// Rounded once, to the nearest thousandth; half upwards. At most kMilliCreditsMax.
// REQUIRES: CheckPrices is Ok.
MilliCredits CostOf(const HourUse& use, const Prices& prices);

// Within +-kMilliCreditsMax.
MilliCredits AddCredits(MilliCredits a, MilliCredits b);

enum class CreditVerdict {
  kGo,
  kWarn,  // Below the first threshold.
  kStop,  // Nothing is left: his nodes are to be stopped.
};
// How many of the thresholds (descending) the balance is below.
uint32_t WarningLevel(MilliCredits balance, const std::vector<MilliCredits>& thresholds);
CreditVerdict VerdictOf(MilliCredits balance, const std::vector<MilliCredits>& thresholds);

// Hours since 1970 in UTC.
inline int64_t HourOf(int64_t unix_ms) { return unix_ms / 3'600'000; }
// "2026-11"
std::string MonthOf(int64_t unix_ms);
// "-1.250"
std::string InCredits(MilliCredits amount);

}  // namespace strata::vcluster
