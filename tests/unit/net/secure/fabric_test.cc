// Two hosts of a Vcluster with an encrypted fabric between them: namespaces, joined by a bridge
// that stands for a network that everybody may listen to.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>

#include "net/secure/fabric_rules.h"
#include "tests/unit/net/secure/fabric_pair.h"

namespace strata::net {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;
using FabricTest = FabricPair;

TEST_F(FabricTest, OnlyWireGuardIsOnTheUnderlayWhileNodesTalk) {
  const Wire wire(underlay_, "h1");
  MakeFabrics();
  MakeOverlay();
  EXPECT_TRUE(PingUntilAnswered(nodes_[0].space, nodes_[1].address));
  const uint32_t mtu = 1500 - 60 - 50;
  EXPECT_TRUE(Ping(nodes_[0].space, nodes_[1].address, mtu));
  EXPECT_TRUE(Ping(nodes_[1].space, nodes_[0].address, mtu));
  EXPECT_FALSE(Ping(nodes_[0].space, nodes_[1].address, mtu + 1, kSilence));
  EXPECT_TRUE(Transfer(nodes_[0], nodes_[1], 1 << 20));
  EXPECT_TRUE(Transfer(nodes_[1], nodes_[0], 1 << 20));
  SendMarker(nodes_[0].space, nodes_[1].address);
  EXPECT_TRUE(Ping(nodes_[0].space, nodes_[1].address));  // Comes after the marker.
  const std::vector<std::string> frames = wire.Take();
  EXPECT_GT(frames.size(), 100u);
  EXPECT_THAT(PlainOf(frames), IsEmpty());
  EXPECT_EQ(CountWith(frames, kMarker), 0u);
  for (const std::string& frame : frames) EXPECT_LE(frame.size(), 1514u) << "cut into pieces";
}

TEST_F(FabricTest, TheSameTestSeesThePayloadOfAPlainOverlay) {
  const Wire wire(underlay_, "h1");
  MakeOverlay(/*in_fabric=*/false);
  EXPECT_TRUE(Ping(nodes_[0].space, nodes_[1].address));
  SendMarker(nodes_[0].space, nodes_[1].address);
  EXPECT_TRUE(Ping(nodes_[0].space, nodes_[1].address));
  const std::vector<std::string> frames = wire.Take();
  EXPECT_THAT(PlainOf(frames), Not(IsEmpty()));
  EXPECT_GT(CountWith(frames, kMarker), 0u);
}

TEST_F(FabricTest, AWrongKeyGetsNothingThrough) {
  a_.Make();
  b_.fabric.key = SecretKey::GeneratePrivate().value();
  b_.Make();
  EXPECT_FALSE(Ping(a_.space, "10.88.0.2", 100, kSilence));
  EXPECT_FALSE(Ping(b_.space, "10.88.0.1", 100, kSilence));
  for (FabricHost* host : {&a_, &b_}) {
    const auto seen = host->space.In([&] { return host->device->Look().value(); });
    ASSERT_EQ(seen->peers.size(), 1u);
    EXPECT_EQ(seen->peers[0].last_handshake.count(), 0);
  }
  a_.fabric.peers = {b_.AsPeer(EndpointOf(2))};
  a_.Make();
  EXPECT_TRUE(PingUntilAnswered(a_.space, "10.88.0.2"));
}

TEST_F(FabricTest, APresharedKeyMustBeTheSameAtBothEnds) {
  a_.fabric.peers[0].preshared = SecretKey::GeneratePreshared().value();
  MakeFabrics();
  EXPECT_FALSE(Ping(a_.space, "10.88.0.2", 100, kSilence));
  b_.fabric.peers[0].preshared = a_.fabric.peers[0].preshared;
  EXPECT_EQ(b_.Make().size(), 1u);
  EXPECT_TRUE(PingUntilAnswered(a_.space, "10.88.0.2"));
  EXPECT_TRUE(a_.IsMade());
  EXPECT_TRUE(b_.IsMade());
}

TEST_F(FabricTest, WhenTheDeviceDiesNothingLeavesInPlainAndTheNextMakeBringsItBack) {
  MakeFabrics();
  MakeOverlay();
  ASSERT_TRUE(PingUntilAnswered(nodes_[0].space, nodes_[1].address));
  const Wire wire(underlay_, "h1");
  BreakDevice(&a_);
  EXPECT_FALSE(a_.IsMade());
  SendMarker(nodes_[0].space, nodes_[1].address);
  SendMarker(a_.space, "10.88.0.2");
  EXPECT_FALSE(Ping(nodes_[0].space, nodes_[1].address, 100, kSilence));
  EXPECT_EQ(CountWith(wire.Take(), kMarker), 0u);
  EXPECT_FALSE(a_.Make().empty());
  EXPECT_TRUE(a_.IsMade());
  EXPECT_TRUE(PingUntilAnswered(nodes_[0].space, nodes_[1].address));
  EXPECT_TRUE(PingUntilAnswered(nodes_[1].space, nodes_[0].address));

  // Were it not for the rules, it would go to whoever the default route leads to.
  BreakDevice(&a_);
  a_.space.In([&] {
    EXPECT_TRUE(
        RunChecked({"nft", "delete table inet " + FabricTableName(a_.fabric.instance)}).ok());
  });
  wire.Take();
  SendMarker(a_.space, "10.88.0.2");
  EXPECT_GT(CountWith(wire.Take(), kMarker), 0u) << "this test sees nothing";
}

// Of a process only: the kernel does not hang.
TEST_F(FabricTest, AProcessThatHangsIsStartedAnew) {
  MakeFabrics();
  for (int i = 0; i < 2; ++i) {
    const std::vector<pid_t> processes = a_.Processes();
    ASSERT_EQ(processes.size(), IsKernelUnderTest() ? 0u : 1u);
    for (const pid_t pid : processes) {
      ASSERT_EQ(::kill(pid, SIGSTOP), 0);
      // Before its last thread has stopped it may still answer.
      siginfo_t info;
      ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED | WNOWAIT), 0);
    }
    a_.Make();
    EXPECT_TRUE(a_.IsMade());
    if (!IsKernelUnderTest()) {
      EXPECT_NE(a_.Processes(), processes);
    }
    EXPECT_TRUE(PingUntilAnswered(a_.space, "10.88.0.2"));
    // The second time it is another's.
    a_.device = a_.NewDevice();
    a_.Make();
  }
}

