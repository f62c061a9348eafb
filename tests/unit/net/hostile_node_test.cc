// A node whose root does what it likes with its link: it gets nowhere, it is counted, and its
// neighbours go on.
#include <gtest/gtest.h>
#include <net/if.h>

#include <atomic>
#include <thread>

#include "net/rule_counters.h"
#include "tests/unit/net/frames.h"
#include "tests/unit/net/test_host.h"

namespace strata::net {
namespace {

constexpr char kTag[] = "EVIL";
constexpr char kHostAddress[] = "192.0.2.1";
constexpr char kOtherHost[] = "192.0.2.2";
constexpr uint16_t kIp = 0x0800;
constexpr uint16_t kArp = 0x0806;
constexpr uint16_t kVlan = 0x8100;
constexpr uint16_t kIp6 = 0x86dd;
constexpr uint8_t kUdp = 17;
constexpr uint8_t kEcho6 = 128;
constexpr uint8_t kUnknown6 = 200;  // Of private experiments (RFC 4443).
constexpr char kVxlanOfNetworkOne[] = "\x08\0\0\0\0\0\x01\0";

Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }

class HostileNodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Join(host_.space, "up0", std::string(kHostAddress) + "/24", outside_, "eth0",
         std::string(kOtherHost) + "/24");
    for (const uint32_t number : {1u, 2u}) {
      host_.AddBridge(number).overlay = {.vni = number, .local = A(kHostAddress)};
    }
    host_.Apply();
    for (const uint32_t index : {0u, 1u, 2u}) nodes_.push_back(host_.AddNode(1, index));
    nodes_.push_back(host_.AddNode(2, 0));
    host_.Apply();
    evil_.emplace(evil().space);
    for (const TestNode* node : {&alice(), &bob(), &carol()}) seen_.emplace_back(node->space);
    seen_.emplace_back(outside_);
    for (const RawLink& link : seen_) (void)link.Saw(kTag);
  }
  void TearDown() override {
    for (const RawLink& link : seen_) {
      EXPECT_FALSE(link.Saw(kTag)) << "what it sent came to " << &link - seen_.data();
    }
    ExpectNeighboursWork();
    EXPECT_EQ(AskWho(evil().space, Protocol::kTcp, alice().address, 81,
                     OpenServer(alice().space, Protocol::kTcp, 81)),
              A(evil().address))
        << "as itself it may speak";
  }

  const TestNode& evil() const { return nodes_[0]; }
  const TestNode& alice() const { return nodes_[1]; }
  const TestNode& bob() const { return nodes_[2]; }
  const TestNode& carol() const { return nodes_[3]; }
  Mac MacOf(const TestNode& node) const {
    return MacForNode(&node == &carol() ? 2 : 1, A(node.address));
  }
  Mac gateway() const { return MacForGateway(1); }

  void ExpectNeighboursWork() {
    const UniqueFd server = OpenServer(bob().space, Protocol::kTcp, 80);
    EXPECT_EQ(AskWho(alice().space, Protocol::kTcp, bob().address, 80, server), A(alice().address));
  }

  uint64_t Count(const std::string& name) const {
    const auto counters = host_.space.In([] { return ReadCounters(TestHost::kInstance); });
    EXPECT_TRUE(counters.ok());
    for (const RuleCounter& one : counters.value_or(std::vector<RuleCounter>())) {
      if (one.name == name) return one.packets;
    }
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }
  void ExpectCount(const std::string& name, uint64_t wanted) const {
    if (HasFailure()) return;
    const auto until = std::chrono::steady_clock::now() + kAnswer;
    while (Count(name) < wanted && std::chrono::steady_clock::now() < until)
      std::this_thread::yield();
    EXPECT_GE(Count(name), wanted) << name;
  }
  // Each of `frames` is dropped and counted as `name`.
  void ExpectDropped(const std::string& name, const std::vector<std::string>& frames) const {
    const uint64_t before = Count(name);
    for (const std::string& frame : frames) evil_->Send(frame);
    ExpectCount(name, before + frames.size());
  }

  static Ipv6Bytes Bytes6(const std::string& address) {
    return IpAddress::Parse(address).value().bytes;
  }
  // ICMPv6 of a type, with eight bytes and what follows them.
  std::string Frame6(const Mac& to, const std::string& from, const std::string& to_address,
                     uint8_t type, const std::string& rest = kTag) const {
    return EthernetFrame(
        to, MacOf(evil()), kIp6,
        Icmpv6Payload(Bytes6(from), Bytes6(to_address),
                      std::string(1, static_cast<char>(type)) + std::string(7, '\0') + rest));
  }
  std::string gateway6(uint32_t number) const {
    return NetworkOf(*host_.desired.pool6, number).Host(kGatewayHost).ToString();
  }

  std::string Datagram(const Mac& from_mac, Ipv4 from, const TestNode& to, uint16_t from_port = 9,
                       uint16_t to_port = 9) const {
    return EthernetFrame(
        MacOf(to), from_mac, kIp,
        Ipv4Payload(kUdp, from, A(to.address), UdpPayload(from_port, to_port, kTag)));
  }
  std::string ArpFrame(const Mac& to, const Mac& from, const Arp& arp) const {
    return EthernetFrame(to, from, kArp, ArpPayload(arp) + kTag);
  }

  TestHost host_;
  NetNamespace outside_;
  std::vector<TestNode> nodes_;
  std::optional<RawLink> evil_;
  std::vector<RawLink> seen_;  // By those that should see nothing of it.
};

