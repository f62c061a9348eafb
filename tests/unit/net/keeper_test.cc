// vnetd's heart, in network namespaces of the test's own: what was asked for is made, what others
// change is mended, who takes over finds it so.
#include "net/keeper.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <deque>

#include "common/file_io.h"
#include "net/connections.h"
#include "net/message.h"
#include "tests/unit/net/test_host.h"

namespace strata::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kInstance[] = "ab123";
constexpr seconds kSoon(20);

Ipv4Prefix P(const std::string& text) { return Ipv4Prefix::Parse(text).value(); }

// What a keeper told its listener.
class Told {
 public:
  void Add(const NetworkKeeper::Event& event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
    added_.notify_all();
  }
  // Waits for an event that is such; those before it are forgotten.
  std::optional<NetworkKeeper::Event> Await(
      const std::function<bool(const NetworkKeeper::Event&)>& is_such) {
    std::unique_lock lock(mutex_);
    const auto until = std::chrono::steady_clock::now() + kSoon;
    while (true) {
      while (!events_.empty()) {
        NetworkKeeper::Event event = events_.front();
        events_.pop_front();
        if (is_such(event)) return event;
      }
      if (added_.wait_until(lock, until) == std::cv_status::timeout) return std::nullopt;
    }
  }
  std::optional<NetworkKeeper::Event> AwaitRepair(const std::string& of) {
    return Await([&](const NetworkKeeper::Event& event) {
      return event.repair && std::any_of(event.changes.begin(), event.changes.end(),
                                         [&](const std::string& change) {
                                           return change.find(of) != std::string::npos;
                                         });
    });
  }
  // Of those that nobody has waited for.
  size_t CountOf(const std::function<bool(const NetworkKeeper::Event&)>& is_such) {
    const std::lock_guard lock(mutex_);
    return static_cast<size_t>(std::count_if(events_.begin(), events_.end(), is_such));
  }

 private:
  std::mutex mutex_;
  std::condition_variable added_;
  std::deque<NetworkKeeper::Event> events_;
};

class KeeperTest : public ::testing::Test {
 protected:
  NetworkKeeper::Options OptionsOf(const std::string& file = "") {
    NetworkKeeper::Options options;
    options.instance = kInstance;
    options.run_dir = directory_.path() + "/run";
    options.file = file;
    options.every = milliseconds(every_ms_);
    options.gather = milliseconds(5);
    options.listener = [this](const NetworkKeeper::Event& event) { told_.Add(event); };
    return options;
  }
  Result<std::unique_ptr<NetworkKeeper>> Open(const std::string& file = "") {
    return space_.In([&] { return NetworkKeeper::Open(OptionsOf(file)); });
  }
  void Start() {
    auto keeper = Open();
    ASSERT_TRUE(keeper.ok()) << keeper.error().message();
    keeper_ = std::move(*keeper);
  }
  Status Put(const DesiredNetwork& desired) {
    return space_.In([&] { return keeper_->Put(desired); });
  }
  // One Vcluster that is on two hosts, and one that is on this alone.
  static DesiredNetwork Two() {
    DesiredNetwork desired{kInstance, P("10.90.0.0/16"), {}, {}};
    for (const uint32_t number : {1u, 2u}) {
      Bridge bridge = MakeBridge(kInstance, number, P("10.90." + std::to_string(number) + ".0/24"));
      desired.veths.push_back(MakeVeth(kInstance, number, 0, 0));
      desired.bridges.push_back(std::move(bridge));
    }
    Overlay& overlay = desired.bridges[0].overlay.emplace();
    overlay.vni = 1;
    overlay.local = Ipv4::Parse("127.0.0.1").value();
    RemoteNode& remote = overlay.remotes.emplace_back();
    remote.address = desired.bridges[0].prefix.Host(kFirstNodeHost + 1);
    remote.host = Ipv4::Parse("192.0.2.9").value();
    remote.mac = MacForNode(1, remote.address);
    return desired;
  }
  std::string Ran(const std::vector<std::string>& words) {
    const auto ran = space_.In([&] { return RunChecked(words); });
    EXPECT_TRUE(ran.ok()) << ran.error().message();
    return ran.ok() ? *ran : "";
  }
  static std::string B(uint32_t number) { return BridgeName(kInstance, number); }
  static std::string Tunnel() { return SiblingName(B(1), LinkKind::kTunnel); }

