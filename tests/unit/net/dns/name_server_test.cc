// Nodes that ask their gateway for names: the program vnet-names, as vnetd starts it, in a host of
// the test's own.
#include "net/dns/name_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "common/subprocess.h"
#include "net/dns/tcp_clients.h"
#include "net/doctor.h"
#include "net/host_network.h"
#include "net/rule_counters.h"
#include "tests/unit/net/dns/asking.h"
#include "tests/unit/net/test_host.h"

namespace strata::net {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kGateway[] = "10.90.1.1";
constexpr char kResolver[] = "192.0.2.53";

IpAddress A(const std::string& text) { return IpAddress::Parse(text).value(); }

// The processes that are children of this one, or were of one that ended before.
std::vector<pid_t> NameServersOf(const std::string& run_dir) {
  std::vector<pid_t> pids;
  const auto found = Run({"pgrep", "-f", "vnet-names " + run_dir + "/"});
  if (!found.ok()) return pids;
  for (size_t at = 0; at < found->out.size(); at = found->out.find('\n', at) + 1) {
    pids.push_back(static_cast<pid_t>(std::atoi(found->out.c_str() + at)));
    if (found->out.find('\n', at) == std::string::npos) break;
  }
  return pids;
}

class NameServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Join(host_.space, "up0", "192.0.2.1/24", outside_, "out0", std::string(kResolver) + "/24");
    for (const uint32_t network : {1u, 2u}) {
      Bridge& bridge = host_.AddBridge(network);
      bridge.names = {network == 1 ? "hpc" : "other",
                      {{"web-0", {A(Prefix(network) + "2")}},
                       {"web", {A(Prefix(network) + "2"), A(Prefix(network) + "3")}}}};
    }
    host_.desired.resolvers = {A(kResolver)};
    Open();
    Make();
    alice_.emplace(host_.AddNode(1, 0));
    bob_.emplace(host_.AddNode(2, 0));
    Make();
  }
  void TearDown() override {
    host_.desired.bridges.clear();
    host_.desired.veths.clear();
    Make();
    const auto until = std::chrono::steady_clock::now() + kAnswer;
    while (!NameServersOf(directory_.path()).empty() && std::chrono::steady_clock::now() < until) {
    }
    EXPECT_THAT(NameServersOf(directory_.path()), IsEmpty());
  }

  static std::string Prefix(uint32_t network) { return "10.90." + std::to_string(network) + "."; }
  // As vnetd does when it starts.
  void Open() {
    network_.reset();
    HostNetwork::Options options;
    options.instance = TestHost::kInstance;
    options.run_dir = directory_.path();
    options.names_program = program_;
    auto network = host_.space.In([&] { return HostNetwork::Open(options); });
    CHECK(network.ok());
    network_ = std::move(*network);
  }
  void Make() {
    const auto made = host_.space.In([&] { return network_->Make(host_.desired, [] {}); });
    ASSERT_TRUE(made.ok()) << made.error().message();
  }
  Said Ask(const std::string& name, uint16_t type = kTypeA, Protocol protocol = Protocol::kUdp) {
    return AskName(alice_->space, kGateway, name, type, protocol);
  }
  std::string Problem() const {
    const auto problem = network_->names().problem();
    return problem ? problem->message() : "";
  }
  NameCounts Counts() { return network_->names().Count().value_or(NameCounts()); }

  TemporaryDirectory directory_ =
      std::move(*TemporaryDirectory::Create("/var/tmp", "strata-names."));
  std::string program_ = NamesProgram();
  TestHost host_;
  NetNamespace outside_;
  std::unique_ptr<HostNetwork> network_;
  std::optional<TestNode> alice_;  // Of network 1.
  std::optional<TestNode> bob_;    // Of network 2.
};