TEST_F(HostileNodeTest, CannotSendAsAnotherMac) {
  ExpectDropped("spoofed_mac", {Datagram(MacOf(bob()), A(evil().address), alice()),
                                Datagram(gateway(), A(evil().address), alice()),
                                Datagram({2, 1, 2, 3, 4, 5}, A(evil().address), alice()),
                                EthernetFrame(kEverybody, MacOf(carol()), 0x88b5, kTag)});
}

TEST_F(HostileNodeTest, CannotSendAsAnotherAddress) {
  for (const char* from : {"10.90.1.4", "10.90.1.1", "10.90.1.77", "10.90.2.2", "192.0.2.2",
                           "127.0.0.1", "0.0.0.0", "255.255.255.255"}) {
    ExpectDropped("spoofed_ip", {Datagram(MacOf(evil()), A(from), alice())});
  }
  const Ipv6Bytes bob_address = LinkLocalOf(MacOf(bob()));
  const Ipv6Bytes alice_address = LinkLocalOf(MacOf(alice()));
  ExpectDropped("spoofed_ip",
                {EthernetFrame(MacOf(alice()), MacOf(evil()), kIp6,
                               Icmpv6Payload(bob_address, alice_address,
                                             std::string("\x80\0\0\0\0\0\0\0", 8) + kTag))});
  for (const std::string& from :
       {bob().address6, carol().address6, gateway6(1),
        NetworkOf(*host_.desired.pool6, 1).Host(77).ToString(), std::string("2001:db8::7"),
        std::string("::1"), std::string("::ffff:10.90.1.2"), std::string("::")}) {
    ExpectDropped("spoofed_ip", {Frame6(MacOf(alice()), from, alice().address6, kEcho6)});
  }
}

TEST_F(HostileNodeTest, CannotAnswerOrAskForOthers) {
  const Mac own = MacOf(evil());
  const Ipv4 bobs = A(bob().address);
  const Ipv4 alices = A(alice().address);
  ExpectDropped("spoofed_arp",
                {
                    ArpFrame(MacOf(alice()), own, {2, own, bobs, MacOf(alice()), alices}),
                    ArpFrame(kEverybody, own, {2, own, A("10.90.1.1"), kEverybody, A("10.90.1.1")}),
                    ArpFrame(kEverybody, own, {1, own, A("10.90.1.1"), {}, alices}),
                    ArpFrame(kEverybody, own, {1, MacOf(bob()), A(evil().address), {}, alices}),
                    ArpFrame(kEverybody, own, {2, gateway(), A(evil().address), {}, alices}),
                    ArpFrame(kEverybody, own, {2, own, Ipv4{0}, {}, alices}),
                });
  // An advertisement for another's address, RFC 4861.
  const Ipv6Bytes all = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const Ipv6Bytes target = LinkLocalOf(MacOf(bob()));
  ExpectDropped(
      "spoofed_arp",
      {EthernetFrame({0x33, 0x33, 0, 0, 0, 1}, own, kIp6,
                     Icmpv6Payload(LinkLocalOf(own), all,
                                   std::string("\x88\0\0\0\x20\0\0\0", 8) +
                                       std::string(target.begin(), target.end()) + kTag))});
  for (const std::string& of : {bob().address6, gateway6(1), carol().address6}) {
    const Ipv6Bytes claimed = Bytes6(of);
    const std::string rest = std::string(claimed.begin(), claimed.end()) + kTag;
    ExpectDropped("spoofed_arp",
                  {Frame6(MacOf(alice()), evil().address6, alice().address6, 136, rest)});
  }
}

