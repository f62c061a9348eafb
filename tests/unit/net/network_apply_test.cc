// In a network namespace of the test's own: nothing of the host is touched.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/select.h>

#include <algorithm>

#include "common/file_io.h"
#include "common/subprocess.h"
#include "net/apply.h"
#include "net/forwarding.h"
#include "net/nft.h"

namespace strata::net {
namespace {

class NetworkApplyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "needs root";
    desired_ = {"ab123", Ipv4Prefix::Parse("10.90.0.0/16").value(), {}, {}};
    desired_.bridges = {{BridgeName("ab123", 1), Ipv4Prefix::Parse("10.90.1.0/24").value()}};
  }
  void Apply() {
    const auto links = ObserveLinks();
    ASSERT_TRUE(links.ok()) << links.error().message();
    const auto plan = MakePlan(desired_, *links);
    ASSERT_TRUE(plan.ok()) << plan.error().message();
    const auto applied = ApplyPlan(*plan, &rules_);
    ASSERT_TRUE(applied.ok()) << applied.error().message();
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    const auto links = ObserveLinks();
    for (const ObservedLink& link : *links) names.push_back(link.name);
    return names;
  }
  bool HasLink(const std::string& name) {
    const auto names = Names();
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  DesiredNetwork desired_;
  RulesInForce rules_;
};

TEST_F(NetworkApplyTest, AfterAnApplyNothingIsLeftToDo) {
  Apply();
  const auto links = ObserveLinks();
  const NetworkPlan plan = MakePlan(desired_, *links).value();
  EXPECT_TRUE(plan.create_bridges.empty());
  EXPECT_TRUE(plan.address_bridges.empty());
  EXPECT_TRUE(plan.set_bridges.empty());
  Apply();  // And doing it again is fine.
  EXPECT_NE(RunChecked({"nft", "list", "tables"})->find("strata_ab123"), std::string::npos);
}

TEST_F(NetworkApplyTest, RulesThatAreInForceAreLeftAloneUntilAnyoneChangesSome) {
  Apply();
  const auto list = [] {
    return RunChecked({"nft", "-a", "list", "table", "inet", TableName("ab123")}).value();
  };
  const auto handle = [&] {  // "table inet NAME { # handle 3": made anew, it gets another.
    const std::string text = list();
    return text.substr(0, text.find('\n'));
  };
  const std::string first = handle();
  Apply();
  EXPECT_EQ(handle(), first);
  ASSERT_TRUE(RunChecked({"nft", "flush", "chain", "inet", TableName("ab123"), "input"}).ok());
  Apply();
  const std::string second = handle();
  EXPECT_NE(second, first);
  desired_.bridges.push_back({BridgeName("ab123", 2), Ipv4Prefix::Parse("10.90.2.0/24").value()});
  Apply();
  EXPECT_EQ(handle(), second) << "only what differs is changed";
  EXPECT_NE(list().find("10.90.2.0/24"), std::string::npos);
}

TEST_F(NetworkApplyTest, ARunOfNftThatFailsSaysWhyAndChangesNothing) {
  Nft nft;
  ASSERT_TRUE(nft.Run("add table inet one").ok());
  const auto before = nft.Generation();
  const auto failed = nft.Run("add table inet two\nadd chain inet three four\n");
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message().find("No such file or directory"), std::string::npos)
      << failed.error().message();
  EXPECT_FALSE(nft.Run("this is no command").ok());
  EXPECT_EQ(nft.Generation().value(), before.value());
  EXPECT_EQ(nft.Run("list tables").value(), "table inet one\n");
}

TEST_F(NetworkApplyTest, WithoutADescriptorThatLibnftablesCanUseNothingIsDone) {
  std::vector<UniqueFd> all;
  while (all.empty() || all.back().get() < FD_SETSIZE - 1) {
    all.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(all.back().valid()) << "this needs a limit of descriptors above " << FD_SETSIZE;
  }
  Nft nft;
  const auto failed = nft.Run("list tables");
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code(), Code::kResourceExhausted);
  all.clear();
  EXPECT_TRUE(nft.Run("list tables").ok());
}

TEST_F(NetworkApplyTest, ALostAddressAndALoweredBridgeAreRepaired) {
  Apply();
  const std::string name = desired_.bridges[0].name;
  ASSERT_TRUE(RunChecked({"ip", "addr", "flush", "dev", name}).ok());
  ASSERT_TRUE(RunChecked({"ip", "link", "set", name, "down"}).ok());
  Apply();
  const auto links = ObserveLinks();
  const auto link = std::find_if(links->begin(), links->end(),
                                 [&](const ObservedLink& l) { return l.name == name; });
  ASSERT_NE(link, links->end());
  EXPECT_TRUE(link->up);
  EXPECT_EQ(link->addresses.size(), 1u);
}

