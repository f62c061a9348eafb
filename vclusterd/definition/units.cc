#include "vclusterd/definition/units.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>

#include "vclusterd/definition/words.h"

namespace strata::vcluster {
namespace {

using std::chrono::milliseconds;

struct DurationUnit {
  std::string_view name;
  int64_t ms;
};
constexpr std::array<DurationUnit, 5> kDurationUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr int64_t kDurationMsMax = 10'000 * int64_t{86'400'000};

struct RateUnit {
  std::string_view name;
  double bits;
};
constexpr std::array<RateUnit, 4> kRateUnits = {
    {{"Gbit", 1e9}, {"Mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}};
constexpr double kRateMax = 1e15;

bool SameLetters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

Error NoInstant(std::string_view text) {
  return Error(Code::kInvalidArgument,
               Quoted(text) +
                   " is no time with its zone (such as 2026-12-31T18:00:00Z, or "
                   "2026-12-31T18:00:00+08:00)");
}

// `count` digits at the start of `*text`, which is shortened by them and by `after` behind them.
std::optional<int> TakeNumber(std::string_view* text, size_t count, std::string_view after) {
  if (text->size() < count + after.size()) return std::nullopt;
  int value = 0;
  for (const char c : text->substr(0, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  if (text->substr(count, after.size()) != after) return std::nullopt;
  text->remove_prefix(count + after.size());
  return value;
}

// What is to be taken off a local time for UTC.
std::optional<std::chrono::minutes> ParseZone(std::string_view text) {
  if (text == "Z" || text == "z") return std::chrono::minutes(0);
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const int sign = text[0] == '-' ? -1 : 1;
  text.remove_prefix(1);
  const auto hours = TakeNumber(&text, 2, ":");
  const auto minutes = TakeNumber(&text, 2, "");
  if (!hours || !minutes || *hours > 23 || *minutes > 59 || !text.empty()) return std::nullopt;
  return std::chrono::minutes(sign * (*hours * 60 + *minutes));
}

}  // namespace

Result<milliseconds> ParseDuration(std::string_view text) {
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error == std::errc() && count >= 0 && text[0] != '-') {
    const std::string_view name(end, static_cast<size_t>(text.data() + text.size() - end));
    for (const DurationUnit& unit : kDurationUnits) {
      if (name != unit.name) continue;
      if (count > kDurationMsMax / unit.ms) {
        return Error(Code::kInvalidArgument, Quoted(text) + " is more than 10000 days");
      }
      return milliseconds(count * unit.ms);
    }
  }
  return Error(Code::kInvalidArgument,
               Quoted(text) + " is no duration (such as 90s, 5m, 8h or 2d)");
}

std::string DurationText(milliseconds duration) {
  if (duration.count() == 0) return "0s";
  for (const DurationUnit& unit : kDurationUnits) {
    if (duration.count() % unit.ms == 0) {
      return std::to_string(duration.count() / unit.ms) + std::string(unit.name);
    }
  }
  return "";
}

Result<uint64_t> ParseBitRate(std::string_view text) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error == std::errc() && std::isfinite(value) && !std::signbit(value)) {
    const std::string_view name(end, static_cast<size_t>(text.data() + text.size() - end));
    if (name.empty() && value == 0) return 0;
    for (const RateUnit& unit : kRateUnits) {
      if (SameLetters(name, unit.name) && value * unit.bits <= kRateMax) {
        return static_cast<uint64_t>(std::llround(value * unit.bits));
      }
    }
  }
  return Error(Code::kInvalidArgument,
               Quoted(text) + " is no rate (such as 100Mbit or 1Gbit, per second)");
}

std::string BitRateText(uint64_t bits_per_s) {
  if (bits_per_s == 0) return "0";
  for (const RateUnit& unit : kRateUnits) {
    const auto bits = static_cast<uint64_t>(unit.bits);
    if (bits_per_s % bits == 0) return std::to_string(bits_per_s / bits) + std::string(unit.name);
  }
  return "";
}

Result<std::chrono::sys_seconds> ParseInstant(std::string_view text) {
  std::string_view rest = text;
  const auto year = TakeNumber(&rest, 4, "-");
  const auto month = TakeNumber(&rest, 2, "-");
  const auto day = TakeNumber(&rest, 2, "");
  if (!year || !month || !day || rest.empty() || (rest[0] != 'T' && rest[0] != ' ')) {
    return NoInstant(text);
  }
  rest.remove_prefix(1);
  const auto hour = TakeNumber(&rest, 2, ":");
  const auto minute = TakeNumber(&rest, 2, "");
  std::optional<int> second = 0;
  if (rest.starts_with(':')) {
    rest.remove_prefix(1);
    second = TakeNumber(&rest, 2, "");
  }
  const auto zone = ParseZone(rest);
  const std::chrono::year_month_day date(std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!hour || !minute || !second || !zone || *hour > 23 || *minute > 59 || *second > 59 ||
      !date.ok()) {
    return NoInstant(text);
  }
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second) - *zone;
}

std::string InstantText(std::chrono::sys_seconds instant) {
  const auto days = std::chrono::floor<std::chrono::days>(instant);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss time(instant - days);
  char text[64];
  std::snprintf(text, sizeof(text), "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return text;
}

}  // namespace strata::vcluster
