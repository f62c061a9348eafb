// How long nothing reaches a node that moves, by each driver: from the end of its old link, while
// the new one is there, until what was sent arrives by the new one.
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/net/conformance/world.h"
#include "tests/unit/net/traffic.h"

namespace strata::net {
namespace {

using Clock = std::chrono::steady_clock;
using Node = World::Node;
using Milliseconds = std::chrono::duration<double, std::milli>;
using std::chrono::milliseconds;

constexpr Node kMoving = {1, 0};     // On host 0 at first, then on 1, 2, 1…
constexpr Node kNeighbour = {1, 1};  // On host 0.
constexpr Node kFar = {1, 2};        // On host 1, and…
constexpr Node kFarther = {1, 3};    // …on host 2.
constexpr size_t kHosts = 3;
constexpr int kMoves = 6;
constexpr milliseconds kPause(1);
constexpr milliseconds kAtMost(20'000);
constexpr uint16_t kUdpPort = 20053;
constexpr uint16_t kTcpPort = 20080;

// Who sends to the node, each to a port of its own.
enum Flow : size_t { kFromItsOldHost, kFromOtherHost, kThroughAPort, kFlows };
constexpr std::array<const char*, kFlows> kNames = {"from a node of its first host",
                                                    "from a node of another host",
                                                    "from outside, by its first host"};
constexpr std::array<uint16_t, kFlows> kPorts = {5001, 5002, 53};

// Datagrams to the node, 1 ms apart, with the time at which each was sent.
class Traffic {
 public:
  explicit Traffic(const World& world) {
    for (size_t flow = 0; flow < kFlows; ++flow) {
      const NetNamespace& from = flow == kFromItsOldHost  ? world.SpaceOf(kNeighbour)
                                 : flow == kFromOtherHost ? world.SpaceOf(kFarther)
                                                          : world.fabric();
      receivers_[flow] = OpenServer(world.SpaceOf(kMoving), Protocol::kUdp, kPorts[flow]);
      senders_[flow] =
          from.In([] { return UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
      const sockaddr_in to = flow == kThroughAPort
                                 ? Address(World::HostAddress(0), kUdpPort)
                                 : Address(World::AddressOf(kMoving), kPorts[flow]);
      CHECK(::connect(senders_[flow].get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) ==
            0);
    }
    sending_ = std::thread([this] { Send(); });
    receiving_ = std::thread([this] { Receive(); });
  }
  ~Traffic() {
    stop_ = true;
    sending_.join();
    receiving_.join();
  }
  // When the first one was sent after `time` that has arrived; waits for it.
  std::optional<Clock::time_point> FirstAfter(size_t flow, Clock::time_point time) {
    const auto& all = arrived_[flow];
    auto first = all.end();
    std::unique_lock lock(mutex_);
    const bool came = more_.wait_for(lock, kAtMost, [&] {
      first = std::upper_bound(all.begin(), all.end(), time);
      return first != all.end();
    });
    return came ? std::optional(*first) : std::nullopt;
  }

 private:
  void Send() {
    for (auto next = Clock::now(); !stop_; next += kPause) {
      std::this_thread::sleep_until(next);
      const auto now = Clock::now();
      // What is refused, as while there is no way, is lost.
      for (const UniqueFd& fd : senders_) (void)::send(fd.get(), &now, sizeof(now), MSG_NOSIGNAL);
    }
  }
  void Receive() {
    std::array<pollfd, kFlows> entries{};
    for (size_t i = 0; i < kFlows; ++i) entries[i] = {receivers_[i].get(), POLLIN, 0};
    while (!stop_) {
      (void)::poll(entries.data(), kFlows, 100);
      for (size_t i = 0; i < kFlows; ++i) {
        Clock::time_point sent;
        if ((entries[i].revents & POLLIN) == 0 ||
            ::recv(receivers_[i].get(), &sent, sizeof(sent), MSG_DONTWAIT) != sizeof(sent)) {
          continue;
        }
        const std::lock_guard lock(mutex_);
        arrived_[i].push_back(sent);
        more_.notify_all();
      }
    }
  }

  std::array<UniqueFd, kFlows> senders_;
  std::array<UniqueFd, kFlows> receivers_;
  std::mutex mutex_;  // Guards arrived_.
  std::array<std::vector<Clock::time_point>, kFlows> arrived_;
  std::condition_variable more_;
  std::atomic<bool> stop_ = false;
  std::thread sending_;
  std::thread receiving_;
};

// With a patience the kernel does not go on by itself after a signal.
template <typename Call>
ssize_t Unbroken(const Call& call) {
  ssize_t size = 0;
  do {
    size = call();
  } while (size < 0 && errno == EINTR);
  return size;
}

// One connection of TCP from outside by the first host, on which something is always under way.
class Stream {
 public:
  explicit Stream(const World& world) {
    const UniqueFd listener = OpenServer(world.SpaceOf(kMoving), Protocol::kTcp, 80);
    SetPatience(listener, kAnswer);
    client_ = world.fabric().In(
        [] { return UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); });
    const sockaddr_in to = Address(World::HostAddress(0), kTcpPort);
    CHECK(::connect(client_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0);
    server_.reset(::accept(listener.get(), nullptr, nullptr));
    CHECK(server_.valid());
    SetPatience(client_, kAtMost);
    SetPatience(server_, kAtMost);
    sending_ = std::thread([this] {
      auto next = Clock::now();
      for (uint32_t number = 0; !stop_; ++number, next += kPause) {
        const ssize_t sent =
            Unbroken([&] { return ::send(client_.get(), &number, sizeof(number), MSG_NOSIGNAL); });
        if (sent != sizeof(number)) return;
        std::this_thread::sleep_until(next);
      }
      ::shutdown(client_.get(), SHUT_WR);
    });
    receiving_ = std::thread([this] {
      uint32_t number = 0;
      ssize_t size = 0;
      for (uint32_t next = 0;; ++next) {
        size =
            Unbroken([&] { return ::recv(server_.get(), &number, sizeof(number), MSG_WAITALL); });
        if (size != sizeof(number) || number != next) break;
      }
      whole_ = size == 0;
    });
  }
  // Whether all of it came, in order and to its end.
  bool IsWhole() {
    stop_ = true;
    sending_.join();
    receiving_.join();
    return whole_;
  }

 private:
  UniqueFd client_;
  UniqueFd server_;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> whole_ = false;
  std::thread sending_;
  std::thread receiving_;
};

double Median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

class LossTest : public ::testing::TestWithParam<Means> {};

TEST_P(LossTest, AMoveIsShortAndEndsNoConnection) {
  World world(GetParam(), static_cast<int>(kHosts));
  world.AddNetwork(1);
  for (const Node& node : {kMoving, kNeighbour}) world.AddNode(node, 0);
  world.AddNode(kFar, 1);
  world.AddNode(kFarther, 2);
  world.AddForward(0, kMoving, {Protocol::kUdp, kUdpPort, {}, kPorts[kThroughAPort]});
  world.AddForward(0, kMoving, {Protocol::kTcp, kTcpPort, {}, 80});
  world.Settle();
  Stream stream(world);
  std::array<std::vector<double>, kFlows> lost;
  std::array<std::vector<double>, kHosts> took;
  {
    Traffic traffic(world);
    for (size_t flow = 0; flow < kFlows; ++flow) {
      ASSERT_TRUE(traffic.FirstAfter(flow, Clock::time_point())) << kNames[flow];
    }
    for (int move = 0; move < kMoves; ++move) {
      const int to = move % 2 == 0 ? 1 : 2;
      world.PrepareMove(kMoving, to);
      const World::Moved moved = world.FinishMove(kMoving);
      for (size_t flow = 0; flow < kFlows; ++flow) {
        const auto first = traffic.FirstAfter(flow, moved.link_ended);
        ASSERT_TRUE(first.has_value()) << kNames[flow] << ", to host " << to;
        lost[flow].push_back(Milliseconds(*first - moved.link_ended).count());
      }
      for (size_t i = 0; i < kHosts; ++i) took[i].push_back(Milliseconds(moved.took[i]).count());
      world.Settle();
    }
  }
  const std::string driver = NameOf(GetParam());
  EXPECT_TRUE(stream.IsWhole()) << "TCP";
  for (size_t flow = 0; flow < kFlows; ++flow) {
    std::printf("%s: %.1f ms (%.1f-%.1f) of what is sent %s are lost\n", driver.c_str(),
                Median(lost[flow]), *std::min_element(lost[flow].begin(), lost[flow].end()),
                *std::max_element(lost[flow].begin(), lost[flow].end()), kNames[flow]);
  }
  std::printf("%s: the new host takes %.1f ms, another %.1f, the old one %.1f\n", driver.c_str(),
              Median(took[0]), Median(took[1]), Median(took[2]));
}

INSTANTIATE_TEST_SUITE_P(Drivers, LossTest,
                         ::testing::Values(Means::kLinux, Means::kFastPath, Means::kOvsVxlan,
                                           Means::kOvsGre),
                         [](const auto& driver) { return NameOf(driver.param); });

}  // namespace
}  // namespace strata::net
