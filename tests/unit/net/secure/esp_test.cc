// Two hosts with a fabric by ESP. The kernel of a development machine may have none: tests/vm/run
// runs it on one that has.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/ipsec_policies.h"
#include "tests/unit/net/secure/fabric_pair.h"

namespace strata::net {
namespace {

class EspTest : public FabricPair {
 protected:
  void SetUp() override {
    FabricPair::SetUp();
    for (FabricHost* host : {&a_, &b_}) {
      host->fabric.kind = FabricKind::kEsp;
      host->fabric.endpoint = Endpoint::Parse(EndpointOf(host == &a_ ? 1 : 2)).value();
    }
  }

  static PublicKey SessionOf(FabricHost* host) {
    return host->space.In([&] { return host->device->Session().value(); });
  }
  // What the two know of each other's session.
  void Tell() {
    a_.fabric.peers[0].session = SessionOf(&b_);
    b_.fabric.peers[0].session = SessionOf(&a_);
  }
  void MakeBoth() {
    Tell();
    MakeFabrics();
  }
  // Lines of `ip xfrm WHAT` of a host.
  size_t CountXfrm(const FabricHost& host, const std::string& what) {
    const auto listed = host.space.In([&] { return RunChecked({"ip", "xfrm", what}); });
    EXPECT_TRUE(listed.ok()) << listed.error().message();
    size_t count = 0;
    for (size_t at = listed->find("src "); at != std::string::npos;
         at = listed->find("\nsrc ", at + 1)) {
      ++count;
    }
    return count;
  }
  void TearDown() override {
    for (FabricHost* host : {&a_, &b_}) {
      ASSERT_TRUE(host->space.In([&] { return host->device->Make(std::nullopt); }).ok());
      EXPECT_EQ(CountXfrm(*host, "state"), 0u);
      EXPECT_EQ(CountXfrm(*host, "policy"), 0u);
    }
  }
};

TEST_F(EspTest, OnlyEspIsOnTheUnderlayWhileNodesTalk) {
  const Wire wire(underlay_, "h1");
  EXPECT_FALSE(a_.space.In([] { return HasIpsecPolicies(); }).value());
  MakeBoth();
  EXPECT_TRUE(a_.space.In([] { return HasIpsecPolicies(); }).value());
  MakeOverlay();
  EXPECT_TRUE(Ping(nodes_[0].space, nodes_[1].address));
  const uint32_t mtu = 1500 - 60 - 50;
  EXPECT_TRUE(Ping(nodes_[0].space, nodes_[1].address, mtu));
  EXPECT_TRUE(Ping(nodes_[1].space, nodes_[0].address, mtu));
  EXPECT_TRUE(Transfer(nodes_[0], nodes_[1], 1 << 20));
  EXPECT_TRUE(Transfer(nodes_[1], nodes_[0], 1 << 20));
  SendMarker(nodes_[0].space, nodes_[1].address);
  EXPECT_TRUE(Ping(nodes_[0].space, nodes_[1].address));
  const std::vector<std::string> frames = wire.Take();
  EXPECT_GT(frames.size(), 100u);
  EXPECT_THAT(PlainOf(frames, FabricKind::kEsp), ::testing::IsEmpty());
  EXPECT_EQ(CountWith(frames, kMarker), 0u);
  for (const std::string& frame : frames) EXPECT_LE(frame.size(), 1514u) << "cut into pieces";
}

TEST_F(EspTest, AWrongKeyGetsNothingThrough) {
  b_.fabric.key = SecretKey::GeneratePrivate().value();
  MakeBoth();
  EXPECT_FALSE(Ping(a_.space, "10.88.0.2", 100, kSilence));
  EXPECT_FALSE(Ping(b_.space, "10.88.0.1", 100, kSilence));
  a_.fabric.peers[0].key = b_.fabric.key.Public().value();
  a_.Make();
  Tell();
  b_.Make();
  EXPECT_TRUE(Ping(a_.space, "10.88.0.2"));
}

TEST_F(EspTest, AMakeLeavesNothingToDoAndMendsWhatOthersBrokeWithANewSession) {
  MakeBoth();
  EXPECT_TRUE(a_.IsMade());
  ASSERT_TRUE(Ping(a_.space, "10.88.0.2"));
  const std::string device = a_.fabric.device();
  struct Breakage {
    std::vector<std::string> argv;
    bool ends_session;  // Counters would begin anew.
  };
  const std::vector<Breakage> breakages = {
      {{"ip", "xfrm", "policy", "flush"}, false},
      {{"ip", "xfrm", "state", "flush"}, true},
      {{"ip", "link", "del", device}, false},
      {{"ip", "link", "set", device, "down"}, false},
      {{"ip", "addr", "del", "10.88.0.1/16", "dev", device}, false},
  };
  for (const Breakage& breakage : breakages) {
    const std::string what = ::testing::PrintToString(breakage.argv);
    const PublicKey before = SessionOf(&a_);
    const auto done = a_.space.In([&] { return RunChecked(breakage.argv); });
    EXPECT_TRUE(done.ok()) << done.error().message();
    EXPECT_FALSE(a_.IsMade()) << what;
    a_.Make();
    EXPECT_TRUE(a_.IsMade()) << what;
    EXPECT_EQ(SessionOf(&a_) != before, breakage.ends_session) << what;
    Tell();
    b_.Make();
    EXPECT_TRUE(Ping(a_.space, "10.88.0.2")) << what;
    EXPECT_TRUE(Ping(b_.space, "10.88.0.1")) << what;
  }
}

TEST_F(EspTest, ANewSessionCostsOnlyWhatIsSentBeforeItIsTold) {
  MakeBoth();
  ASSERT_TRUE(Ping(a_.space, "10.88.0.2"));
  ASSERT_TRUE(a_.device->RenewSession().ok());
  a_.Make();
  EXPECT_FALSE(Ping(a_.space, "10.88.0.2", 100, kSilence));
  // What B sends is understood all the time.
  const UniqueFd server = OpenServer(a_.space, Protocol::kUdp, 6000, "10.88.0.1");
  SetPatience(server, kAnswer);
  char byte;
  SendMarker(b_.space, "10.88.0.1", 6000);
  EXPECT_EQ(::recv(server.get(), &byte, 1, 0), 1);
  Tell();
  b_.Make();
  EXPECT_TRUE(Ping(a_.space, "10.88.0.2"));
  EXPECT_TRUE(a_.IsMade());
  EXPECT_TRUE(b_.IsMade());
}

TEST_F(EspTest, AFabricOutlivesWhatMadeItAndIsTakenOver) {
  MakeBoth();
  ASSERT_TRUE(Ping(a_.space, "10.88.0.2"));
  const PublicKey session = SessionOf(&a_);
  a_.device = a_.NewDevice();
  EXPECT_EQ(a_.Make().size(), 1u) << "its rules, of which it does not know";
  EXPECT_EQ(SessionOf(&a_), session);
  EXPECT_TRUE(a_.IsMade());
  EXPECT_TRUE(Ping(a_.space, "10.88.0.2"));
  // When associations went meanwhile, they do not begin anew.
  a_.device = a_.NewDevice();
  a_.space.Ip({"xfrm", "state", "flush"});
  a_.Make();
  EXPECT_NE(SessionOf(&a_), session);
}

TEST_F(EspTest, AHostThatHasNoAddressOfThePeerIsNoPeer) {
  MakeBoth();
  // B may send with its own address only.
  b_.space.Ip({"addr", "add", "10.88.0.9/32", "dev", b_.fabric.device()});
  const UniqueFd server = OpenServer(a_.space, Protocol::kUdp, 6000, "10.88.0.1");
  SetPatience(server, kSilence);
  char byte;
  const UniqueFd socket = OpenServer(b_.space, Protocol::kUdp, 7000, "10.88.0.9");
  const sockaddr_in to = Address("10.88.0.1", 6000);
  (void)::sendto(socket.get(), kMarker, sizeof(kMarker), 0, reinterpret_cast<const sockaddr*>(&to),
                 sizeof(to));
  EXPECT_EQ(::recv(server.get(), &byte, 1, 0), -1);
  SendMarker(b_.space, "10.88.0.1", 6000);
  SetPatience(server, kAnswer);
  EXPECT_EQ(::recv(server.get(), &byte, 1, 0), 1);
}

TEST_F(EspTest, AStreamArrivesWholeAndIsMeasured) {
  MakeBoth();
  MakeOverlay();
  const double fabric = StreamMbits(a_.space, b_.space, "10.88.0.2", 8 << 20);
  const double secure = StreamMbits(nodes_[0].space, nodes_[1].space, nodes_[1].address, 8 << 20);
  std::printf("Mbit/s: %.0f in the fabric, %.0f in an overlay over it\n", fabric, secure);
  EXPECT_GT(fabric, 0);
  EXPECT_GT(secure, 0);
}

}  // namespace
}  // namespace strata::net