  NetNamespace space_;
  TemporaryDirectory directory_ =
      std::move(*TemporaryDirectory::Create("/var/tmp", "strata-keeper."));
  int every_ms_ = 3'600'000;  // So that only what it hears makes it look.
  Told told_;
  std::unique_ptr<NetworkKeeper> keeper_;
};

TEST_F(KeeperTest, WhatOthersChangeIsMendedAsSoonAsItIsHeardOf) {
  Start();
  ASSERT_TRUE(Put(Two()).ok());
  const std::vector<std::pair<std::vector<std::string>, std::string>> changes = {
      {{"ip", "link", "del", B(2)}, "+ bridge " + B(2)},
      {{"ip", "link", "set", B(2), "down"}, "~ bridge " + B(2)},
      {{"ip", "address", "del", "10.90.2.1/24", "dev", B(2)}, "+ address 10.90.2.1"},
      {{"ip", "link", "del", Tunnel()}, "+ tunnel " + Tunnel()},
      {{"ip", "link", "set", Tunnel(), "nomaster"}, "~ tunnel " + Tunnel()},
      {{"bridge", "fdb", "del", ToString(Two().bridges[0].overlay->remotes[0].mac), "dev", Tunnel(),
        "self"},
       "+ way to"},
      {{"ip", "neighbour", "flush", "dev", B(1), "nud", "permanent"}, "+ neighbour 10.90.1.3"},
      {{"ip", "link", "add", BridgeName(kInstance, 9), "type", "bridge"}, "- link"},
      {{"nft", "flush", "chain", "inet", TableName(kInstance), "forward"}, "~ rules"},
      {{"nft", "delete", "table", "inet", TableName(kInstance)}, "~ rules"},
      {{"nft", "flush", "ruleset"}, "~ rules"},
  };
  for (const auto& [words, mended] : changes) {
    Ran(words);
    EXPECT_TRUE(told_.AwaitRepair(mended).has_value())
        << words[0] << " " << words[1] << " " << words[2];
  }
  EXPECT_NE(Ran({"nft", "list", "tables"}).find(TableName(kInstance)), std::string::npos);
  EXPECT_GE(keeper_->Look().repairs, changes.size());
  EXPECT_FALSE(keeper_->Look().problem.has_value());
}

