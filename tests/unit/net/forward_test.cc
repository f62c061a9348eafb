// Forwards with real traffic: a host with two Vclusters and a client beyond it, all namespaces.
#include <gtest/gtest.h>

#include "tests/unit/net/test_host.h"

namespace strata::net {
namespace {

constexpr char kHostAddress[] = "192.0.2.1";
constexpr char kClientAddress[] = "192.0.2.2";

class ForwardTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    Join(host_.space, "up0", std::string(kHostAddress) + "/24", client_, "eth0",
         std::string(kClientAddress) + "/24");
    host_.space.Set("net/bridge/bridge-nf-call-iptables", GetParam() ? "1" : "0");
    host_.AddBridge(1);
    host_.AddBridge(2);
    host_.Apply();
    a_ = host_.AddNode(1, 0);
    b_ = host_.AddNode(1, 1);
    c_ = host_.AddNode(2, 0);
    first().forwards = {{Protocol::kTcp, 20000, first().prefix.Host(2), 80},
                        {Protocol::kUdp, 20000, first().prefix.Host(2), 53}};
    host_.Apply();
    server_ = OpenServer(a_.space, Protocol::kTcp, 80);
  }

  Bridge& first() { return host_.desired.bridges[0]; }

  std::string Who(const NetNamespace& from, const std::string& address) {
    const auto sender = AskWho(from, Protocol::kTcp, address, 20000, server_);
    return sender.has_value() ? sender->ToString() : "nobody";
  }
  bool Reaches(const NetNamespace& from, const std::string& address, uint16_t port) {
    return AskWho(from, Protocol::kTcp, address, port, server_, kSilence).has_value();
  }

  TestHost host_;
  NetNamespace client_;
  TestNode a_;  // Forwarded to; of the first Vcluster, as b_.
  TestNode b_;
  TestNode c_;  // Of the second.
  UniqueFd server_;
};

TEST_P(ForwardTest, AnotherMachineReachesTheNodeAndIsKnownToIt) {
  EXPECT_EQ(Who(client_, kHostAddress), kClientAddress);
}

TEST_P(ForwardTest, TheHostReachesTheNodeThroughAllItsAddresses) {
  EXPECT_EQ(Who(host_.space, kHostAddress), kHostAddress);
  EXPECT_EQ(Who(host_.space, "10.90.1.1"), "10.90.1.1");
  EXPECT_EQ(Who(host_.space, "127.0.0.1"), "10.90.1.1");
}

TEST_P(ForwardTest, NodesReachItThroughTheHostWhereverTheyAre) {
  EXPECT_EQ(Who(c_.space, kHostAddress), "10.90.2.2");
  EXPECT_EQ(Who(c_.space, "10.90.2.1"), "10.90.2.2");
  EXPECT_EQ(Who(b_.space, kHostAddress), "10.90.1.1");
  EXPECT_EQ(Who(a_.space, kHostAddress), "10.90.1.1") << "the node itself";
}

TEST_P(ForwardTest, NothingElseIsLetThrough) {
  EXPECT_FALSE(Reaches(c_.space, "10.90.1.2", 80)) << "around the host's port";
  client_.Ip({"route", "add", "10.90.0.0/16", "via", kHostAddress});
  EXPECT_FALSE(Reaches(client_, "10.90.1.2", 80));
  EXPECT_FALSE(Reaches(client_, kHostAddress, 80));
  EXPECT_FALSE(Reaches(client_, kHostAddress, 20001));
  // What another has aimed at a node is not ours to let through.
  host_.space.In([&] {
    ASSERT_TRUE(RunChecked({"nft", "-f", "-"},
                           "table inet other { chain pre { type nat hook prerouting priority -90; "
                           "tcp dport 20001 dnat ip to 10.90.1.3:80; }; }")
                    .ok());
  });
  server_ = OpenServer(b_.space, Protocol::kTcp, 80);
  EXPECT_FALSE(Reaches(client_, kHostAddress, 20001));
}

