// vnetd's heart with a fabric: two hosts in namespaces, over a network that everybody may listen
// to.
#include <gtest/gtest.h>
#include <net/if.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <functional>

#include "net/fabric_doctor.h"
#include "net/keeper.h"
#include "net/secure/fabric_rules.h"
#include "tests/unit/net/secure/fabric_pair.h"

namespace strata::net {
namespace {

using std::chrono::seconds;

constexpr seconds kSoon(30);
constexpr uint32_t kCluster = 1;

// A host that a keeper looks after. Its fabric address is 10.88.0.NUMBER, its
// node's 10.90.1.(NUMBER
// + 1).
class KeptHost {
 public:
  explicit KeptHost(int number, const NetNamespace& underlay) : number_(number), names_(number) {
    const std::string port = "h" + std::to_string(number);
    Join(space(), "up0", Underlay(number) + "/24", underlay, port, "");
    underlay.Ip({"link", "set", port, "master", "br0"});
    space().Ip({"route", "add", "default", "via", kOutsider});
    Open();
    desired.instance = names_.fabric.instance;
    desired.pool = Ipv4Prefix::Parse("10.90.0.0/16").value();
    DesiredFabric& fabric = desired.fabric.emplace();
    fabric.prefix = names_.fabric.prefix;
    fabric.address = names_.fabric.address;
    Bridge bridge =
        MakeBridge(desired.instance, kCluster, Ipv4Prefix::Parse("10.90.1.0/24").value());
    Overlay& overlay = bridge.overlay.emplace();
    overlay.vni = kCluster;
    overlay.local = fabric.address;
    overlay.underlay_mtu = fabric.mtu();
    desired.bridges = {std::move(bridge)};
    desired.veths = {MakeVeth(desired.instance, kCluster, index(), 0)};
  }
  ~KeptHost() {
    desired.fabric.reset();
    desired.bridges.clear();
    desired.veths.clear();
    EXPECT_TRUE(Put().ok());
    Close();  // FabricHost sees that nothing is left.
  }

  void Open() {
    NetworkKeeper::Options options;
    options.instance = names_.fabric.instance;
    options.run_dir = names_.run_dir;
    options.state_dir = state_.path();
    options.gather = std::chrono::milliseconds(5);
    options.listener = [this](const NetworkKeeper::Event& event) {
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
      told_.notify_all();
    };
    auto opened = space().In([&] { return NetworkKeeper::Open(options); });
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    keeper = std::move(*opened);
  }
  void Close() { keeper.reset(); }
  Status Put() {
    return space().In([&] { return keeper->Put(desired); });
  }
  FabricView Look() {
    const auto view = space().In([&] { return keeper->LookAtFabric(); });
    EXPECT_TRUE(view.ok()) << view.error().message();
    return view.ok() ? *view : FabricView();
  }
  // Waits for a repair with a change that contains it.
  bool AwaitRepair(const std::string& change) {
    std::unique_lock lock(mutex_);
    return told_.wait_for(lock, kSoon, [&] {
      return std::any_of(events_.begin(), events_.end(), [&](const NetworkKeeper::Event& event) {
        return event.repair &&
               std::any_of(event.changes.begin(), event.changes.end(),
                           [&](const auto& one) { return one.find(change) != std::string::npos; });
      });
    });
  }
  std::vector<std::string> Changes() {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> changes;
    for (const auto& event : events_) {
      changes.insert(changes.end(), event.changes.begin(), event.changes.end());
    }
    events_.clear();
    return changes;
  }
  void Knows(const KeptHost& other, const PublicKey& key) {
    FabricMember peer;
    peer.host = "h" + std::to_string(other.number_);
    peer.address = other.desired.fabric->address;
    peer.key = key;
    peer.endpoint = Endpoint::Parse(EndpointOf(other.number_)).value();
    desired.fabric->peers = {peer};
    Overlay& overlay = *desired.bridges[0].overlay;
    const Ipv4 there = desired.bridges[0].prefix.Host(kFirstNodeHost + other.index());
    overlay.remotes = {{there, MacForNode(kCluster, there), peer.address}};
  }
  void AddNode() {
    const Bridge& bridge = desired.bridges[0];
    const Ipv4 address = bridge.prefix.Host(kFirstNodeHost + index());
    node.address = address.ToString();
    node.veth = desired.veths[0].name;
    Join(space(), node.veth, "", node.space, "eth0", node.address + "/24");
    node.space.Ip({"link", "set", "eth0", "address", ToString(MacForNode(kCluster, address))});
    node.space.Ip({"link", "set", "eth0", "mtu", std::to_string(bridge.mtu())});
    space().Ip({"link", "set", node.veth, "mtu", std::to_string(bridge.mtu())});
    space().Ip({"link", "set", node.veth, "master", bridge.name});
  }

  const NetNamespace& space() const { return names_.space; }
  uint32_t index() const { return static_cast<uint32_t>(number_ - 1); }
  std::vector<pid_t> Processes() const { return names_.Processes(); }
  bool HasLink() const { return names_.HasLink(); }

  DesiredNetwork desired;
  std::unique_ptr<NetworkKeeper> keeper;
  TestNode node;

