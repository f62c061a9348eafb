#include "vclusterd/definition/units.h"

#include <gtest/gtest.h>

#include "vclusterd/definition/words.h"

namespace strata::vcluster {
namespace {

using std::chrono::milliseconds;

TEST(UnitsTest, DurationsHaveOneUnit) {
  EXPECT_EQ(*ParseDuration("500ms"), milliseconds(500));
  EXPECT_EQ(*ParseDuration("90s"), milliseconds(90'000));
  EXPECT_EQ(*ParseDuration("5m"), std::chrono::minutes(5));
  EXPECT_EQ(*ParseDuration("8h"), std::chrono::hours(8));
  EXPECT_EQ(*ParseDuration("10000d"), std::chrono::days(10'000));
  for (const char* wrong : {"", "5", "m", "-5m", "-0s", "1.5h", "5 m", "5M", "1h30m", "5mm",
                            "10001d", "99999999999999999999s", "9223372036854775807d"}) {
    EXPECT_FALSE(ParseDuration(wrong).ok()) << wrong;
  }
}

TEST(UnitsTest, DurationsAreWrittenInTheLargestUnitThatIsExact) {
  EXPECT_EQ(DurationText(milliseconds(0)), "0s");
  EXPECT_EQ(DurationText(milliseconds(1500)), "1500ms");
  EXPECT_EQ(DurationText(std::chrono::seconds(90)), "90s");
  EXPECT_EQ(DurationText(std::chrono::minutes(120)), "2h");
  EXPECT_EQ(DurationText(std::chrono::hours(48)), "2d");
}

TEST(UnitsTest, RatesAreInBitsWithPowersOf1000) {
  EXPECT_EQ(*ParseBitRate("100Mbit"), 100'000'000u);
  EXPECT_EQ(*ParseBitRate("1.5Gbit"), 1'500'000'000u);
  EXPECT_EQ(*ParseBitRate("64kbit"), 64'000u);
  EXPECT_EQ(*ParseBitRate("64KBIT"), 64'000u);
  EXPECT_EQ(*ParseBitRate("300bit"), 300u);
  EXPECT_EQ(*ParseBitRate("0"), 0u);
  for (const char* wrong : {"", "100", "100M", "100MB", "-1Mbit", "-0", "Mbit", "nanbit", "1e9bit",
                            "9999999Gbit", "1Mbit/s"}) {
    EXPECT_FALSE(ParseBitRate(wrong).ok()) << wrong;
  }
  EXPECT_EQ(BitRateText(0), "0");
  EXPECT_EQ(BitRateText(1'500'000'000), "1500Mbit");
  EXPECT_EQ(BitRateText(1'234'567), "1234567bit");
}

TEST(UnitsTest, InstantsHaveAZone) {
  const auto seconds_of = [](const char* text) {
    return ParseInstant(text)->time_since_epoch().count();
  };
  EXPECT_EQ(seconds_of("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(seconds_of("2026-12-31T18:00:00Z"), 1798740000);  // date -ud … +%s
  EXPECT_EQ(seconds_of("2026-12-31 18:00Z"), 1798740000);
  EXPECT_EQ(seconds_of("2027-01-01T02:00:00+08:00"), 1798740000);
  EXPECT_EQ(seconds_of("2026-12-31T12:30:00-05:30"), 1798740000);
  for (const char* wrong :
       {"", "2026-12-31", "2026-12-31T18:00:00", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z",
        "2026-12-31T24:00:00Z", "2026-12-31T18:60:00Z", "2026-12-31T18:00:60Z",
        "2026-12-31T18:00:00+8", "2026-12-31T18:00:00+24:00", "2026-12-31T18:00:00Zx",
        "2026-12-31T18:00:", "26-12-31T18:00:00Z", "2026-12-31T18Z"}) {
    EXPECT_FALSE(ParseInstant(wrong).ok()) << wrong;
  }
  EXPECT_EQ(InstantText(*ParseInstant("2028-02-29T23:59:59+08:00")), "2028-02-29T15:59:59Z");
}

TEST(WordsTest, TheNearestWordIsAFewLettersAway) {
  const std::vector<std::string_view> words = {"master", "worker", "io", "cpus"};
  EXPECT_EQ(Nearest("mater", words), "master");
  EXPECT_EQ(Nearest("wokrer", words), "worker");
  EXPECT_EQ(Nearest("oi", words), "io");
  EXPECT_EQ(Nearest("cpu", words), "cpus");
  EXPECT_EQ(Nearest("x", words), "");
  EXPECT_EQ(Nearest("", words), "");
  EXPECT_EQ(Nearest("manager", words), "");
  EXPECT_EQ(Nearest(std::string(100'000, 'a'), words), "");
  EXPECT_EQ(DidYouMean("mater", words), " (did you mean 'master'?)");
  EXPECT_EQ(DidYouMean("zzz", words), "");
  EXPECT_EQ(OneOf({"a", "b", "c"}), "a, b or c");
}

}  // namespace
}  // namespace strata::vcluster