TEST_F(KeeperTest, WhatIsNotOursIsLeftAlone) {
  every_ms_ = 20;
  Start();
  ASSERT_TRUE(Put(Two()).ok());
  Ran({"ip", "link", "add", "br0", "type", "bridge"});
  Ran({"ip", "link", "add", BridgeName("ab124", 1), "type", "bridge"});
  Ran({"nft", "add", "table", "inet", "theirs"});
  const auto looks = [&] { return keeper_->Look().looks; };
  const uint64_t before = looks();
  const auto until = std::chrono::steady_clock::now() + kSoon;
  while (looks() < before + 3 && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  EXPECT_GE(looks(), before + 3);
  const std::string links = Ran({"ip", "-br", "link"});
  EXPECT_NE(links.find("br0"), std::string::npos);
  EXPECT_NE(links.find(BridgeName("ab124", 1)), std::string::npos);
  EXPECT_NE(Ran({"nft", "list", "tables"}).find("theirs"), std::string::npos);
  EXPECT_EQ(keeper_->Look().repairs, 0u);
}

TEST_F(KeeperTest, OthersRulesAreNoReasonToPutOursAnew) {
  Start();
  ASSERT_TRUE(Put(Two()).ok());
  const auto handle = [&] {  // "table inet NAME { # handle 3": made anew, it gets another.
    const std::string text = Ran({"nft", "-a", "list", "table", "inet", TableName(kInstance)});
    return text.substr(0, text.find('\n'));
  };
  const std::string first = handle();
  Ran({"nft", "add", "table", "inet", "theirs"});
  Ran({"nft", "add", "chain", "inet", "theirs", "c"});
  // A change that makes it look, after it has heard of theirs.
  Ran({"ip", "link", "set", B(2), "down"});
  ASSERT_TRUE(told_.AwaitRepair("~ bridge").has_value());
  EXPECT_EQ(handle(), first);
}

TEST_F(KeeperTest, ALinkOfANodeThatComesIsSetUpAndIsNoRepair) {
  Start();
  DesiredNetwork desired = Two();
  desired.veths[1].bits_per_s_max = 8'000'000;
  ASSERT_TRUE(Put(desired).ok());
  const std::string veth = desired.veths[1].name;
  Ran({"ip", "link", "add", veth, "type", "veth", "peer", "name", "eth7"});
  const auto event = told_.Await([&](const NetworkKeeper::Event& one) {
    return !one.changes.empty() && one.changes[0].find("rate of " + veth) != std::string::npos;
  });
  ASSERT_TRUE(event.has_value());
  EXPECT_FALSE(event->repair);
  EXPECT_NE(Ran({"tc", "qdisc", "show", "dev", veth}).find("tbf"), std::string::npos);
  // The same later is one.
  Ran({"tc", "qdisc", "del", "dev", veth, "root"});
  EXPECT_TRUE(told_.AwaitRepair("rate of " + veth).has_value());
}

TEST_F(KeeperTest, WhoTakesOverFindsAllAsItIsAndMendsWhatChangedMeanwhile) {
  Start();
  ASSERT_TRUE(Put(Two()).ok());
  const std::string before = Ran({"ip", "-o", "link"});
  keeper_.reset();
  Ran({"ip", "link", "del", B(2)});
  Start();
  EXPECT_TRUE(told_.AwaitRepair("+ bridge " + B(2)).has_value());
  const std::string after = Ran({"ip", "-o", "link"});
  // The one that was left alone is still the same link.
  const auto line = [&](const std::string& text) {
    const size_t at = text.find(B(1) + ":");
    return text.substr(text.rfind('\n', at) + 1, at - text.rfind('\n', at));
  };
  EXPECT_EQ(line(before), line(after));
  EXPECT_EQ(keeper_->Look().desired->bridges.size(), 2u);
}

TEST_F(KeeperTest, WithoutNetworksNothingOfOursIsLeft) {
  space_.Set("net/ipv4/ip_forward", "0");
  Start();
  ASSERT_TRUE(Put(Two()).ok());
  EXPECT_EQ(ReadFile(directory_.path() + "/run/ip_forward.was_off").value_or(""), "0\n");
  ASSERT_TRUE(Put({kInstance, P("10.90.0.0/16"), {}, {}}).ok());
  EXPECT_EQ(Ran({"ip", "-br", "link"}).find("s" + std::string(kInstance)), std::string::npos);
  EXPECT_EQ(Ran({"nft", "list", "tables"}), "");
  EXPECT_EQ(space_.In([] { return ReadFile("/proc/sys/net/ipv4/ip_forward"); }).value(), "0\n");
}

TEST_F(KeeperTest, OneKeeperPerRunDirectory) {
  Start();
  const auto second = Open();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(second.error().message().find("another process keeps the networks"), std::string::npos);
  keeper_.reset();
  EXPECT_TRUE(Open().ok());
}

TEST_F(KeeperTest, AnotherInstancesNetworksAreRefused) {
  Start();
  const Status put = Put({"ffff0", P("10.90.0.0/16"), {}, {}});
  ASSERT_FALSE(put.ok());
  EXPECT_NE(put.error().message().find("--state-dir"), std::string::npos);
}

TEST_F(KeeperTest, WhatCannotBeMeantIsRefusedAndChangesNothing) {
  Start();
  ASSERT_TRUE(Put(Two()).ok());
  DesiredNetwork wrong = Two();
  wrong.bridges[0].overlay->underlay_mtu = 600;
  EXPECT_EQ(Put(wrong).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(keeper_->Look().desired->bridges[0].overlay->underlay_mtu, 1500u);
  EXPECT_FALSE(keeper_->Look().problem.has_value());
}

TEST_F(KeeperTest, WhatCannotBeMadeIsSaidAndTriedAgain) {
  every_ms_ = 20;
  // A tunnel that is not ours has the VNI and the port.
  Ran({"ip", "link", "set", "lo", "up"});
  Ran({"ip", "link", "add", "theirs", "type", "vxlan", "id", "1", "local", "127.0.0.1", "dstport",
       "4789"});
  Ran({"ip", "link", "set", "theirs", "up"});
  Start();
  const Status put = Put(Two());
  ASSERT_FALSE(put.ok());
  EXPECT_NE(put.error().message().find("create tunnel"), std::string::npos);
  EXPECT_TRUE(keeper_->Look().problem.has_value());
  Ran({"ip", "link", "del", "theirs"});
  EXPECT_TRUE(told_
                  .Await([](const NetworkKeeper::Event& event) {
                    return event.problem.empty() &&
                           std::any_of(event.changes.begin(), event.changes.end(),
                                       [](const std::string& change) {
                                         return change.starts_with("+ tunnel");
                                       });
                  })
                  .has_value());
  EXPECT_FALSE(keeper_->Look().problem.has_value());
}

TEST_F(KeeperTest, AFileIsFollowedAndOneThatCannotBeMeantIsNot) {
  every_ms_ = 20;
  const std::string file = directory_.path() + "/networks.json";
  ASSERT_TRUE(WriteFileAtomically(file, FormatNetworks(Two())).ok());
  auto keeper = Open(file);
  ASSERT_TRUE(keeper.ok()) << keeper.error().message();
  keeper_ = std::move(*keeper);
  EXPECT_NE(Ran({"ip", "-br", "link"}).find(B(2)), std::string::npos);
  EXPECT_EQ(Put(Two()).error().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(WriteFileAtomically(file, "{ \"instance\": \"ab123\", \"nets\": 1 }").ok());
  const uint64_t before = keeper_->Look().looks;
  const auto until = std::chrono::steady_clock::now() + kSoon;
  while (keeper_->Look().looks < before + 2 && std::chrono::steady_clock::now() < until) {
    std::this_thread::yield();
  }
  EXPECT_EQ(keeper_->Look().desired->bridges.size(), 2u);
  EXPECT_NE(keeper_->Look().problem.value_or(Error(Code::kInternal, "none")).message().find(file),
            std::string::npos);
  DesiredNetwork one = Two();
  one.bridges.pop_back();
  one.veths.pop_back();
  ASSERT_TRUE(WriteFileAtomically(file, FormatNetworks(one)).ok());
  EXPECT_TRUE(told_
                  .Await([&](const NetworkKeeper::Event& event) {
                    return std::find(event.changes.begin(), event.changes.end(),
                                     "- link " + B(2)) != event.changes.end();
                  })
                  .has_value());
  EXPECT_FALSE(keeper_->Look().problem.has_value());
}

TEST_F(KeeperTest, AForwardThatEndsIsToldOfOnceItHasNoConnections) {
  every_ms_ = 20;
  Ran({"ip", "link", "set", "lo", "up"});
  Start();
  DesiredNetwork desired = Two();
  desired.bridges[1].forwards = {
      {Protocol::kUdp, 20053, desired.bridges[1].prefix.Host(kFirstNodeHost), 53}};
  ASSERT_TRUE(Put(desired).ok());
  space_.Set("net/netfilter/nf_conntrack_udp_timeout", "2");
  const UniqueFd sender =
      space_.In([] { return UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
  const sockaddr_in port = Address("127.0.0.1", 20053);
  ASSERT_EQ(
      ::sendto(sender.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&port), sizeof(port)), 1);
  Forward& forward = desired.bridges[1].forwards[0];
  forward.ending = true;
  ASSERT_TRUE(Put(desired).ok());
  const auto connections = [&] {
    return space_.In([&] { return CountConnections(forward); }).value();
  };
  EXPECT_EQ(connections(), 1u);
  const auto is_drained = [](const NetworkKeeper::Event& event) {
    return event.changes ==
           std::vector<std::string>{"= forward udp 20053 to 10.90.2.2:53 is drained"};
  };
  EXPECT_TRUE(told_.Await(is_drained).has_value());
  EXPECT_EQ(connections(), 0u);
  const uint64_t looks = keeper_->Look().looks;
  while (keeper_->Look().looks < looks + 3) std::this_thread::yield();
  EXPECT_EQ(told_.CountOf(is_drained), 0u) << "told of again";
}

TEST_F(KeeperTest, APlanSaysWhatWouldBeDoneAndDoesNothing) {
  Start();
  EXPECT_EQ(keeper_->Plan(std::nullopt).error().code(), Code::kFailedPrecondition);
  const auto plan = space_.In([&] { return keeper_->Plan(Two()); });
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_EQ(std::count_if(plan->changes.begin(), plan->changes.end(),
                          [](const std::string& change) { return change.starts_with("+ bridge"); }),
            2);
  EXPECT_TRUE(plan->new_rules);
  EXPECT_EQ(Ran({"ip", "-br", "link"}).find(B(1)), std::string::npos);
  ASSERT_TRUE(Put(Two()).ok());
  const auto none = space_.In([&] { return keeper_->Plan(std::nullopt); });
  EXPECT_TRUE(none->changes.empty());
  EXPECT_FALSE(none->new_rules);
}

}  // namespace
}  // namespace strata::net