TEST_F(NameServerTest, ANodeIsToldOfItsOwnNetworkByBothProtocols) {
  for (const Protocol protocol : {Protocol::kUdp, Protocol::kTcp}) {
    EXPECT_THAT(Ask("web-0", kTypeA, protocol).data, ElementsAre("10.90.1.2"));
    EXPECT_THAT(Ask("web.hpc", kTypeA, protocol).data,
                UnorderedElementsAre("10.90.1.2", "10.90.1.3"));
    EXPECT_THAT(Ask("2.1.90.10.in-addr.arpa", kTypePtr, protocol).data, ElementsAre("web-0.hpc."));
  }
  EXPECT_THAT(AskName(bob_->space, "10.90.2.1", "web-0").data, ElementsAre("10.90.2.2"));
  EXPECT_EQ(Problem(), "");
}

TEST_F(NameServerTest, AnotherNetworksGatewayIsNotReached) {
  for (const Protocol protocol : {Protocol::kUdp, Protocol::kTcp}) {
    for (const char* address : {"10.90.2.1", "192.0.2.1"}) {
      EXPECT_EQ(AskName(alice_->space, address, "web-0", kTypeA, protocol, kSilence).rcode, -1);
    }
    EXPECT_EQ(AskName(outside_, "192.0.2.1", "web-0", kTypeA, protocol, kSilence).rcode, -1);
  }
  outside_.Ip({"route", "add", "10.90.0.0/16", "via", "192.0.2.1"});
  EXPECT_EQ(AskName(outside_, kGateway, "web-0", kTypeA, Protocol::kUdp, kSilence).rcode, -1);
}

TEST_F(NameServerTest, OthersNamesAreAskedOfTheHostsResolver) {
  TestResolver resolver(outside_, kResolver);
  EXPECT_THAT(Ask("www.example.org").data, ElementsAre("198.51.100.7"));
  EXPECT_THAT(Ask("www.example.org", kTypeA, Protocol::kTcp).data, ElementsAre("198.51.100.8"));
  EXPECT_TRUE(Ask("many").cut);
  EXPECT_EQ(resolver.asked(), 3);
  EXPECT_EQ(Counts().passed_on, 3u);
  Ask("web-0");
  EXPECT_EQ(Ask("9.1.90.10.in-addr.arpa", kTypePtr).rcode, 3);
  EXPECT_EQ(Ask("2.2.90.10.in-addr.arpa", kTypePtr).rcode, 3);
  EXPECT_EQ(resolver.asked(), 3) << "somebody was asked for what is known here";
  host_.desired.resolvers = {A("192.0.2.99"), A(kResolver)};  // The first one is nobody.
  Make();
  EXPECT_THAT(AskName(alice_->space, kGateway, "a.b", kTypeA, Protocol::kUdp, 3 * kAnswer).data,
              ElementsAre("198.51.100.7"));
}

TEST_F(NameServerTest, AResolverThatIsNotThereIsAFailureAtOnce) {
  EXPECT_EQ(Ask("www.example.org").rcode, 2);
  EXPECT_EQ(Counts().failed, 1u);
}

