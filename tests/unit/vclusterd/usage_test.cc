// What the kernel tells of hosts and nodes, read, and what is kept of it.
#include <gtest/gtest.h>
#include <unistd.h>

#include "vclusterd/host/host_load.h"
#include "vclusterd/host/usage_history.h"
#include "vclusterd/host/usage_totals.h"
#include "vclusterd/runtime/network_usage.h"

namespace strata::vcluster {
namespace {

TEST(NetworkUsageTest, CountsEveryDeviceButTheLoopback) {
  const NetworkUsage usage = ParseNetworkUsage(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n"
      "    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n"
      "  eth0: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0\n"
      "eth1:30 1 0 0 0 0 0 0 40 1 0 0 0 0 0 0\n");
  EXPECT_EQ(usage.received_bytes, 1030u);
  EXPECT_EQ(usage.sent_bytes, 2040u);
}

TEST(NetworkUsageTest, WhatIsNoTableIsNothing) {
  for (const char* text : {"", "\n\n", ":", "eth0:", "eth0: x y", "lo: 1 2"}) {
    EXPECT_EQ(ParseNetworkUsage(text).received_bytes, 0u) << text;
  }
}

TEST(NetworkUsageTest, ThisProcessIsInANetwork) { EXPECT_TRUE(NetworkUsageOf(::getpid()).ok()); }

TEST(HostLoadTest, BusyTimeIsAllButIdleWaitingAndStolenTime) {
  const double hz = static_cast<double>(::sysconf(_SC_CLK_TCK));
  EXPECT_DOUBLE_EQ(BusySecondsOf("cpu  100 20 30 4000 500 6 7 8 9 10\ncpu0 1 1 1 1\n").value() * hz,
                   163);
  EXPECT_FALSE(BusySecondsOf("cpu0 1 2 3 4\n").ok());
  EXPECT_FALSE(BusySecondsOf("").ok());
}

TEST(HostLoadTest, MemoryInUseIsWhatIsNotAvailable) {
  EXPECT_EQ(UsedMemoryOf("MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:  400 kB\n").value(),
            600u * 1024);
  EXPECT_FALSE(UsedMemoryOf("MemTotal: 1000 kB\n").ok());
  EXPECT_FALSE(UsedMemoryOf("MemTotal: 1 kB\nMemAvailable: 2 kB\n").ok());
}

TEST(HostLoadTest, DisksCountOnceWithoutTheirPartitionsAndWhatLiesOnThem) {
  const DiskBytes bytes = DiskBytesOf(
      "   8       0 sda 5 0 100 1 5 0 200 1 0 1 1\n"
      "   8       1 sda1 5 0 90 1 5 0 190 1 0 1 1\n"
      "   7       0 loop0 5 0 70 1 5 0 70 1 0 1 1\n"
      " 253       0 dm-0 5 0 60 1 5 0 60 1 0 1 1\n"
      " 254       0 vda 5 0 8 1 5 0 16 1 0 1 1\n"
      "garbage\n");
  EXPECT_EQ(bytes.read, 108u * 512);
  EXPECT_EQ(bytes.written, 216u * 512);
}

TEST(HostLoadTest, TheSecondLookTellsWhatHappenedSinceTheFirst) {
  HostLoadMeter meter("/");
  EXPECT_FALSE(meter.totals().has_value());
  const auto first = meter.Measure();
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_FALSE(first->has_value());
  ASSERT_TRUE(meter.totals().has_value());
  const UsageTotals before = *meter.totals();
  EXPECT_GT(before.cpu_s, 0);
  const auto second = meter.Measure();
  ASSERT_TRUE(second.ok()) << second.error().message();
  ASSERT_TRUE(second->has_value());
  EXPECT_GT((*second)->usage().memory_bytes(), 0u);
  EXPECT_GT((*second)->disk_free_bytes(), 0u);
  EXPECT_GE((*second)->usage().cpus(), 0.0);
  EXPECT_GE(meter.totals()->cpu_s, before.cpu_s);
}

TEST(UsageTotalsTest, WhatWasUsedInBetweenIsToldBySecond) {
  const UsageTotals before{10, 100, 200, 300, 400};
  const UsageTotals after{13, 1100, 2200, 3300, 4400};
  const host::v1::Usage usage = UsageBetween(before, after, 2);
  EXPECT_DOUBLE_EQ(usage.seconds(), 2);
  EXPECT_DOUBLE_EQ(usage.cpus(), 1.5);
  EXPECT_EQ(usage.read_bytes_per_s(), 500u);
  EXPECT_EQ(usage.written_bytes_per_s(), 1000u);
  EXPECT_EQ(usage.received_bytes_per_s(), 1500u);
  EXPECT_EQ(usage.sent_bytes_per_s(), 2000u);
}

TEST(UsageTotalsTest, CountersThatWentBackHaveNotMoved) {
  const host::v1::Usage usage = UsageBetween({10, 100, 200, 300, 400}, {}, 2);
  EXPECT_EQ(usage.cpus(), 0);
  EXPECT_EQ(usage.read_bytes_per_s() + usage.written_bytes_per_s() + usage.received_bytes_per_s() +
                usage.sent_bytes_per_s(),
            0u);
}

host::v1::Usage Using(double cpus, uint64_t memory_bytes) {
  host::v1::Usage usage;
  usage.set_cpus(cpus);
  usage.set_memory_bytes(memory_bytes);
  return usage;
}

TEST(UsageHistoryTest, KeepsAMeanForEachMinute) {
  UsageHistory history;
  history.Add(Using(1, 100), 600);
  history.Add(Using(2, 300), 630);
  history.Add(Using(4, 500), 720);  // A minute without any is left out.
  history.Add(Using(6, 500), 700);  // A clock that went back.
  const auto points = history.Points();
  ASSERT_EQ(points.points_size(), 2);
  EXPECT_EQ(points.points(0).unix_s(), 600);
  EXPECT_DOUBLE_EQ(points.points(0).usage().cpus(), 1.5);
  EXPECT_EQ(points.points(0).usage().memory_bytes(), 200u);
  EXPECT_EQ(points.points(1).unix_s(), 720);
  EXPECT_DOUBLE_EQ(points.points(1).usage().cpus(), 5);
}

TEST(UsageHistoryTest, KeepsEveryFigureOfAHost) {
  UsageHistory history;
  for (const uint64_t times : {1, 3}) {
    host::v1::HostLoad load;
    load.set_disk_free_bytes(times * 1000);
    host::v1::Usage* usage = load.mutable_usage();
    usage->set_cpus(static_cast<double>(times));
    usage->set_memory_bytes(times * 10);
    usage->set_read_bytes_per_s(times * 20);
    usage->set_written_bytes_per_s(times * 30);
    usage->set_received_bytes_per_s(times * 40);
    usage->set_sent_bytes_per_s(times * 50);
    usage->set_cpu_pressure(0.125 * static_cast<double>(times));
    usage->set_memory_pressure(0.0625 * static_cast<double>(times));
    usage->set_io_pressure(0.25 * static_cast<double>(times));
    history.Add(load, 600);
  }
  const auto points = history.Points();
  ASSERT_EQ(points.points_size(), 1);
  EXPECT_EQ(points.points(0).disk_free_bytes(), 2000u);
  const host::v1::Usage& mean = points.points(0).usage();
  EXPECT_DOUBLE_EQ(mean.cpus(), 2);
  EXPECT_EQ(mean.memory_bytes(), 20u);
  EXPECT_EQ(mean.read_bytes_per_s(), 40u);
  EXPECT_EQ(mean.written_bytes_per_s(), 60u);
  EXPECT_EQ(mean.received_bytes_per_s(), 80u);
  EXPECT_EQ(mean.sent_bytes_per_s(), 100u);
  EXPECT_DOUBLE_EQ(mean.cpu_pressure(), 0.25);
  EXPECT_DOUBLE_EQ(mean.memory_pressure(), 0.125);
  EXPECT_DOUBLE_EQ(mean.io_pressure(), 0.5);
  EXPECT_DOUBLE_EQ(mean.seconds(), 60);
}

TEST(UsageHistoryTest, ForgetsWhatIsOlderThanItsLastHours) {
  UsageHistory history;
  for (int64_t minute = 0; minute < 1000; ++minute) history.Add(Using(1, 1), minute * 60);
  const auto points = history.Points();
  EXPECT_EQ(points.points_size(), static_cast<int>(UsageHistory::kPointsMax));
  EXPECT_EQ(points.points(0).unix_s(), (1000 - 360) * 60);
}

}  // namespace
}  // namespace strata::vcluster
