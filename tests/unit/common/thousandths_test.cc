#include "common/thousandths.h"

#include <gtest/gtest.h>

namespace strata {
namespace {

TEST(Thousandths, AreReadAndWritten) {
  const std::pair<const char*, int64_t> good[] = {
      {"0", 0},
      {"12", 12'000},
      {"12.5", 12'500},
      {"-0.25", -250},
      {"0.001", 1},
      {"-7", -7000},
      {"1000000000000", 1'000'000'000'000'000},
  };
  for (const auto& [text, amount] : good) {
    const auto parsed = ParseThousandths(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(*parsed, amount) << text;
    EXPECT_EQ(*ParseThousandths(ThousandthsText(amount)), amount);
  }
  EXPECT_EQ(ThousandthsText(-1250), "-1.250");
  EXPECT_EQ(ThousandthsText(INT64_MIN), "-9223372036854775.808");
}

TEST(Thousandths, AnythingElseIsRefused) {
  for (const char* text : {"", "-", ".", "1.", ".5", "1.2345", "1,5", "+1", "--1", "1e3", " 1",
                           "1 ", "1.-5", "1000000000001", "99999999999999999999"}) {
    EXPECT_FALSE(ParseThousandths(text).ok()) << text;
  }
}

}  // namespace
}  // namespace strata