TEST_F(NameServerTest, ManyThatWaitForASilentResolverKeepNobodyElseWaiting) {
  TestResolver resolver(outside_, kResolver);
  resolver.BeSilent(true);
  const size_t many = 2 * Answerer::kPendingOfNodeMax;  // There is room for them in a socket.
  const UniqueFd fd =
      alice_->space.In([] { return UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
  const sockaddr_in to = Address(kGateway, 53);
  ASSERT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  Query query;
  query.question = {"x", std::string("\1x\0", 3), kTypeA, kClassIn};
  for (size_t i = 0; i < many; ++i) {
    const std::string bytes = MakeQuestion(query, static_cast<uint16_t>(i));
    ASSERT_EQ(::send(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  EXPECT_THAT(AskName(alice_->space, kGateway, "web-0").data, ElementsAre("10.90.1.2"));
  EXPECT_THAT(AskName(bob_->space, "10.90.2.1", "web-0").data, ElementsAre("10.90.2.2"));
  EXPECT_EQ(Counts().over_limit, many - Answerer::kPendingOfNodeMax);
  resolver.BeSilent(false);
  EXPECT_THAT(AskName(bob_->space, "10.90.2.1", "x.y").data, ElementsAre("198.51.100.7"));
}

TEST_F(NameServerTest, ConnectionsThatSayNothingAreHeldForSoManyOnly) {
  std::vector<UniqueFd> idle;
  for (size_t i = 0; i < 3 * TcpClients::kOfNodeMax; ++i) {
    idle.push_back(alice_->space.In(
        [] { return UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }));
    const sockaddr_in to = Address(kGateway, 53);
    (void)::connect(idle.back().get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to));
  }
  EXPECT_EQ(Ask("web-0", kTypeA, Protocol::kTcp).rcode, -1);
  EXPECT_EQ(Ask("web-0").rcode, 0);
  EXPECT_EQ(AskName(bob_->space, "10.90.2.1", "web-0", kTypeA, Protocol::kTcp).rcode, 0);
  idle.clear();
  const auto until = std::chrono::steady_clock::now() + kAnswer;
  while (Ask("web-0", kTypeA, Protocol::kTcp).rcode != 0 &&
         std::chrono::steady_clock::now() < until) {
  }
  EXPECT_EQ(Ask("web-0", kTypeA, Protocol::kTcp).rcode, 0);
}

TEST_F(NameServerTest, NamesChangeWithoutTheProcessBeingAnother) {
  const auto before = NameServersOf(directory_.path());
  ASSERT_EQ(before.size(), 1u);
  host_.desired.bridges[0].names.names.push_back({"db", {A("10.90.1.9")}});
  host_.desired.bridges[1].names = {};
  Make();
  EXPECT_THAT(Ask("db").data, ElementsAre("10.90.1.9"));
  EXPECT_EQ(AskName(bob_->space, "10.90.2.1", "web-0", kTypeA, Protocol::kUdp, kSilence).rcode, -1);
  EXPECT_EQ(NameServersOf(directory_.path()), before);
}

TEST_F(NameServerTest, WhoTakesOverFindsItAndNamesGoOnMeanwhile) {
  const auto before = NameServersOf(directory_.path());
  network_.reset();  // As when vnetd is killed.
  EXPECT_THAT(Ask("web-0").data, ElementsAre("10.90.1.2"));
  Open();
  Make();
  EXPECT_EQ(NameServersOf(directory_.path()), before);
  host_.desired.bridges[0].names.names[0].addresses = {A("10.90.1.7")};
  Make();
  EXPECT_THAT(Ask("web-0").data, ElementsAre("10.90.1.7"));
}

TEST_F(NameServerTest, WhoTakesOverAndServesNoNamesEndsIt) {
  program_.clear();
  Open();
  Make();
  EXPECT_EQ(AskName(alice_->space, kGateway, "web-0", kTypeA, Protocol::kUdp, kSilence).rcode, -1);
  const auto until = std::chrono::steady_clock::now() + kAnswer;
  while (!NameServersOf(directory_.path()).empty() && std::chrono::steady_clock::now() < until) {
  }
  EXPECT_THAT(NameServersOf(directory_.path()), IsEmpty());
}

TEST_F(NameServerTest, OneThatIsKilledIsStartedAgain) {
  const auto before = NameServersOf(directory_.path());
  ASSERT_EQ(before.size(), 1u);
  ASSERT_GE(network_->names().descriptor(), 0);
  ::kill(before[0], SIGKILL);
  pollfd gone = {network_->names().descriptor(), POLLRDHUP, 0};
  ASSERT_TRUE(gone.fd < 0 || ::poll(&gone, 1, static_cast<int>(kAnswer.count())) == 1);
  EXPECT_EQ(network_->names().descriptor(), -1);
  EXPECT_EQ(Ask("web-0").rcode, -1) << "a dead one answers";
  const auto until =
      std::chrono::steady_clock::now() + kAnswer;  // Not more often than each second.
  do {
    Make();
  } while (Problem() != "" && std::chrono::steady_clock::now() < until);
  EXPECT_THAT(Ask("web-0").data, ElementsAre("10.90.1.2"));
  EXPECT_NE(NameServersOf(directory_.path()), before);
}

TEST_F(NameServerTest, ABridgeThatIsMadeAnewIsAskedAgain) {
  host_.space.Ip({"link", "del", BridgeName(TestHost::kInstance, 1)});
  Make();
  host_.space.Ip({"link", "set", alice_->veth, "master", BridgeName(TestHost::kInstance, 1)});
  EXPECT_THAT(Ask("web-0").data, ElementsAre("10.90.1.2"));
}

TEST_F(NameServerTest, WhereAnotherProgramHasThePortNobodyIsLetToItAndAllElseGoesOn) {
  host_.desired.bridges.erase(host_.desired.bridges.begin());
  host_.desired.bridges[0].names = {};
  Make();
  UniqueFd others = OpenServer(host_.space, Protocol::kUdp, 53);
  host_.desired.bridges[0].names.names = {{"a", {A("10.90.2.2")}}};
  Make();
  EXPECT_THAT(Problem(), HasSubstr("Address already in use"));
  EXPECT_EQ(AskWho(bob_->space, Protocol::kUdp, "10.90.2.1", 53, others, kSilence), std::nullopt);
  const auto findings = ExamineNames(host_.desired, network_->names().problem());
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_THAT(findings[0].remedy, HasSubstr("port 53"));
  others.reset();
  Make();
  EXPECT_EQ(Problem(), "");
  EXPECT_THAT(AskName(bob_->space, "10.90.2.1", "a").data, ElementsAre("10.90.2.2"));
}

TEST_F(NameServerTest, ANodeThatFloodsDoesNotKeepOthersWaiting) {
  const UniqueFd flood =
      alice_->space.In([] { return UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
  const sockaddr_in to = Address(kGateway, 53);
  ASSERT_EQ(::connect(flood.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  const std::string junk(100, 'j');
  std::atomic<bool> stop = false;
  std::atomic<int> sent = 0;
  std::thread flooder([&] {
    while (!stop) {
      if (::send(flood.get(), junk.data(), junk.size(), MSG_DONTWAIT) > 0) ++sent;
    }
  });
  milliseconds slowest(0);
  constexpr int kFlood = 20'000;  // Far above what rules let through at once.
  for (int i = 0; i < 100 || sent < kFlood; ++i) {
    const auto start = std::chrono::steady_clock::now();
    // What fills the queue of a CPU has the kernel lose others' packets too; resolvers ask again.
    int rcode = -1;
    for (int tries = 0; rcode != 0 && tries < 5; ++tries) {
      rcode = AskName(bob_->space, "10.90.2.1", "web-0", kTypeA, Protocol::kUdp, kSilence).rcode;
    }
    EXPECT_EQ(rcode, 0);
    slowest = std::max(slowest, std::chrono::duration_cast<milliseconds>(
                                    std::chrono::steady_clock::now() - start));
  }
  stop = true;
  flooder.join();
  const auto counters = host_.space.In([] { return ReadCounters(TestHost::kInstance); });
  ASSERT_TRUE(counters.ok());
  EXPECT_TRUE(std::any_of(counters->begin(), counters->end(), [](const RuleCounter& counter) {
    return counter.name == "names_flood" && counter.packets > 0;
  }));
  EXPECT_LT(slowest, milliseconds(1500)) << "longer than a node's resolver waits";
}

TEST_F(NameServerTest, TheProgramMayDoNothingElse) {
  const auto pids = NameServersOf(directory_.path());
  ASSERT_EQ(pids.size(), 1u);
  const auto status = ReadFile("/proc/" + std::to_string(pids[0]) + "/status").value();
  for (const char* line :
       {"Uid:\t65534\t65534\t65534\t65534\n", "CapEff:\t0000000000000000\n",
        "CapPrm:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n", "Groups:\t \n"}) {
    EXPECT_THAT(status, HasSubstr(line));
  }
}

}  // namespace
}  // namespace strata::net