TEST_P(ForwardTest, DatagramsAreForwardedByThePortOfTheirOwn) {
  server_ = OpenServer(a_.space, Protocol::kUdp, 53);
  EXPECT_EQ(AskWho(client_, Protocol::kUdp, kHostAddress, 20000, server_),
            Ipv4::Parse(kClientAddress).value());
  EXPECT_EQ(AskWho(host_.space, Protocol::kUdp, "127.0.0.1", 20000, server_),
            Ipv4::Parse("10.90.1.1").value());
}

TEST_P(ForwardTest, AForwardThatIsTakenAwayEndsItsConnections) {
  const UniqueFd connection = client_.In([&] {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in to = Address(kHostAddress, 20000);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
    return fd;
  });
  const UniqueFd served(::accept(server_.get(), nullptr, nullptr));
  SetPatience(served, kAnswer);
  char byte = '1';
  ASSERT_EQ(::send(connection.get(), &byte, 1, 0), 1);
  ASSERT_EQ(::recv(served.get(), &byte, 1, 0), 1);

  first().forwards.clear();
  host_.Apply();
  ASSERT_EQ(::send(connection.get(), &byte, 1, 0), 1);
  SetPatience(served, kSilence);
  EXPECT_EQ(::recv(served.get(), &byte, 1, 0), -1);
  EXPECT_FALSE(Reaches(client_, kHostAddress, 20000));
}

TEST_P(ForwardTest, ForwardsLeaveNothingToDoAndAreTakenBackWhole) {
  EXPECT_TRUE(IsDone(host_.Plan()));
  first().forwards.clear();
  EXPECT_EQ(host_.Plan().set_bridges.size(), 1u);
  EXPECT_EQ(host_.Plan().set_ports.size(), 2u) << "both nodes of the bridge";
  host_.Apply();
  EXPECT_TRUE(IsDone(host_.Plan()));
  const std::string setting = "/proc/sys/net/ipv4/conf/" + first().name + "/route_localnet";
  EXPECT_EQ(host_.space.In([&] { return ReadFile(setting, 8).value(); }), "0\n");
}

// Forwards let answers to 127.0.0.1 in from bridges: nothing else may come that way.
TEST_P(ForwardTest, ANodeCannotSpeakToOrForTheLoopbackOfTheHost) {
  const NetNamespace& node = a_.space;
  node.Ip({"addr", "flush", "dev", "lo"});
  node.Ip({"addr", "add", "127.0.0.2/32", "dev", "eth0"});
  node.Ip({"route", "add", "127.0.0.1/32", "via", "10.90.1.1"});
  node.Set("net/ipv4/conf/all/route_localnet", "1");
  server_ = OpenServer(host_.space, Protocol::kUdp, 700, "127.0.0.1");
  EXPECT_FALSE(AskWho(node, Protocol::kUdp, "127.0.0.1", 700, server_, kSilence).has_value());

  // Not even in the middle of a conversation of the host's own.
  const sockaddr_in to = Address("127.0.0.1", 700);
  const auto speak = [&](const NetNamespace& where) {
    const UniqueFd speaker = OpenServer(where, Protocol::kUdp, 701, "127.0.0.2");
    char byte = '!';
    EXPECT_EQ(
        ::sendto(speaker.get(), &byte, 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)),
        1);
    SetPatience(server_, &where == &node ? kSilence : kAnswer);
    sockaddr_in sender = {};
    socklen_t size = sizeof(sender);
    if (::recvfrom(server_.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&sender), &size) != 1) {
      return false;
    }
    return ::sendto(server_.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&sender), size) == 1;
  };
  EXPECT_TRUE(speak(host_.space));
  EXPECT_FALSE(speak(node));
}

INSTANTIATE_TEST_SUITE_P(, ForwardTest, ::testing::Bool(), [](const auto& bridged) {
  return bridged.param ? "BridgedFramesInRules" : "BridgedFramesPast";
});

}  // namespace
}  // namespace strata::net