TEST_F(FabricTest, AnAddressOfTheFabricIsTakenOnlyFromTheFabric) {
  MakeFabrics();
  const UniqueFd server = OpenServer(a_.space, Protocol::kUdp, 6000, "10.88.0.1");
  SetPatience(server, kSilence);
  char byte;
  underlay_.Ip({"addr", "add", "10.88.0.2/32", "dev", "br0"});
  underlay_.Ip({"route", "add", "10.88.0.1/32", "via", Underlay(1), "src", "10.88.0.2"});
  SendMarker(underlay_, "10.88.0.1", 6000);
  EXPECT_EQ(::recv(server.get(), &byte, 1, 0), -1) << "forged in the network below";
  SendMarker(b_.space, "10.88.0.1", 6000);
  SetPatience(server, kAnswer);
  EXPECT_EQ(::recv(server.get(), &byte, 1, 0), 1);
  a_.space.In([&] {
    EXPECT_TRUE(
        RunChecked({"nft", "delete table inet " + FabricTableName(a_.fabric.instance)}).ok());
  });
  SendMarker(underlay_, "10.88.0.1", 6000);
  EXPECT_EQ(::recv(server.get(), &byte, 1, 0), 1) << "this test sees nothing";
  EXPECT_EQ(a_.Make().size(), 1u);
  EXPECT_TRUE(a_.IsMade());
}

TEST_F(FabricTest, AMakeLeavesNothingToDoAndMendsWhatOthersBroke) {
  MakeFabrics();
  EXPECT_TRUE(a_.IsMade());
  ASSERT_TRUE(PingUntilAnswered(a_.space, "10.88.0.2"));
  const std::string device = a_.fabric.device();
  const std::string table = FabricTableName(a_.fabric.instance);
  const std::vector<std::vector<std::string>> breakages = {
      {"ip", "addr", "del", "10.88.0.1/16", "dev", device},
      {"ip", "addr", "add", "10.88.0.9/16", "dev", device},
      {"ip", "link", "set", device, "mtu", "1300"},
      {"ip", "link", "set", device, "down"},
      {"ip", "link", "del", device},
      {"nft", "delete table inet " + table},
      {"nft", "flush chain inet " + table + " output"},
      {"nft", "add rule inet " + table + " output accept"},
  };
  for (const auto& breakage : breakages) {
    const auto done = a_.space.In([&] { return RunChecked(breakage); });
    EXPECT_TRUE(done.ok()) << done.error().message();
    EXPECT_FALSE(a_.IsMade()) << ::testing::PrintToString(breakage);
    a_.Make();
    EXPECT_TRUE(a_.IsMade()) << ::testing::PrintToString(breakage);
  }
  EXPECT_TRUE(PingUntilAnswered(a_.space, "10.88.0.2"));
}

