// Limits of rates, measured: two nodes of one Vcluster, one of them limited.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "tests/unit/net/test_host.h"

namespace strata::net {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr uint64_t kLimit = 20'000'000;  // Bits per second.
// What is measured, after what fills the buckets and opens TCP's window. 0.8 s at the limit.
constexpr size_t kWarmUpBytes = 300'000;
constexpr size_t kMeasuredBytes = 2'000'000;
constexpr std::chrono::seconds kPatience(5);

class RateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    host_.AddBridge(1);
    host_.Apply();
    limited_ = host_.AddNode(1, 0);
    free_ = host_.AddNode(1, 1);
    before_ = Qdiscs();
    host_.desired.veths[0].bits_per_s_max = kLimit;
    host_.Apply();
  }

  std::string Qdiscs() const {
    return host_.space.In([] { return RunChecked({"tc", "qdisc", "show"}).value(); });
  }

  // Gives what comes of one TCP connection that sends as fast as it can to `take`, until that says
  // that it is enough.
  template <typename Take>
  static void Stream(const TestNode& from, const TestNode& to, const Take& take) {
    const UniqueFd server = OpenServer(to.space, Protocol::kTcp, 5000);
    const UniqueFd sender = from.space.In([&] {
      UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const sockaddr_in there = Address(to.address, 5000);
      EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&there), sizeof(there)), 0);
      return fd;
    });
    const UniqueFd receiver(::accept(server.get(), nullptr, nullptr));
    ::fcntl(sender.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(receiver.get(), F_SETFL, O_NONBLOCK);
    thread_local char bytes[64 << 10];
    for (size_t count = 0; take(count);) {
      pollfd entries[] = {{sender.get(), POLLOUT, 0}, {receiver.get(), POLLIN, 0}};
      ::poll(entries, 2, 100);
      if (entries[0].revents != 0) (void)::send(sender.get(), bytes, sizeof(bytes), MSG_NOSIGNAL);
      const ssize_t got =
          entries[1].revents == 0 ? 0 : ::recv(receiver.get(), bytes, sizeof(bytes), 0);
      count = got > 0 ? static_cast<size_t>(got) : 0;
    }
  }

  // Payload bits per second; 0 after kPatience.
  static double Measure(const TestNode& from, const TestNode& to) {
    const Clock::time_point deadline = Clock::now() + kPatience;
    Clock::time_point start;
    size_t received = 0;
    double rate = 0;
    Stream(from, to, [&](size_t count) {
      received += count;
      if (received >= kWarmUpBytes && start == Clock::time_point()) {
        start = Clock::now();
        received = kWarmUpBytes;
      }
      if (received >= kWarmUpBytes + kMeasuredBytes) {
        rate = static_cast<double>(received - kWarmUpBytes) * 8 /
               Seconds(Clock::now() - start).count();
      }
      return rate == 0 && Clock::now() < deadline;
    });
    return rate;
  }

  // Of all together, in the time from `start` on.
  static double MeasureTogether(
      const std::vector<std::pair<const TestNode*, const TestNode*>>& pairs,
      std::chrono::milliseconds start, std::chrono::milliseconds length) {
    const Clock::time_point from = Clock::now() + start;
    std::atomic<size_t> received = 0;
    std::vector<std::thread> threads;
    for (const auto& pair : pairs) {
      threads.emplace_back([&, pair] {
        Stream(*pair.first, *pair.second, [&](size_t count) {
          const Clock::time_point now = Clock::now();
          if (now >= from && now < from + length) received += count;
          return now < from + length;
        });
      });
    }
    for (std::thread& thread : threads) thread.join();
    return static_cast<double>(received) * 8 / Seconds(length).count();
  }

  TestHost host_;
  TestNode limited_;
  TestNode free_;
  std::string before_;
};

TEST_F(RateTest, HoldsInBothDirections) {
  const double to = Measure(free_, limited_);
  const double from = Measure(limited_, free_);
  std::printf("limit 20 Mbit/s: %.2f to the node, %.2f from it\n", to / 1e6, from / 1e6);
  for (const double rate : {to, from}) {
    EXPECT_GT(rate, kLimit * 0.85);
    EXPECT_LT(rate, kLimit * 1.15);
  }
}

