// What is summed up for whom, and of which hour.
#include "vclusterd/master/credit_meter.h"

#include <gtest/gtest.h>

#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {
namespace {

constexpr int64_t kHour = 500'000;
constexpr int64_t kStartMs = kHour * kHourMs;
constexpr UseRate kRate = {.cpus_milli = 1500, .memory_mib = 512, .nodes = 2};

TEST(CreditMeter, SumsUpUntilTheHourIsOver) {
  CreditMeter meter;
  for (int64_t s = 0; s < 3600; s += 10) {
    meter.Add(7, kRate, kStartMs + s * kSecondMs, kStartMs + (s + 10) * kSecondMs);
  }
  EXPECT_TRUE(meter.Ended(kStartMs + kHourMs - 1).empty());
  const auto ended = meter.Ended(kStartMs + kHourMs);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].hour, kHour);
  EXPECT_EQ(ended[0].uid, 7u);
  EXPECT_EQ(ended[0].use.cpu_milli_seconds, 1500u * 3600);
  EXPECT_EQ(ended[0].use.memory_mib_seconds, 512u * 3600);
  EXPECT_EQ(ended[0].use.node_seconds, 2u * 3600);
  meter.Drop(kHour, 7);
  EXPECT_TRUE(meter.empty());
}

TEST(CreditMeter, EachHourGetsItsPart) {
  CreditMeter meter;
  meter.Add(7, kRate, kStartMs - 4000, kStartMs + kHourMs + 6000);
  const auto ended = meter.Ended(kStartMs + 2 * kHourMs);
  ASSERT_EQ(ended.size(), 3u);
  EXPECT_EQ(ended[0].hour, kHour - 1);
  EXPECT_EQ(ended[0].use.node_seconds, 2u * 4);
  EXPECT_EQ(ended[1].use.node_seconds, 2u * 3600);
  EXPECT_EQ(ended[2].use.node_seconds, 2u * 6);
}

TEST(CreditMeter, NothingIsAddedForNoTimeOrNoNodes) {
  CreditMeter meter;
  meter.Add(7, kRate, kStartMs, kStartMs);
  meter.Add(7, kRate, kStartMs + 1, kStartMs);
  meter.Add(7, {.cpus_milli = 5}, kStartMs, kStartMs + 1000);
  EXPECT_TRUE(meter.empty());
}

TEST(CreditMeter, HoldsNoMoreHoursThanItMay) {
  CreditMeter meter;
  meter.Add(7, kRate, kStartMs, kStartMs + 100 * kHourMs);
  const auto ended = meter.Ended(kStartMs + 200 * kHourMs);
  ASSERT_EQ(ended.size(), kMeteredHoursMax);
  EXPECT_EQ(ended.back().hour, kHour + 99) << "the newest ones are kept";
}

TEST(CreditMeter, GoesOnFromItsRecord) {
  CreditMeter meter;
  meter.Add(7, kRate, kStartMs, kStartMs + 1500);
  meter.Add(8, kRate, kStartMs + 3 * kHourMs, kStartMs + 3 * kHourMs + 1);
  master::v1::CreditMeter record;
  meter.ToProto(&record);
  CreditMeter next;
  next.FromProto(record, kStartMs + 60'000);
  next.Add(7, kRate, kStartMs + 1500, kStartMs + 2000);
  const auto ended = next.Ended(kStartMs + 10 * kHourMs);
  ASSERT_EQ(ended.size(), 1u) << "not the hour that has not begun";
  EXPECT_EQ(ended[0].use.node_seconds, 2u * 2) << "parts of a second are not lost";
}

}  // namespace
}  // namespace strata::vcluster
