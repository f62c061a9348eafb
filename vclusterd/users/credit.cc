#include "vclusterd/users/credit.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "common/thousandths.h"

namespace strata::vcluster {

Status CheckPrices(const Prices& prices) {
  for (const MilliCredits price : {prices.cpu_hour, prices.gib_hour, prices.node_hour}) {
    if (price < 0 || price > kPriceMax) {
      return Error(Code::kInvalidArgument,
                   "a price is 0 to " + InCredits(kPriceMax) + " credits an hour");
    }
  }
  return Ok();
}

Result<Prices> ParsePrices(std::string_view text) {
  Prices prices;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    const size_t equals = item.find('=');
    const std::string_view name = item.substr(0, equals);
    MilliCredits* price = name == "cpu-hour"    ? &prices.cpu_hour
                          : name == "gib-hour"  ? &prices.gib_hour
                          : name == "node-hour" ? &prices.node_hour
                                                : nullptr;
    if (price == nullptr || equals == std::string_view::npos) {
      return Error(Code::kInvalidArgument,
                   "prices are cpu-hour=AMOUNT,gib-hour=AMOUNT,node-hour=AMOUNT, or some of them");
    }
    ASSIGN_OR_RETURN(*price, ParseThousandths(item.substr(equals + 1)));
  }
  RETURN_IF_ERROR(CheckPrices(prices));
  return prices;
}

MilliCredits CostOf(const HourUse& use, const Prices& prices) {
  // Over one denominator: 3600 seconds, 1024 MiB, 1000 thousandths of a core. The largest term is
  // below 2^64 * 2^30 * 2^20.
  using Wide = __int128;
  constexpr Wide kDenominator = Wide(3600) * 1024 * 1000;
  const Wide sum = Wide(use.cpu_milli_seconds) * prices.cpu_hour * 1024 +
                   Wide(use.memory_mib_seconds) * prices.gib_hour * 1000 +
                   Wide(use.node_seconds) * prices.node_hour * 1024 * 1000;
  const Wide cost = (sum + kDenominator / 2) / kDenominator;
  return static_cast<MilliCredits>(std::min<Wide>(cost, kMilliCreditsMax));
}

MilliCredits AddCredits(MilliCredits a, MilliCredits b) {
  a = std::clamp(a, -kMilliCreditsMax, kMilliCreditsMax);
  b = std::clamp(b, -kMilliCreditsMax, kMilliCreditsMax);
  return std::clamp(a + b, -kMilliCreditsMax, kMilliCreditsMax);
}

uint32_t WarningLevel(MilliCredits balance, const std::vector<MilliCredits>& thresholds) {
  return static_cast<uint32_t>(
      std::count_if(thresholds.begin(), thresholds.end(),
                    [&](MilliCredits threshold) { return balance < threshold; }));
}

CreditVerdict VerdictOf(MilliCredits balance, const std::vector<MilliCredits>& thresholds) {
  if (balance <= 0) return CreditVerdict::kStop;
  return WarningLevel(balance, thresholds) > 0 ? CreditVerdict::kWarn : CreditVerdict::kGo;
}

std::string MonthOf(int64_t unix_ms) {
  const std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds(unix_ms)};
  const std::chrono::year_month_day date(std::chrono::floor<std::chrono::days>(time));
  char text[32];
  std::snprintf(text, sizeof(text), "%04d-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()));
  return text;
}

std::string InCredits(MilliCredits amount) { return ThousandthsText(amount); }

}  // namespace strata::vcluster
