#include "common/thousandths.h"

#include <charconv>
#include <cstdio>

#include "common/printable.h"

namespace strata {
namespace {

constexpr int64_t kMax = 1'000'000'000'000'000;

// Digits alone; "" is none.
bool ParseDigits(std::string_view text, int64_t* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return !text.empty() && text[0] >= '0' && text[0] <= '9' && error == std::errc() &&
         end == text.data() + text.size();
}

}  // namespace

Result<int64_t> ParseThousandths(std::string_view text) {
  const Error wrong(Code::kInvalidArgument,
                    "'" + Printable(text, 40) +
                        "' is no amount: a number with at most three decimals, as in 12.5");
  std::string_view rest = text;
  const bool is_negative = rest.starts_with('-');
  if (is_negative) rest.remove_prefix(1);
  const size_t point = rest.find('.');
  int64_t whole = 0;
  int64_t part = 0;
  if (!ParseDigits(rest.substr(0, point), &whole) || whole > kMax / 1000) return wrong;
  if (point != std::string_view::npos) {
    std::string decimals(rest.substr(point + 1));
    if (decimals.size() > 3) return wrong;
    if (!ParseDigits(decimals, &part)) return wrong;
    for (size_t i = decimals.size(); i < 3; ++i) part *= 10;
  }
  const int64_t amount = whole * 1000 + part;
  if (amount > kMax) return wrong;
  return is_negative ? -amount : amount;
}

std::string ThousandthsText(int64_t amount) {
  const bool is_negative = amount < 0;
  const uint64_t size =
      is_negative ? 0 - static_cast<uint64_t>(amount) : static_cast<uint64_t>(amount);
  char text[32];
  std::snprintf(text, sizeof(text), "%s%llu.%03llu", is_negative ? "-" : "",
                static_cast<unsigned long long>(size / 1000),
                static_cast<unsigned long long>(size % 1000));
  return text;
}

}  // namespace strata
