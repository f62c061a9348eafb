#include "common/digest.h"

#include <gtest/gtest.h>

namespace strata {
namespace {

// The test vectors of BLAKE3's repository for inputs of 0 and 1 bytes (0, 1, … 250, 0, 1, …).
constexpr char kEmpty[] = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
constexpr char kOneZero[] = "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213";

TEST(Digest, MatchesThePublishedTestVectors) {
  EXPECT_EQ(Hasher::Of("").Hex(), kEmpty);
  EXPECT_EQ(Hasher::Of(std::string_view("\0", 1)).Hex(), kOneZero);
}

TEST(Digest, IsTheSameHoweverTheInputIsCut) {
  const std::string text(100'000, 'x');
  Hasher pieces;
  for (size_t at = 0; at < text.size(); at += 777) {
    pieces.Update(std::string_view(text).substr(at, 777));
  }
  EXPECT_EQ(pieces.Finish(), Hasher::Of(text));
}

TEST(Digest, SurvivesItsOwnText) {
  const Digest digest = Hasher::Of("hello");
  const auto parsed = Digest::Parse(digest.ToString());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed, digest);
}

TEST(Digest, RefusesWhatIsNoDigest) {
  for (const std::string& bad :
       {std::string(), std::string("blake3:"), std::string("sha256:") + kEmpty, std::string(kEmpty),
        "blake3:" + std::string(63, 'a'), "blake3:" + std::string(64, 'A'),
        "blake3:" + std::string(64, 'g'), "blake3:" + std::string(65, 'a')}) {
    const auto parsed = Digest::Parse(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_EQ(parsed.error().code(), Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace strata