 private:
  const int number_;
  FabricHost names_;  // Whose device is not used.
  TemporaryDirectory state_ =
      std::move(*TemporaryDirectory::Create("/var/tmp", "strata-fabric-keeper."));
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable told_;
  std::vector<NetworkKeeper::Event> events_;
};

class FabricKeeper : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* which : {"all", "default"}) {
      underlay_.Set(std::string("net/ipv6/conf/") + which + "/disable_ipv6", "1");
    }
    // One that looks after groups speaks to them itself.
    underlay_.Ip({"link", "add", "br0", "type", "bridge", "mcast_snooping", "0"});
    underlay_.Ip({"addr", "add", std::string(kOutsider) + "/24", "dev", "br0"});
    underlay_.Ip({"link", "set", "br0", "up"});
    a_ = std::make_unique<KeptHost>(1, underlay_);
    b_ = std::make_unique<KeptHost>(2, underlay_);
    a_->Knows(*b_, b_->Look().key);
    b_->Knows(*a_, a_->Look().key);
  }
  void PutBoth() {
    for (KeptHost* host : {a_.get(), b_.get()}) {
      const Status put = host->Put();
      ASSERT_TRUE(put.ok()) << put.error().message();
    }
  }
  void AddNodes() {
    a_->AddNode();
    b_->AddNode();
  }
  bool NodesTalk() { return PingUntilAnswered(a_->node.space, b_->node.address); }

  NetNamespace underlay_;
  std::unique_ptr<KeptHost> a_;
  std::unique_ptr<KeptHost> b_;
};

TEST_F(FabricKeeper, JoinsNodesAndNothingIsInPlain) {
  const Wire wire(underlay_, "h1");
  PutBoth();
  AddNodes();
  ASSERT_TRUE(NodesTalk());
  EXPECT_TRUE(Ping(a_->node.space, b_->node.address, 1390));
  EXPECT_FALSE(Ping(a_->node.space, b_->node.address, 1391, kSilence));
  SendMarker(a_->node.space, b_->node.address);
  EXPECT_TRUE(Ping(a_->node.space, b_->node.address));
  const auto frames = wire.Take();
  EXPECT_GT(frames.size(), 5u);
  EXPECT_TRUE(PlainOf(frames).empty());
  EXPECT_EQ(CountWith(frames, kMarker), 0u);
  const FabricView view = a_->Look();
  EXPECT_EQ(view.mtu, 1440u);
  ASSERT_EQ(view.peers.size(), 1u);
  EXPECT_NE(view.peers[0].last_handshake.count(), 0);
  EXPECT_GT(view.peers[0].received_bytes, 1000u);
  EXPECT_EQ(view.driver, IsKernelUnderTest() ? "wireguard" : view.driver);
}

TEST_F(FabricKeeper, TrafficGoesOnWithoutAKeeperAndTheNextOneFindsAllInPlace) {
  PutBoth();
  AddNodes();
  ASSERT_TRUE(NodesTalk());
  const auto processes = a_->Processes();
  a_->Close();
  EXPECT_TRUE(Ping(a_->node.space, b_->node.address));
  a_->Changes();
  a_->Open();
  EXPECT_FALSE(a_->keeper->Look().problem.has_value());
  for (const std::string& change : a_->Changes()) {
    // Rules of an earlier process are not known to be in force.
    EXPECT_NE(change.find("rules of"), std::string::npos) << change;
  }
  EXPECT_EQ(a_->Processes(), processes);
  EXPECT_TRUE(Ping(a_->node.space, b_->node.address));
}

TEST_F(FabricKeeper, WhatOthersBreakIsMended) {
  PutBoth();
  AddNodes();
  ASSERT_TRUE(NodesTalk());
  const std::string device = FabricName(a_->desired.instance);
  a_->space().Ip({"link", "del", device});
  EXPECT_TRUE(a_->AwaitRepair("+ fabric " + device));
  EXPECT_TRUE(NodesTalk());
  a_->space().In([&] {
    EXPECT_TRUE(
        RunChecked({"nft", "delete", "table", "inet", FabricTableName(a_->desired.instance)}).ok());
  });
  EXPECT_TRUE(a_->AwaitRepair("~ rules of fabric " + device));
}

TEST_F(FabricKeeper, AHostChangesItsKeyWhileOthersTakeBoth) {
  PutBoth();
  AddNodes();
  ASSERT_TRUE(NodesTalk());
  const PublicKey before = a_->Look().key;
  EXPECT_FALSE(a_->Look().next_key.has_value());
  a_->desired.fabric->follow_key = before;
  ASSERT_TRUE(a_->Put().ok());
  const auto next = a_->Look().next_key;
  ASSERT_TRUE(next.has_value());
  b_->desired.fabric->peers[0].next_key = next;
  ASSERT_TRUE(b_->Put().ok());
  EXPECT_TRUE(Ping(a_->node.space, b_->node.address));
  a_->desired.fabric->use_key = next;
  ASSERT_TRUE(a_->Put().ok());
  EXPECT_EQ(a_->Look().key, *next);
  EXPECT_FALSE(a_->Look().next_key.has_value()) << "follows a key that it does not use any more";
  EXPECT_TRUE(NodesTalk());
  EXPECT_TRUE(PingUntilAnswered(b_->node.space, a_->node.address));
  b_->Knows(*a_, *next);
  ASSERT_TRUE(b_->Put().ok());
  EXPECT_TRUE(NodesTalk());
}