TEST_F(HostileNodeTest, CannotBeARouterOrServerOfAddresses) {
  const Mac own = MacOf(evil());
  const Ipv6Bytes all = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  for (const char type : {'\x86', '\x89'}) {
    ExpectDropped(
        "router_advert",
        {EthernetFrame({0x33, 0x33, 0, 0, 0, 1}, own, kIp6,
                       Icmpv6Payload(LinkLocalOf(own), all,
                                     std::string(1, type) + std::string(15, '\0') + kTag))});
  }
  ExpectDropped("dhcp_server", {Datagram(own, A(evil().address), alice(), 67, 68)});
}

TEST_F(HostileNodeTest, CannotUseVlansOrOtherProtocols) {
  const Mac own = MacOf(evil());
  const std::string inner =
      std::string("\x08\0", 2) +
      Ipv4Payload(kUdp, A(evil().address), A(alice().address), UdpPayload(9, 9, kTag));
  ExpectDropped("vlan_tag",
                {EthernetFrame(MacOf(alice()), own, kVlan, std::string("\0\5", 2) + inner),
                 EthernetFrame(MacOf(alice()), own, 0x88a8, std::string("\0\5", 2) + inner),
                 EthernetFrame(kEverybody, own, kVlan, std::string("\0\0", 2) + inner)});
  ExpectDropped("other_protocol", {EthernetFrame(MacOf(alice()), own, 0x88b5, kTag),
                                   EthernetFrame(kEverybody, own, 0x88cc, kTag),
                                   EthernetFrame({1, 0x80, 0xc2, 0, 0, 0x20}, own, 64, kTag)});
}

TEST_F(HostileNodeTest, CannotReachOtherNetworksOrTheHostOrItsTunnels) {
  const Mac own = MacOf(evil());
  const Ipv4 self = A(evil().address);
  const auto routed = [&](const char* to, uint16_t port, const std::string& payload) {
    return EthernetFrame(gateway(), own, kIp,
                         Ipv4Payload(kUdp, self, A(to), UdpPayload(9, port, payload)));
  };
  const std::string frame(kVxlanOfNetworkOne, 8);
  ExpectDropped("between_networks", {routed("10.90.2.2", 9, kTag)});
  ExpectDropped("to_host", {routed("10.90.1.1", 9, kTag), routed("10.90.2.1", 9, kTag),
                            routed(kHostAddress, 9, kTag)});
  const auto routed6 = [&](const std::string& to, uint8_t type) {
    return Frame6(gateway(), evil().address6, to, type);
  };
  ExpectDropped("between_networks", {routed6(carol().address6, kEcho6)});
  ExpectDropped("to_host", {routed6(gateway6(1), kUnknown6), routed6(gateway6(2), kUnknown6)});
  ExpectDropped("forged_frame", {routed(kOtherHost, kVxlanPort, frame + kTag)});
  const uint64_t to_tunnel = Count("tunnel_stranger");
  evil_->Send(routed(kHostAddress, kVxlanPort, frame + kTag));
  ExpectCount("tunnel_stranger", to_tunnel + 1);
  ExpectDropped("to_nobody", {EthernetFrame({2, 1, 2, 3, 4, 5}, own, kIp, kTag)});
}

// Bridges hand frames to some of the addresses of IEEE 802.1D over to their host as the port's own,
// past the rules of family bridge.
TEST_F(HostileNodeTest, CannotReachTheHostBesideTheBridge) {
  const UniqueFd server = OpenServer(host_.space, Protocol::kUdp, 9);
  SetPatience(server, kSilence);
  char byte = 0;
  for (uint8_t last = 0; last < 16; ++last) {
    const Mac group = {0x01, 0x80, 0xc2, 0, 0, last};
    for (const char* from : {"10.90.1.2", kOtherHost}) {
      for (const char* to : {kHostAddress, "10.90.1.1"}) {
        evil_->Send(
            EthernetFrame(group, MacOf(evil()), kIp,
                          Ipv4Payload(kUdp, A(from), A(to), UdpPayload(9, 9, "to the host"))));
      }
    }
  }
  ExpectCount("beside_bridge", 4);
  EXPECT_EQ(::recv(server.get(), &byte, 1, 0), -1);
}

