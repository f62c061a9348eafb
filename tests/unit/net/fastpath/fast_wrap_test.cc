// Packets between hosts that are made and taken apart without the kernel's VXLAN.
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/ip.h>

#include "tests/unit/net/fastpath/fast_hosts.h"
#include "tests/unit/net/traffic.h"

namespace strata::net {
namespace {

class FastWrapTest : public FastHosts {
 protected:
  void SetUp() override {
    FastHosts::SetUp();
    // Hosts know each other's MACs from now on: until then their tunnels ask.
    ASSERT_TRUE(Reaches(nodes_[0], nodes_[2]));
    ASSERT_TRUE(Reaches(nodes_[2], nodes_[0]));
  }
};

TEST_F(FastWrapTest, ItIsAllBetweenHostsThatHaveIt) {
  const uint64_t by_tunnels = Count(0, kFastSent) + Count(1, kFastReceived);
  const uint64_t wrapped = Count(0, kFastWrapped);
  const uint64_t unwrapped = Count(1, kFastUnwrapped);
  EXPECT_TRUE(Transfer(nodes_[0], nodes_[2], 4 << 20));
  EXPECT_EQ(Count(0, kFastSent) + Count(1, kFastReceived), by_tunnels);
  EXPECT_GT(Count(0, kFastWrapped), wrapped);
  EXPECT_EQ(Count(1, kFastUnwrapped) - unwrapped, Count(0, kFastWrapped) - wrapped);
}

TEST_F(FastWrapTest, TheKernelsTunnelUnderstandsIt) {
  ASSERT_TRUE(Reaches(nodes_[0], nodes_[4]));
  const uint64_t by_tunnel = Count(0, kFastSent);
  const uint64_t wrapped = Count(0, kFastWrapped);
  EXPECT_TRUE(Transfer(nodes_[0], nodes_[4], 4 << 20));
  EXPECT_TRUE(Ping(nodes_[0].space, nodes_[4].address, 1450));
  EXPECT_EQ(Count(0, kFastSent), by_tunnel);
  EXPECT_GT(Count(0, kFastWrapped), wrapped);
}

// What a host sends that makes packets of VXLAN itself.
struct Packet {
  std::string from = HostAddress(2);  // One of host 2.
  uint32_t vni = kVni;
  int tos = 0;
  bool checksum = false;
  uint16_t port = kVxlanPort;
};

class FastUnwrapTest : public FastWrapTest {
 protected:
  // From host 2 to host 0, for `to`, wherever that is.
  void Send(const TestNode& to, const Packet& packet = {}) {
    const Mac source = MacForNode(kVni, A(nodes_[4].address));
    const std::string header = {0x08, 0, 0, 0, 0, 0, static_cast<char>(packet.vni), 0};
    const std::string bytes = header + MakeFrame(to, source, nodes_[4].address);
    const UniqueFd fd(
        hosts_[2].space.In([] { return ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); }));
    const int no_checksum = packet.checksum ? 0 : 1;
    const sockaddr_in from = Address(packet.from, 0);
    const sockaddr_in host = Address(HostAddress(0), packet.port);
    CHECK(::setsockopt(fd.get(), SOL_SOCKET, SO_NO_CHECK, &no_checksum, sizeof(int)) == 0 &&
          ::setsockopt(fd.get(), IPPROTO_IP, IP_TOS, &packet.tos, sizeof(int)) == 0 &&
          ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&from), sizeof(from)) == 0);
    EXPECT_EQ(::sendto(fd.get(), bytes.data(), bytes.size(), 0,
                       reinterpret_cast<const sockaddr*>(&host), sizeof(host)),
              static_cast<ssize_t>(bytes.size()));
  }
  uint64_t Unwrapped() const { return Count(0, kFastUnwrapped); }
};

TEST_F(FastUnwrapTest, OnlyOfHostsThatHaveNodesForNodesThatAreHere) {
  hosts_[2].space.Ip({"addr", "add", "192.0.2.77/24", "dev", "up0"});
  const uint64_t before = Unwrapped();
  Send(nodes_[2]);
  Send(nodes_[4]);
  Send(nodes_[0], {.from = "192.0.2.77"});
  Send(nodes_[0], {.vni = kVni + 1});
  Send(nodes_[0], {.port = kVxlanPort + 1});
  EXPECT_EQ(Unwrapped(), before);
  Send(nodes_[0]);
  EXPECT_EQ(Unwrapped(), before + 1) << "this test sees nothing";
}

