#include "common/byte_size.h"

#include <gtest/gtest.h>

namespace strata {
namespace {

TEST(ByteSizeTest, SizesAreReadAsPeopleWriteThem) {
  EXPECT_EQ(*ParseBytes("0"), 0u);
  EXPECT_EQ(*ParseBytes("1000"), 1000u);
  EXPECT_EQ(*ParseBytes("512M"), 512u << 20);
  EXPECT_EQ(*ParseBytes("1.5g"), 3u << 29);
  EXPECT_EQ(*ParseBytes("64KiB"), 64u << 10);
  EXPECT_EQ(*ParseBytes("64kb"), 64u << 10);
  for (const char* wrong : {"", "M", "-1", "12Q", "5 M", "1e99", "nan", "99999999T", "1MM"}) {
    EXPECT_FALSE(ParseBytes(wrong).ok()) << wrong;
  }
}

TEST(ByteSizeTest, TheExactTextIsReadAsTheSameSize) {
  EXPECT_EQ(ExactBytes(0), "0");
  EXPECT_EQ(ExactBytes(1000), "1000");
  EXPECT_EQ(ExactBytes(1536ull << 20), "1536M");
  EXPECT_EQ(ExactBytes(4ull << 30), "4G");
  EXPECT_EQ(ExactBytes(3ull << 50), "3072T");
  for (const uint64_t bytes : {uint64_t{1}, uint64_t{1025}, (uint64_t{1} << 53) - 1}) {
    EXPECT_EQ(*ParseBytes(ExactBytes(bytes)), bytes);
  }
}

TEST(ByteSizeTest, AWrongSizeIsShownWithoutItsControlCharacters) {
  EXPECT_EQ(ParseBytes("4\033X").error().message(),
            "'4\\x1bX' is no size (such as 512M, 1.5G or 1048576)");
}

}  // namespace
}  // namespace strata