TEST_F(FabricKeeper, WithoutWireGuardNothingGoesInPlainAndTheRestIsMade) {
  if (IsKernelUnderTest()) return;  // Which does not lack it.
  const std::string path = std::getenv("PATH");
  ASSERT_EQ(::setenv("PATH", "/nonexistent", 1), 0);
  const Status put = a_->Put();
  ASSERT_EQ(::setenv("PATH", path.c_str(), 1), 0);
  ASSERT_FALSE(put.ok());
  EXPECT_EQ(put.error().code(), Code::kUnsupported);
  EXPECT_NE(put.error().message().find("apt-get install wireguard-go"), std::string::npos);
  EXPECT_FALSE(a_->HasLink());
  a_->AddNode();
  const Wire wire(underlay_, "h1");
  SendMarker(a_->node.space, a_->desired.bridges[0].overlay->remotes[0].address.ToString());
  EXPECT_TRUE(Ping(a_->node.space, "10.90.1.1"));  // Its gateway; later than the marker.
  EXPECT_TRUE(PlainOf(wire.Take()).empty());
  ASSERT_TRUE(a_->Put().ok());
  EXPECT_TRUE(a_->HasLink());
}

TEST_F(FabricKeeper, WhatCannotBeIsRefused) {
  PutBoth();
  const auto refused = [&](Code code, const std::function<void(DesiredNetwork*)>& spoil) {
    const DesiredNetwork good = a_->desired;
    spoil(&a_->desired);
    const Status put = a_->Put();
    a_->desired = good;
    if (!put.ok() && put.error().code() != code) std::printf("%s\n", put.error().message().c_str());
    return !put.ok() && put.error().code() == code;
  };
  const Code invalid = Code::kInvalidArgument;
  EXPECT_TRUE(refused(invalid, [](DesiredNetwork* bad) { bad->pool = bad->fabric->prefix; }));
  EXPECT_TRUE(refused(invalid, [](DesiredNetwork* bad) { bad->fabric->address = A("10.88.0.9"); }));
  EXPECT_TRUE(
      refused(invalid, [](DesiredNetwork* bad) { bad->bridges[0].overlay->underlay_mtu = 1441; }));
  EXPECT_TRUE(refused(
      invalid, [](DesiredNetwork* bad) { bad->fabric->peers.push_back(bad->fabric->peers[0]); }));
  // The hosts' own network.
  EXPECT_TRUE(refused(Code::kFailedPrecondition, [](DesiredNetwork* bad) {
    bad->fabric->prefix = Ipv4Prefix::Parse("192.0.2.0/24").value();
    bad->fabric->address = A("192.0.2.77");
    bad->fabric->peers.clear();
    bad->bridges.clear();
    bad->veths.clear();
  }));
}

TEST_F(FabricKeeper, WithoutAFabricNothingOfItIsLeft) {
  PutBoth();
  EXPECT_TRUE(a_->HasLink());
  a_->desired.fabric.reset();
  a_->desired.bridges[0].overlay->local = A(Underlay(1));
  ASSERT_TRUE(a_->Put().ok());
  EXPECT_FALSE(a_->HasLink());
  EXPECT_TRUE(a_->Processes().empty());
  const auto tables = a_->space().In([] { return RunChecked({"nft", "list", "tables"}); });
  EXPECT_EQ(tables->find("stratafabric_"), std::string::npos);
}

TEST(FabricDoctor, SaysWhoDoesNotAnswerAndWho) {
  DesiredFabric fabric;
  fabric.is_behind_nat = true;
  FabricView view;
  view.device = "s1a2b3w";
  for (const int number : {2, 3, 4}) {
    FabricView::Peer& peer = view.peers.emplace_back();
    peer.host = "h" + std::to_string(number);
    peer.address = A("10.88.0." + std::to_string(number));
    peer.endpoint = Endpoint::Parse(EndpointOf(number)).value();
  }
  view.peers[1].last_handshake = seconds(1000);
  view.peers[2].unreachable = true;
  const auto found = ExamineFabric(fabric, view, {A("10.88.0.2")}, seconds(1200));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].level, Finding::Level::kProblem);
  EXPECT_NE(found[0].what.find("host h3 (10.88.0.3) was last heard in the fabric 200 s ago"),
            std::string::npos)
      << found[0].what;
  EXPECT_NE(found[0].remedy.find("192.0.2.3:51820"), std::string::npos);
  EXPECT_EQ(found[1].level, Finding::Level::kWarning);
  EXPECT_NE(found[1].what.find("both behind NATs"), std::string::npos);
  EXPECT_EQ(found[2].level, Finding::Level::kOk);
  EXPECT_NE(found[2].what.find("1 of 3"), std::string::npos);
}

}  // namespace
}  // namespace strata::net
