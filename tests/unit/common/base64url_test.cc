#include "common/base64url.h"

#include <gtest/gtest.h>

namespace strata {
namespace {

TEST(Base64Url, AnyBytesComeBack) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    const std::string text = Base64Url(bytes);
    EXPECT_EQ(text.find_first_of("+/="), std::string::npos);
    EXPECT_EQ(ParseBase64Url(text), bytes);
    bytes += static_cast<char>(i * 37);
  }
  EXPECT_EQ(Base64Url("\xfb\xff"), "-_8");
}

TEST(Base64Url, OnlyOneTextStandsForTheSameBytes) {
  for (const char* bad : {"A", "AB", "AAB", "-_9", "-_8=", "a b", "a+b/", "\xff"}) {
    EXPECT_EQ(ParseBase64Url(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace strata