TEST_F(FastUnwrapTest, ChecksumsAndMarksOfCongestionAreForTheKernel) {
  const uint64_t before = Unwrapped();
  const uint64_t by_tunnel = Count(0, kFastReceived);
  Send(nodes_[0], {.checksum = true});
  Send(nodes_[0], {.tos = IPTOS_ECN_CE});
  EXPECT_EQ(Unwrapped(), before);
  // A frame that bears no ECN is dropped by the kernel when its packet has met congestion.
  EXPECT_EQ(Count(0, kFastReceived), by_tunnel + 1);
  Send(nodes_[0], {.tos = IPTOS_ECN_ECT0});
  EXPECT_EQ(Unwrapped(), before + 1);
}

TEST_F(FastUnwrapTest, NotForANodeThatIsKeptOff) {
  EXPECT_TRUE(Keep(0, {nodes_[0].veth}));
  const uint64_t before = Unwrapped();
  Send(nodes_[0]);
  EXPECT_EQ(Unwrapped(), before);
  Send(nodes_[1]);
  EXPECT_EQ(Unwrapped(), before + 1);
}

// A node that sends on what comes to a port of its own. What it sends on is never what was
// unwrapped here, but for the first frames, which TCP sends again.
TEST_F(FastWrapTest, WhatANodeSendsOnComesByTheTunnel) {
  const std::string outside = "192.0.2.254";
  fabric_.Ip({"addr", "add", outside + "/24", "dev", "br0"});
  const TestNode& relay = nodes_[2];
  relay.space.Set("net/ipv4/ip_forward", "1");
  relay.space.Ip({"route", "replace", "default", "via", "10.90.1.1"});
  const auto sends_on = relay.space.In([&] {
    return RunChecked({"nft",
                       "add table ip test;"
                       "add chain ip test in { type nat hook prerouting priority -100; };"
                       "add chain ip test out { type nat hook postrouting priority 100; };"
                       "add rule ip test in tcp dport 1-65535 dnat to " +
                           outside + "; add rule ip test out oifname eth0 masquerade"});
  });
  ASSERT_TRUE(sends_on.ok()) << sends_on.error().message();
  const auto stream = [&] { return StreamMbits(nodes_[0].space, fabric_, relay.address, 8 << 20); };

  EXPECT_GT(stream(), 0);
  const uint64_t dropped = Count(1, kFastSentOn);
  EXPECT_GT(dropped, 0u);
  EXPECT_LT(dropped, 20u);
  const uint64_t unwrapped = Count(1, kFastUnwrapped);
  EXPECT_GT(stream(), 0);
  EXPECT_EQ(Count(1, kFastSentOn), dropped);
  EXPECT_EQ(Count(1, kFastUnwrapped), unwrapped);
  // Others are not concerned.
  EXPECT_TRUE(Transfer(nodes_[0], nodes_[3], 1 << 20));
  EXPECT_GT(Count(1, kFastUnwrapped), unwrapped);
}

TEST_F(FastWrapTest, WithoutAWayToTheHostTheTunnelIsAsked) {
  const uint64_t by_tunnel = Count(0, kFastSent);
  hosts_[0].space.Ip({"neigh", "flush", "dev", "up0"});
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[2]));
  EXPECT_GT(Count(0, kFastSent), by_tunnel);
}

TEST_F(FastWrapTest, ALinkOfTheUnderlayThatIsMadeAnewIsTakenIn) {
  hosts_[0].space.Ip({"link", "del", "up0"});
  Join(hosts_[0].space, "up0", HostAddress(0) + "/24", fabric_, "h0", "");
  fabric_.Ip({"link", "set", "h0", "master", "br0"});
  hosts_[1].space.Ip({"neigh", "flush", "dev", "up0"});  // It has another MAC now.
  EXPECT_TRUE(Keep(0));
  const uint64_t unwrapped = Count(0, kFastUnwrapped);
  ASSERT_TRUE(Reaches(nodes_[2], nodes_[0]));
  EXPECT_TRUE(Transfer(nodes_[2], nodes_[0], 1 << 20));
  EXPECT_GT(Count(0, kFastUnwrapped), unwrapped);
}

}  // namespace
}  // namespace strata::net
