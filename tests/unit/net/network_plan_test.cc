#include <gtest/gtest.h>

#include "common/subprocess.h"
#include "net/plan.h"

namespace strata::net {
namespace {

Ipv4Prefix P(std::string_view text) { return Ipv4Prefix::Parse(text).value(); }

DesiredNetwork Two() {
  return {
      "1a2b3",
      P("10.90.0.0/16"),
      {{BridgeName("1a2b3", 1), P("10.90.1.0/24")}, {BridgeName("1a2b3", 2), P("10.90.2.0/24")}},
      {VethName("1a2b3", 1, 0)}};
}

TEST(Ipv4Prefix, RefusesWhatIsNoPrefix) {
  for (const char* text : {"", "10.0.0.0", "10.0.0.0/33", "10.0.0.1/24", "10.0.0.0/-1", "a/8",
                           "10.0.0.0/8x", "10.0.0/8"}) {
    EXPECT_FALSE(Ipv4Prefix::Parse(text).ok()) << text;
  }
  EXPECT_EQ(P("10.90.0.0/16").ToString(), "10.90.0.0/16");
}

TEST(NetworkPlan, MakesWhatIsMissingAndNothingElse) {
  const NetworkPlan all = MakePlan(Two(), {}, true);
  EXPECT_EQ(all.create_bridges.size(), 2u);
  EXPECT_TRUE(all.delete_links.empty());

  const std::vector<ObservedLink> complete = {{"lo", true, {}},
                                              {"s1a2b3b1", true, {P("10.90.1.1/32")}},
                                              {"s1a2b3b2", true, {P("10.90.2.1/32")}},
                                              {"s1a2b3v74", true, {}}};
  const NetworkPlan none = MakePlan(Two(), complete, true);
  EXPECT_TRUE(none.create_bridges.empty());
  EXPECT_TRUE(none.address_bridges.empty());
  EXPECT_TRUE(none.raise_bridges.empty());
  EXPECT_TRUE(none.delete_links.empty());
}

TEST(NetworkPlan, RepairsABridgeThatIsDownOrHasLostItsAddress) {
  const NetworkPlan plan =
      MakePlan(Two(), {{"s1a2b3b1", false, {P("10.90.1.1/32")}}, {"s1a2b3b2", true, {}}}, false);
  ASSERT_EQ(plan.raise_bridges.size(), 1u);
  EXPECT_EQ(plan.raise_bridges[0].name, "s1a2b3b1");
  ASSERT_EQ(plan.address_bridges.size(), 1u);
  EXPECT_EQ(plan.address_bridges[0].name, "s1a2b3b2");
}

TEST(NetworkPlan, DeletesOnlyLinksOfThisInstance) {
  const std::vector<ObservedLink> links = {
      {"s1a2b3b9", true, {}}, {"s1a2b3v99", true, {}}, {"sfffffb9", true, {}}, {"eth0", true, {}}};
  EXPECT_EQ(MakePlan(Two(), links, true).delete_links,
            (std::vector<std::string>{"s1a2b3b9", "s1a2b3v99"}));
  EXPECT_EQ(MakePlan(Two(), links, false).delete_links, std::vector<std::string>{"s1a2b3b9"});
}

TEST(NetworkPlan, NamesFitIntoAnInterfaceName) {
  EXPECT_LE(BridgeName("fffff", 99'999).size(), 15u);
  EXPECT_LE(VethName("fffff", 99'999, 255).size(), 15u);
  EXPECT_NE(VethName("fffff", 1, 0), VethName("fffff", 0, 255));
}

TEST(NetworkPlan, MacAddressesAreLocalUnicastAndDiffer) {
  EXPECT_EQ(MacFor("a")[0] & 3, 2);
  EXPECT_NE(MacFor("a"), MacFor("b"));
}

TEST(ChoosePrefix, LeavesOutWhatIsTakenOrOnTheHost) {
  const auto prefix =
      ChoosePrefix(P("10.90.0.0/16"), {P("10.90.1.0/24")}, {{"other0", true, {P("10.90.2.7/32")}}});
  ASSERT_TRUE(prefix.ok());
  EXPECT_EQ(prefix->ToString(), "10.90.3.0/24");
}

TEST(ChoosePrefix, SaysWhatToDoWhenThePoolIsFull) {
  const auto prefix = ChoosePrefix(P("10.90.0.0/23"), {P("10.90.1.0/24")}, {});
  ASSERT_FALSE(prefix.ok());
  EXPECT_EQ(prefix.error().code(), Code::kResourceExhausted);
  EXPECT_NE(prefix.error().message().find("--subnet-pool"), std::string::npos);
}

TEST(Ruleset, IsAcceptedByNftWithAndWithoutBridges) {
  DesiredNetwork desired = Two();
  for (int round = 0; round < 2; ++round) {
    const auto checked = RunChecked({"unshare", "-n", "nft", "-f", "-"}, MakeRuleset(desired));
    EXPECT_TRUE(checked.ok()) << checked.error().message();
    desired.bridges.clear();
  }
}

TEST(Ruleset, RewritesNoSourceOfWhatStaysInThePool) {
  const DesiredNetwork desired = Two();
  const std::string rules = MakeRuleset(desired);
  const size_t line = rules.find(" masquerade");
  ASSERT_NE(line, std::string::npos);
  const std::string rule = rules.substr(rules.rfind('\n', line), line - rules.rfind('\n', line));
  EXPECT_NE(rule.find("ip daddr != " + desired.pool.ToString()), std::string::npos) << rule;
}

}  // namespace
}  // namespace strata::net