TEST_F(FabricTest, PeersThatOthersChangedAreMended) {
  MakeFabrics();
  const SecureFabric wanted = a_.fabric;
  const std::unique_ptr<FabricDevice> other = a_.NewDevice();
  const auto breaks = [&](const std::string& what, const auto& change) {
    SecureFabric wrong = wanted;
    change(&wrong);
    const auto made = a_.space.In([&] { return other->Make(wrong); });
    EXPECT_TRUE(made.ok()) << made.error().message();
    EXPECT_FALSE(a_.IsMade()) << what;
    a_.Make();
    EXPECT_TRUE(a_.IsMade()) << what;
  };
  // While nothing has been heard of the peer: afterwards it is where it was heard last.
  breaks("endpoint", [](SecureFabric* f) {
    f->peers[0].endpoint = Endpoint::Parse("192.0.2.99:51820").value();
  });
  breaks("key", [](SecureFabric* f) { f->key = SecretKey::GeneratePrivate().value(); });
  breaks("port", [](SecureFabric* f) { f->port = 51999; });
  breaks("no peer", [](SecureFabric* f) { f->peers.clear(); });
  breaks("keepalive", [](SecureFabric* f) { f->is_behind_nat = true; });
  breaks("address", [](SecureFabric* f) { f->peers[0].address = A("10.88.0.77"); });
  breaks("preshared",
         [](SecureFabric* f) { f->peers[0].preshared = SecretKey::GeneratePreshared().value(); });
  breaks("one more", [](SecureFabric* f) {
    FabricPeer more;
    more.address = A("10.88.0.78");
    more.key = SecretKey::GeneratePrivate().value().Public().value();
    f->peers.push_back(more);
  });
  EXPECT_TRUE(PingUntilAnswered(a_.space, "10.88.0.2"));
}

TEST_F(FabricTest, AnotherLinkOfTheNameIsReplaced) {
  a_.space.Ip({"link", "add", a_.fabric.device(), "type", "bridge"});
  MakeFabrics();
  EXPECT_TRUE(a_.IsMade());
  EXPECT_TRUE(PingUntilAnswered(a_.space, "10.88.0.2"));
}

TEST_F(FabricTest, AFabricOutlivesWhatMadeItAndIsTakenOver) {
  MakeFabrics();
  ASSERT_TRUE(PingUntilAnswered(a_.space, "10.88.0.2"));
  const std::vector<pid_t> before = a_.Processes();
  a_.device = a_.NewDevice();
  EXPECT_TRUE(Ping(a_.space, "10.88.0.2"));
  EXPECT_EQ(a_.Make().size(), 1u) << "its rules, of which it does not know";
  EXPECT_TRUE(a_.IsMade());
  EXPECT_EQ(a_.Processes(), before);
  EXPECT_TRUE(Ping(a_.space, "10.88.0.2"));
  // And ended by one that has never made it.
  a_.device = a_.NewDevice();
}

TEST_F(FabricTest, ANewKeyIsTakenUpWithoutAWord) {
  MakeFabrics();
  ASSERT_TRUE(PingUntilAnswered(a_.space, "10.88.0.2"));
  const SecretKey next = SecretKey::GeneratePrivate().value();
  a_.fabric.peers[0].next_key = next.Public().value();
  EXPECT_EQ(a_.Make().size(), 1u);
  EXPECT_TRUE(Ping(a_.space, "10.88.0.2"));
  b_.fabric.key = next;
  b_.Make();
  // B calls with it, and A's next look sees that.
  const auto end = std::chrono::steady_clock::now() + 2 * kHandshake;
  bool answered = false;
  while (!answered && std::chrono::steady_clock::now() < end) {
    (void)Ping(b_.space, "10.88.0.1", 100, kSilence);
    a_.Make();
    answered = Ping(a_.space, "10.88.0.2", 100, kSilence);
  }
  EXPECT_TRUE(answered);
  EXPECT_TRUE(a_.IsMade());
  // When B's old key is forgotten, the session goes on.
  a_.fabric.peers[0].key = *a_.fabric.peers[0].next_key;
  a_.fabric.peers[0].next_key.reset();
  a_.Make();
  EXPECT_TRUE(Ping(a_.space, "10.88.0.2"));
  EXPECT_TRUE(a_.IsMade());
}

TEST_F(FabricTest, APortThatAProgramHasIsRefusedByName) {
  UniqueFd taken = OpenServer(a_.space, Protocol::kUdp, kFabricPort);
  const auto made = a_.TryMake();
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(made.error().message().find("port 51820/udp"), std::string::npos)
      << made.error().message();
  EXPECT_FALSE(a_.HasLink());
  taken.reset();
  MakeFabrics();
  EXPECT_TRUE(PingUntilAnswered(a_.space, "10.88.0.2"));
}