TEST_F(RateTest, ChangesWhileTheNodeRunsAndThenNothingIsLeftToDo) {
  EXPECT_TRUE(IsDone(host_.Plan()));
  host_.desired.veths[0].bits_per_s_max = 2 * kLimit;
  EXPECT_EQ(host_.Plan().set_rates.size(), 1u);
  host_.Apply();
  EXPECT_TRUE(IsDone(host_.Plan()));
  EXPECT_NEAR(Measure(limited_, free_), 2 * kLimit, 2 * kLimit * 0.15);
}

TEST_F(RateTest, TakenAwayItLeavesTheDefaultQueueAndNoDevice) {
  EXPECT_NE(Qdiscs(), before_);
  host_.desired.veths[0].bits_per_s_max = 0;
  host_.Apply();
  EXPECT_EQ(Qdiscs(), before_);
  EXPECT_TRUE(IsDone(host_.Plan()));
  EXPECT_GT(Measure(limited_, free_), 10.0 * kLimit);
}

TEST_F(RateTest, IsMadeAnewForALinkThatIsMadeAnewAndGoesWithItsNode) {
  host_.space.Ip({"link", "del", limited_.veth});
  ASSERT_EQ(host_.Plan().delete_links.size(), 1u) << "the shaper that it left";
  host_.desired.veths.erase(host_.desired.veths.begin());
  limited_ = host_.AddNode(1, 0);
  host_.desired.veths.back().bits_per_s_max = kLimit;
  EXPECT_EQ(host_.Plan().set_rates.size(), 1u);
  host_.Apply();
  EXPECT_TRUE(IsDone(host_.Plan()));
  EXPECT_NEAR(Measure(limited_, free_), kLimit, kLimit * 0.15);
  host_.desired.veths.clear();
  host_.desired.bridges.clear();
  host_.Apply();
  EXPECT_EQ(host_.space.In([] { return ObserveLinks()->size(); }), 1u) << "the loopback device";
}

// Its bucket holds a second, which comes first. What is above the rate is dropped, not queued: what
// TCP makes of that depends on the moment.
TEST_F(RateTest, NodesOfOneUserShareItsLimit) {
  host_.desired.veths[0].bits_per_s_max = 0;
  const TestNode second = host_.AddNode(1, 2);
  const TestNode other = host_.AddNode(1, 3);
  for (const size_t node : {0u, 2u}) host_.desired.veths[node].user = 7;
  constexpr std::chrono::milliseconds kBucket(1500);
  constexpr std::chrono::milliseconds kLength(2000);
  for (const uint64_t limit : {5 * kLimit}) {
    host_.desired.user_limits = {{7, limit}};
    host_.Apply();
    const double rates[] = {
        MeasureTogether({{&limited_, &free_}}, kBucket, kLength),
        MeasureTogether({{&free_, &limited_}}, kBucket, kLength),
        MeasureTogether({{&limited_, &free_}, {&second, &other}}, kBucket, kLength)};
    std::printf("user's limit %.0f Mbit/s: %.1f from one node, %.1f to it, %.1f from two\n",
                static_cast<double>(limit) / 1e6, rates[0] / 1e6, rates[1] / 1e6, rates[2] / 1e6);
    for (const double rate : rates) {
      EXPECT_GT(rate, static_cast<double>(limit) * 0.4);
      EXPECT_LT(rate, static_cast<double>(limit) * 1.2);
    }
  }
  EXPECT_GT(Measure(free_, other), 10.0 * kLimit) << "others have no limit";
  host_.desired.user_limits.clear();
  host_.Apply();
  EXPECT_GT(Measure(limited_, free_), 10.0 * kLimit);
}

TEST_F(RateTest, TakesTheWholeRangeOfRates) {
  for (const uint64_t rate : {kBitsPerSecondMin, uint64_t{40'000'000'000}, kBitsPerSecondMax}) {
    host_.desired.veths[0].bits_per_s_max = rate;
    host_.Apply();
    EXPECT_TRUE(IsDone(host_.Plan())) << rate;
  }
}

}  // namespace
}  // namespace strata::net
