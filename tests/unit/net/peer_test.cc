// Vclusters that have agreed to talk, over two hosts of which each has nodes of another one.
#include <gtest/gtest.h>

#include "tests/unit/net/frames.h"
#include "tests/unit/net/test_host.h"

namespace strata::net {
namespace {

Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }
std::string HostAddress(int host) { return "192.0.2." + std::to_string(host + 1); }

// Network 1 has node `one` on the first host, network 2 has `two` on the second, and `near` on the
// first; network 3 has `three` on the first and is nobody's peer.
class PeerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Join(hosts_[0].space, "up0", HostAddress(0) + "/24", hosts_[1].space, "up0",
         HostAddress(1) + "/24");
    for (int host = 0; host < 2; ++host) {
      hosts_[host].space.Set("net/ipv4/conf/all/rp_filter", "1");
      for (const uint32_t number : {1u, 2u, 3u}) {
        hosts_[host].AddBridge(number).overlay = {.vni = number, .local = A(HostAddress(host))};
      }
    }
    // Nodes of the other host.
    for (const auto& [host, number, index] : {std::tuple(1, 1u, 0u), std::tuple(0, 2u, 0u),
                                              std::tuple(1, 2u, 1u), std::tuple(1, 3u, 0u)}) {
      Bridge& bridge = hosts_[host].desired.bridges[number - 1];
      const Ipv4 address = bridge.prefix.Host(kFirstNodeHost + index);
      bridge.overlay->remotes.push_back(
          {address, MacForNode(number, address), A(HostAddress(1 - host))});
    }
    SetPeers({2}, {1});
    one_ = hosts_[0].AddNode(1, 0);
    two_ = hosts_[1].AddNode(2, 0);
    near_ = hosts_[0].AddNode(2, 1);
    three_ = hosts_[0].AddNode(3, 0);
    Apply();
  }
  void SetPeers(const std::vector<uint32_t>& of_one, const std::vector<uint32_t>& of_two) {
    for (TestHost& host : hosts_) {
      host.desired.bridges[0].peers = of_one;
      host.desired.bridges[1].peers = of_two;
    }
    Apply();
  }
  void Apply() {
    for (TestHost& host : hosts_) host.Apply();
  }
  // By all protocols, and it sees who asks.
  static bool Reaches(const TestNode& from, const TestNode& to) {
    for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
      const UniqueFd server = OpenServer(to.space, protocol, 80, "::");
      if (AskWho(from.space, protocol, to.address, 80, server) != A(from.address)) return false;
      if (AskWho(from.space, protocol, to.address6, 80, server) !=
          IpAddress::Parse(from.address6).value()) {
        return false;
      }
    }
    return PingOnce(from.space, to.address) && PingOnce(from.space, to.address6);
  }
  static bool IsKeptFrom(const TestNode& from, const TestNode& to) {
    for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
      const UniqueFd server = OpenServer(to.space, protocol, 80, "::");
      if (AskWho(from.space, protocol, to.address, 80, server, kSilence)) return false;
      if (AskWho(from.space, protocol, to.address6, 80, server, kSilence)) return false;
    }
    return !PingOnce(from.space, to.address, kSilence) &&
           !PingOnce(from.space, to.address6, kSilence);
  }

  std::array<TestHost, 2> hosts_;
  TestNode one_, two_, near_, three_;
};

TEST_F(PeerTest, TalkWhereverTheirNodesAreAndNobodyElseDoes) {
  EXPECT_TRUE(Reaches(one_, two_));
  EXPECT_TRUE(Reaches(two_, one_));
  EXPECT_TRUE(Reaches(one_, near_));
  EXPECT_TRUE(Reaches(near_, one_));
  for (const TestNode* other : {&one_, &two_, &near_}) {
    EXPECT_TRUE(IsKeptFrom(three_, *other)) << other->address;
    EXPECT_TRUE(IsKeptFrom(*other, three_)) << other->address;
  }
}

TEST_F(PeerTest, NeedTheWordOfBoth) {
  for (const bool first : {true, false}) {
    SetPeers(first ? std::vector{2u} : std::vector<uint32_t>(),
             first ? std::vector<uint32_t>() : std::vector{1u});
    EXPECT_TRUE(IsKeptFrom(one_, two_));
    EXPECT_TRUE(IsKeptFrom(two_, one_));
    EXPECT_TRUE(IsKeptFrom(one_, near_));
  }
  SetPeers({2}, {1});
  EXPECT_TRUE(Reaches(one_, two_));
}

TEST_F(PeerTest, AreOutsideForEachOthersGroups) {
  for (TestHost& host : hosts_) {
    host.desired.bridges[1].group_rules = {
        {.from = GroupRule::From::kOutside, .to_group = 1, .kind = GroupRule::Kind::kTcp}};
  }
  hosts_[1].desired.veths[0].group = 1;
  Apply();
  const UniqueFd tcp = OpenServer(two_.space, Protocol::kTcp, 80);
  EXPECT_EQ(AskWho(one_.space, Protocol::kTcp, two_.address, 80, tcp), A(one_.address));
  const UniqueFd udp = OpenServer(two_.space, Protocol::kUdp, 80);
  EXPECT_EQ(AskWho(one_.space, Protocol::kUdp, two_.address, 80, udp, kSilence), std::nullopt);
  EXPECT_EQ(AskWho(near_.space, Protocol::kTcp, two_.address, 81,
                   OpenServer(two_.space, Protocol::kTcp, 81), kSilence),
            std::nullopt)
      << "of the same network, and of no group";
}

TEST(Peers, WithOverlappingPrefixesAreRefusedAndBothAreNamed) {
  DesiredNetwork desired;
  desired.instance = "1a2b3";
  const Ipv4Prefix prefix = Ipv4Prefix::Parse("10.90.1.0/24").value();
  desired.bridges = {MakeBridge("1a2b3", 7, prefix), MakeBridge("1a2b3", 8, prefix)};
  desired.bridges[0].peers = {8};
  EXPECT_TRUE(CheckDesired(desired).ok()) << "one of them has not agreed";
  desired.bridges[1].peers = {7};
  const Status refused = CheckDesired(desired);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  EXPECT_NE(refused.error().message().find("networks 7 and 8"), std::string::npos)
      << refused.error().message();
}

}  // namespace
}  // namespace strata::net
