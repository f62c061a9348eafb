#include "net/fastpath/fast_plan.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace strata::net {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kInstance[] = "1a2b3";
constexpr uint32_t kNumber = 7;
constexpr int kTunnel = 10;
constexpr int kFirstVeth = 20;

Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }

FastNode Node(const Mac& mac) {
  FastNode node = {.network = kNumber};
  std::memcpy(node.mac, mac.data(), mac.size());
  return node;
}

// Two nodes here, 10.0.7.2 and 10.0.7.3, and 10.0.7.4 on host 192.0.2.2.
class FastPlanTest : public ::testing::Test {
 protected:
  FastPlanTest() {
    Bridge bridge = MakeBridge(kInstance, kNumber, Ipv4Prefix::Parse("10.0.7.0/24").value());
    bridge.overlay = {.vni = kNumber, .local = A("192.0.2.1")};
    bridge.overlay->remotes.push_back({A("10.0.7.4"), remote_, A("192.0.2.2")});
    observed_.push_back({.name = bridge.name, .up = true, .index = 1});
    observed_.push_back({.name = bridge.tunnel(),
                         .up = true,
                         .master = bridge.name,
                         .tunnel = ObservedTunnel{kNumber, A("192.0.2.1"), kVxlanPort},
                         .remotes = {{remote_, {A("192.0.2.2"), true, true}}},
                         .index = kTunnel});
    for (uint32_t index = 0; index < 2; ++index) {
      desired_.veths.push_back(MakeVeth(kInstance, kNumber, index, 0));
      observed_.push_back({.name = desired_.veths.back().name,
                           .up = true,
                           .master = bridge.name,
                           .index = kFirstVeth + static_cast<int>(index)});
    }
    desired_.instance = kInstance;
    desired_.bridges.push_back(std::move(bridge));
  }

  FastState State(const std::set<std::string>& kept_off = {}) const {
    return MakeFastState(desired_, observed_, {.kept_off = kept_off});
  }
  // The links to which the program is attached.
  static std::vector<uint32_t> LinksOf(const FastState& state) {
    std::vector<uint32_t> links;
    for (const auto& [link, source] : state.sources) links.push_back(link);
    return links;
  }

  const Mac remote_ = MacForNode(kNumber, A("10.0.7.4"));
  const Mac second_ = MacForNode(kNumber, A("10.0.7.3"));
  DesiredNetwork desired_;
  std::vector<ObservedLink> observed_;
};

TEST_F(FastPlanTest, NodesOfTheHostAndKnownOnesOfOthersHaveAWay) {
  const FastState state = State();
  EXPECT_THAT(LinksOf(state), ElementsAre(kTunnel, kFirstVeth, kFirstVeth + 1));
  EXPECT_EQ(state.sources.at(kTunnel).is_tunnel, 1u);
  const FastSource& second = state.sources.at(kFirstVeth + 1);
  EXPECT_EQ(second.network, kNumber);
  EXPECT_EQ(second.address, htonl(A("10.0.7.3").value));
  EXPECT_EQ(std::memcmp(second.mac, second_.data(), second_.size()), 0);
  EXPECT_EQ(state.ways.size(), 3u);
  EXPECT_EQ(state.ways.at(Node(second_)), (FastWay{.link = kFirstVeth + 1}));
  const FastWay& way = state.ways.at(Node(remote_));
  EXPECT_EQ(way.link, uint32_t{kTunnel});
  EXPECT_EQ(way.is_tunnel, 1u);
  EXPECT_EQ(way.host, htonl(A("192.0.2.2").value));
  EXPECT_EQ(way.local, htonl(A("192.0.2.1").value));
  EXPECT_EQ(way.vni, htonl(kNumber << 8));
  EXPECT_EQ(way.port, htons(kVxlanPort));
}

TEST_F(FastPlanTest, ANodeWithALimitHasNoPart) {
  desired_.veths[1].bits_per_s_max = 1'000'000;
  EXPECT_THAT(LinksOf(State()), ElementsAre(kTunnel, kFirstVeth));
  EXPECT_FALSE(State().ways.contains(Node(second_)));
  // Nor while the limit that it had is still there.
  desired_.veths[1].bits_per_s_max = 0;
  observed_[3].has_ingress = true;
  EXPECT_FALSE(State().ways.contains(Node(second_)));
  observed_[3].has_ingress = false;
  observed_[3].sends_bits_per_s_max = 1'000'000;
  EXPECT_FALSE(State().ways.contains(Node(second_)));
}

TEST_F(FastPlanTest, ANodeThatIsKeptOffHasNoPart) {
  const FastState state = State({desired_.veths[1].name});
  EXPECT_THAT(LinksOf(state), ElementsAre(kTunnel, kFirstVeth));
  EXPECT_FALSE(state.ways.contains(Node(second_)));
}