TEST_F(NetworkApplyTest, LeftoversOfTheInstanceAreRemovedAndOthersAreNot) {
  Apply();
  ASSERT_TRUE(RunChecked({"ip", "link", "add", "ab123other", "type", "bridge"}).ok());
  ASSERT_TRUE(RunChecked({"ip", "link", "add", VethName("ab123", 1, 3), "type", "veth", "peer",
                          "name", "peer0"})
                  .ok());
  desired_.bridges.clear();
  Apply();
  EXPECT_FALSE(HasLink(BridgeName("ab123", 1)));
  EXPECT_FALSE(HasLink("peer0"));
  EXPECT_TRUE(HasLink("ab123other"));
  EXPECT_EQ(RunChecked({"nft", "list", "tables"}).value(), "");
}

TEST_F(NetworkApplyTest, ForwardingIsTurnedOffAgainOnlyByWhoTurnedItOn) {
  const auto dir = TemporaryDirectory::Create("/tmp", "strata-net.");
  const std::string marker = dir->path() + "/marker";
  const auto value = [] { return ReadFile("/proc/sys/net/ipv4/ip_forward").value(); };
  UniqueFd fd = Open("/proc/sys/net/ipv4/ip_forward", O_WRONLY).value();
  ASSERT_TRUE(WriteAll(fd.get(), "0\n").ok());
  ASSERT_TRUE(EnableForwarding(marker).ok());
  EXPECT_EQ(value(), "1\n");
  const std::string second = dir->path() + "/second";
  ASSERT_TRUE(EnableForwarding(second).ok());
  ASSERT_TRUE(RestoreForwarding(second, rules_.nft()).ok());
  EXPECT_EQ(value(), "1\n");
  ASSERT_TRUE(RestoreForwarding(marker, rules_.nft()).ok());
  EXPECT_EQ(value(), "0\n");

  // Another Strata still needs it.
  ASSERT_TRUE(EnableForwarding(marker).ok());
  ASSERT_TRUE(RunChecked({"nft", "add", "table", "inet", TableName("99999")}).ok());
  ASSERT_TRUE(RestoreForwarding(marker, rules_.nft()).ok());
  EXPECT_EQ(value(), "1\n");
}

TEST_F(NetworkApplyTest, ForwardingOfIpv6LeavesTheHostWhatRoutersTellIt) {
  const auto dir = TemporaryDirectory::Create("/tmp", "strata-net.");
  const std::string marker = dir->path() + "/marker";
  ASSERT_TRUE(RunChecked({"ip", "link", "add", "up0", "type", "bridge"}).ok());
  ASSERT_TRUE(RunChecked({"ip", "link", "add", "deaf0", "type", "bridge"}).ok());
  const std::string conf = "/proc/sys/net/ipv6/conf/";
  const auto value = [&](const std::string& name) { return ReadFile(conf + name).value(); };
  UniqueFd fd = Open(conf + "deaf0/accept_ra", O_WRONLY).value();
  ASSERT_TRUE(WriteAll(fd.get(), "0\n").ok());
  ASSERT_EQ(value("up0/accept_ra"), "1\n");
  ASSERT_EQ(value("all/forwarding"), "0\n");
  ASSERT_TRUE(EnableForwarding6(marker).ok());
  EXPECT_EQ(value("all/forwarding"), "1\n");
  EXPECT_EQ(value("up0/accept_ra"), "2\n");
  EXPECT_EQ(value("deaf0/accept_ra"), "0\n");
  ASSERT_TRUE(RunChecked({"ip", "link", "add", "late0", "type", "bridge"}).ok());
  EXPECT_EQ(value("late0/accept_ra"), "2\n");
  ASSERT_TRUE(RestoreForwarding6(marker, rules_.nft()).ok());
  EXPECT_EQ(value("all/forwarding"), "0\n");
  EXPECT_EQ(value("up0/accept_ra"), "1\n");
  EXPECT_EQ(value("default/accept_ra"), "1\n");
  EXPECT_EQ(value("deaf0/accept_ra"), "0\n");
  EXPECT_FALSE(PathExists(marker));
}

}  // namespace
}  // namespace strata::net
