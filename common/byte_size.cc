#include "common/byte_size.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "common/printable.h"

namespace strata {
namespace {

constexpr std::string_view kUnits = "KMGT";

}  // namespace

Result<uint64_t> ParseBytes(std::string_view text) {
  const Error wrong(Code::kInvalidArgument,
                    "'" + Printable(text, 60) + "' is no size (such as 512M, 1.5G or 1048576)");
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(value) || value < 0) return wrong;
  std::string unit(end, text.data() + text.size());
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (unit.ends_with("IB") && unit.size() == 3) unit.resize(1);
  if (unit.size() == 2 && unit[0] != 'B' && unit[1] == 'B') unit.resize(1);
  double factor = 1;
  if (!unit.empty() && unit != "B") {
    const size_t power = kUnits.find(unit);
    if (power == std::string_view::npos || unit.size() != 1) return wrong;
    factor = std::pow(1024.0, static_cast<double>(power + 1));
  }
  if (value * factor >= 9.2e18) return wrong;
  return static_cast<uint64_t>(value * factor);
}

std::string ExactBytes(uint64_t bytes) {
  size_t power = 0;
  while (bytes != 0 && bytes % 1024 == 0 && power < kUnits.size()) {
    bytes /= 1024;
    ++power;
  }
  std::string text = std::to_string(bytes);
  if (power > 0) text += kUnits[power - 1];
  return text;
}

std::string HumanBytes(uint64_t bytes) {
  static constexpr std::array<const char*, 7> kHumanUnits = {"B",   "KiB", "MiB", "GiB",
                                                             "TiB", "PiB", "EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kHumanUnits.size()) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f %s", value, kHumanUnits[unit]);
  return text;
}

}  // namespace strata