TEST_F(FastPlanTest, ALinkThatIsNoPortOfItsBridgeOrDownHasNoPart) {
  observed_[3].master = "";
  EXPECT_THAT(LinksOf(State()), ElementsAre(kTunnel, kFirstVeth));
  observed_[3].master = desired_.bridges[0].name;
  observed_[3].up = false;
  EXPECT_THAT(LinksOf(State()), ElementsAre(kTunnel, kFirstVeth));
  observed_[1].up = false;
  EXPECT_THAT(LinksOf(State()), ElementsAre(kFirstVeth));
}

TEST_F(FastPlanTest, ARemoteNodeHasAWayWhenTheTunnelKnowsItsHost) {
  observed_[1].remotes[remote_].host = A("192.0.2.3");
  EXPECT_FALSE(State().ways.contains(Node(remote_)));
  observed_[1].remotes.clear();
  EXPECT_FALSE(State().ways.contains(Node(remote_)));
}

// While it moves here its link is there already, and the bridge still sends to the other host.
TEST_F(FastPlanTest, ANodeThatIsSaidToBeElsewhereIsNotHere) {
  desired_.bridges[0].overlay->remotes.push_back({A("10.0.7.3"), second_, A("192.0.2.2")});
  EXPECT_FALSE(State().ways.contains(Node(second_)));
  observed_[1].remotes[second_] = {A("192.0.2.2"), true, true};
  EXPECT_EQ(State().ways.at(Node(second_)).link, uint32_t{kTunnel});
}

TEST_F(FastPlanTest, PacketsOfHostsThatHaveNodesAreTakenApartWhereThisHostsAddressIs) {
  observed_.push_back({.name = "eth0",
                       .up = true,
                       .is_ethernet = true,
                       .addresses = {{A("192.0.2.1"), 32}, {A("192.0.2.11"), 32}},
                       .index = 30});
  observed_.push_back({.name = "eth1",
                       .up = true,
                       .is_ethernet = true,
                       .addresses = {{A("192.0.2.9"), 32}},
                       .index = 31});
  FastState state = State();
  EXPECT_THAT(state.underlays, ElementsAre(30u));
  ASSERT_EQ(state.senders.size(), 1u);
  const auto& [sender, network] = *state.senders.begin();
  EXPECT_EQ(sender.host, htonl(A("192.0.2.2").value));
  EXPECT_EQ(sender.local, htonl(A("192.0.2.1").value));
  EXPECT_EQ(sender.vni, htonl(kNumber << 8));
  EXPECT_EQ(sender.port, htons(kVxlanPort));
  EXPECT_EQ(network, kNumber);

  const FastPlan plan = MakeFastPlan(FastState(), state);
  EXPECT_THAT(plan.add_underlays, ElementsAre(30u));
  EXPECT_EQ(plan.set_senders.size(), 1u);
  EXPECT_THAT(MakeFastPlan(state, FastState()).remove_underlays, ElementsAre(30u));
  EXPECT_EQ(MakeFastPlan(state, FastState()).remove_senders.size(), 1u);
  // As an encrypted network of the hosts is: its packets have no header of Ethernet.
  observed_[4].is_ethernet = false;
  EXPECT_THAT(State().underlays, IsEmpty());
}

TEST_F(FastPlanTest, LeftToTheTunnelsNothingIsSaidOfTheUnderlay) {
  observed_.push_back({.name = "eth0",
                       .up = true,
                       .is_ethernet = true,
                       .addresses = {{A("192.0.2.1"), 32}},
                       .index = 30});
  const FastState state = MakeFastState(desired_, observed_, {.kept_off = {}, .wraps = false});
  EXPECT_EQ(state.ways.at(Node(remote_)), (FastWay{.link = kTunnel, .is_tunnel = 1}));
  EXPECT_TRUE(state.senders.empty());
  EXPECT_TRUE(state.underlays.empty());
}

TEST_F(FastPlanTest, APlanIsTheDifference) {
  const FastState before = State();
  EXPECT_TRUE(MakeFastPlan(before, before).empty());
  observed_[3].index = 99;  // Its link was made anew.
  const FastPlan plan = MakeFastPlan(before, State());
  EXPECT_THAT(plan.remove_sources, ElementsAre(kFirstVeth + 1));
  EXPECT_THAT(plan.remove_ways, IsEmpty());
  ASSERT_EQ(plan.set_ways.size(), 1u);
  EXPECT_EQ(plan.set_ways[0].first, Node(second_));
  EXPECT_EQ(plan.set_ways[0].second.link, 99u);
  ASSERT_EQ(plan.set_sources.size(), 1u);
  EXPECT_EQ(plan.set_sources[0].first, 99u);
  EXPECT_EQ(MakeFastPlan(before, FastState()).remove_ways.size(), 3u);
}

}  // namespace
}  // namespace strata::net