TEST_F(FabricTest, TheKernelsWireGuardIsTakenWhereThereIsOne) {
  a_.device = std::make_unique<FabricDevice>(
      FabricDevice::Options{a_.fabric.instance, a_.run_dir, FabricDevice::Choice::kBest});
  MakeFabrics();
  EXPECT_EQ(a_.device->driver(), b_.device->driver());
  EXPECT_EQ(a_.device->driver() == "WireGuard in the kernel", IsKernelUnderTest());
}

// docs/network.md has its figures.
TEST_F(FabricTest, AStreamArrivesWholeAndIsMeasured) {
  MakeFabrics();
  MakeOverlay(/*in_fabric=*/true, 1);
  MakeOverlay(/*in_fabric=*/false, 2);
  ASSERT_TRUE(PingUntilAnswered(nodes_[0].space, nodes_[1].address));
  const size_t kBytes = IsKernelUnderTest() ? 4 << 20 : 64 << 20;  // An emulated machine is slow.
  const double fabric = StreamMbits(a_.space, b_.space, "10.88.0.2", kBytes);
  const double secure = StreamMbits(nodes_[0].space, nodes_[1].space, nodes_[1].address, kBytes);
  const double plain = StreamMbits(nodes_[2].space, nodes_[3].space, nodes_[3].address, kBytes);
  std::printf("Mbit/s: %.0f in the fabric, %.0f in an overlay over it, %.0f in a plain overlay\n",
              fabric, secure, plain);
  EXPECT_GT(fabric, 0);
  EXPECT_GT(secure, 0);
  EXPECT_GT(plain, 0);
}

TEST_F(FabricTest, HostsAreCalledByIpv6) {
  for (FabricHost* host : {&a_, &b_}) {
    const int number = host == &a_ ? 1 : 2;
    host->space.Set("net/ipv6/conf/up0/disable_ipv6", "0");
    host->space.Ip(
        {"addr", "add", "2001:db8::" + std::to_string(number) + "/64", "dev", "up0", "nodad"});
    host->fabric.has_ipv6_endpoints = true;
    host->fabric.peers[0].endpoint =
        Endpoint::Parse("[2001:db8::" + std::to_string(3 - number) + "]:51820").value();
  }
  MakeFabrics();
  EXPECT_TRUE(PingUntilAnswered(a_.space, "10.88.0.2"));
  const Wire wire(underlay_, "h1");
  EXPECT_TRUE(Ping(a_.space, "10.88.0.2", 1420));
  EXPECT_FALSE(Ping(a_.space, "10.88.0.2", 1421, kSilence));
  for (const std::string& frame : wire.Take()) EXPECT_LE(frame.size(), 1514u);
  EXPECT_TRUE(a_.IsMade());
}

// A is behind a router that hides it, and that lets in only answers.
TEST_F(FabricTest, AHostBehindANatIsReachedOnceItHasCalled) {
  FabricHost inside(3);
  NetNamespace router;
  Join(inside.space, "up0", "10.1.0.2/24", router, "in0", "10.1.0.1/24");
  inside.space.Ip({"route", "add", "default", "via", "10.1.0.1"});
  Join(router, "out0", Underlay(3) + "/24", underlay_, "h3", "");
  underlay_.Ip({"link", "set", "h3", "master", "br0"});
  router.Set("net/ipv4/ip_forward", "1");
  constexpr char kRouter[] = R"(
    table inet nat {
      chain post {
        type nat hook postrouting priority srcnat
        oifname "out0" masquerade random
      }
      chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname "in0" accept
      }
    }
  )";
  const auto ruled = router.In([&] { return RunChecked({"nft", "-f", "-"}, kRouter); });
  ASSERT_TRUE(ruled.ok()) << ruled.error().message();
  b_.fabric.peers = {inside.AsPeer("")};
  inside.fabric.peers = {b_.AsPeer(EndpointOf(2))};
  inside.fabric.is_behind_nat = true;

  b_.Make();
  EXPECT_FALSE(Ping(b_.space, "10.88.0.3", 100, kSilence)) << "nobody knows where it is";
  inside.Make();
  // Only B speaks: the call is the fabric's own.
  EXPECT_TRUE(PingUntilAnswered(b_.space, "10.88.0.3"));
  EXPECT_TRUE(Ping(inside.space, "10.88.0.2"));
  EXPECT_TRUE(b_.IsMade());
  EXPECT_TRUE(inside.IsMade());
  const auto seen = b_.space.In([&] { return b_.device->Look().value(); });
  ASSERT_EQ(seen->peers.size(), 1u);
  EXPECT_EQ(seen->peers[0].endpoint->ipv4(), A(Underlay(3)));
}

}  // namespace
}  // namespace strata::net