TEST_F(HostileNodeTest, FloodsReachNobodyMuch) {
  const Mac own = MacOf(evil());
  const Ipv4 self = A(evil().address);
  constexpr unsigned kFrames = 20'000;
  const uint64_t floods = Count("flood");
  const auto start = std::chrono::steady_clock::now();
  std::atomic<bool> done = false;
  std::thread flood([&] {
    for (unsigned i = 0; i < kFrames; ++i) {
      evil_->Send(ArpFrame(kEverybody, own, {1, own, self, {}, A(alice().address)}));
      evil_->Send(ArpFrame(MacOf(alice()), own, {1, own, self, {}, A(alice().address)}));
    }
    done = true;
  });
  unsigned exchanges = 0;
  do {
    ExpectNeighboursWork();
    ++exchanges;
  } while (!done);
  flood.join();
  const auto seconds =
      std::chrono::ceil<std::chrono::seconds>(std::chrono::steady_clock::now() - start);
  const auto allowed = static_cast<unsigned>(2 * (400 + 200 * seconds.count()));  // Two meters.
  ExpectCount("flood", floods + 2 * kFrames - allowed);
  EXPECT_LE(seen_[0].CountOf(kTag), allowed);
  EXPECT_LE(seen_[1].CountOf(kTag), allowed);
  EXPECT_GT(exchanges, 0u);
}

TEST_F(HostileNodeTest, ScansFindNothingAndAreSlow) {
  const Mac own = MacOf(evil());
  const uint64_t before = Count("arp_scan");
  const auto ask = [&](const Mac& to, const char* network, uint32_t host) {
    const Ipv4 wanted{A(network).value + host};
    evil_->Send(ArpFrame(to, own, {1, own, A(evil().address), {}, wanted}));
  };
  for (uint32_t host = 100; host < 254; ++host) {
    ask(kEverybody, "10.90.1.0", host);
    ask(MacOf(bob()), "10.90.77.0", host);
  }
  constexpr unsigned kPassMax = 50 + 10 * 3;  // Burst, and what three seconds let through.
  ExpectCount("arp_scan", before + 2 * 154 - kPassMax);
  ask(kEverybody, "10.90.2.0", 2);
  ExpectNeighboursWork();
  for (const RawLink& link : seen_) EXPECT_LE(link.CountOf(kTag), kPassMax);
  EXPECT_FALSE(evil_->Saw(std::string("\x00\x02", 2) + std::string("\x0a\x5a"))) << "an answer";
}

TEST_F(HostileNodeTest, SpeaksIpv6AsItself) {
  const auto address_of = [&](const TestNode& node) {
    sockaddr_in6 address = {};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(7);
    const Ipv6Bytes bytes = LinkLocalOf(MacOf(node));
    std::copy(bytes.begin(), bytes.end(), address.sin6_addr.s6_addr);
    node.space.In([&] { address.sin6_scope_id = ::if_nametoindex("eth0"); });
    return address;
  };
  const auto bound = [&](const TestNode& node) {
    const sockaddr_in6 own = address_of(node);
    return node.space.In([&] {
      UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      const int on = 1;
      ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
      EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof(own)), 0);
      SetPatience(fd, kAnswer);
      return fd;
    });
  };
  const UniqueFd from = bound(evil());
  const UniqueFd to = bound(alice());
  sockaddr_in6 there = address_of(alice());
  there.sin6_scope_id = address_of(evil()).sin6_scope_id;
  char byte = '?';
  const auto until = std::chrono::steady_clock::now() + kAnswer;
  ssize_t got = -1;
  // Until its address is no longer being tried, nothing goes out.
  SetPatience(to, std::chrono::milliseconds(50));
  while (got != 1 && std::chrono::steady_clock::now() < until) {
    (void)::sendto(from.get(), &byte, 1, 0, reinterpret_cast<const sockaddr*>(&there),
                   sizeof(there));
    got = ::recv(to.get(), &byte, 1, 0);
  }
  EXPECT_EQ(got, 1);
}

TEST_F(HostileNodeTest, ALinkOfOursThatNobodyHasAnnouncedSendsNothing) {
  const TestNode stranger = host_.AddNode(1, 7);
  const UniqueFd server = OpenServer(alice().space, Protocol::kTcp, 80);
  const uint64_t before = Count("unknown_link");
  EXPECT_EQ(AskWho(stranger.space, Protocol::kTcp, alice().address, 80, server, kSilence),
            std::nullopt);
  EXPECT_GT(Count("unknown_link"), before);
  host_.Apply();
  EXPECT_EQ(AskWho(stranger.space, Protocol::kTcp, alice().address, 80, server),
            A(stranger.address));
}

}  // namespace
}  // namespace strata::net
