// The second stage: equations with numbers worked out by hand, and the order of hosts.
#include "tests/unit/vclusterd/scheduler/fixtures.h"

namespace strata::vcluster {
namespace {

class RankingTest : public SchedulerTest {};

TEST_F(RankingTest, Equation2AddsTheRequestedSharesOfCpuAndMemory) {
  AddHost(MakeHost("lab-1", 8, 32));
  AddNode(MakeNode(1, 0, 2, 4), "lab-1");
  AddNode(MakeNode(1, 1, 1, 8), "lab-1");
  // (2 + 1 + 1) / 8 + (4 + 8 + 4) / 32 = 0.5 + 0.5, the node itself counted.
  EXPECT_DOUBLE_EQ(ScoreOf(MakeNode(2, 0, 1, 4), "lab-1").rate, 1.0);
}

TEST_F(RankingTest, Equation2TakesTheRealCapacityWithoutOverCommitOrTheSystemsPart) {
  HostOffer host = MakeHost("lab-1", 10, 34);
  host.overcommit_cpus = 4;
  host.system = {2, 2 * kGiB, 0};
  AddHost(host);
  // 2 / (10 - 2) + 8 / (34 - 2) = 0.25 + 0.25.
  EXPECT_DOUBLE_EQ(ScoreOf(MakeNode(2, 0, 2, 8), "lab-1").rate, 0.5);
}

TEST_F(RankingTest, Equation3IsTheSmallerOfTheTwoRemainders) {
  AddHost(MakeHost("lab-1", 8, 32));
  AddNode(MakeNode(1, 0, 2, 4), "lab-1");
  // Cr = 6, Mr = 28. Cr/Cw = 6 / 2 = 3 < Mr/Mw = 28 / 4 = 7.
  EXPECT_DOUBLE_EQ(ScoreOf(MakeNode(2, 0, 2, 4), "lab-1").v, 3.0);
  // Cr/Cw = 6 / 1 = 6 > Mr/Mw = 28 / 8 = 3.5.
  EXPECT_DOUBLE_EQ(ScoreOf(MakeNode(2, 0, 1, 8), "lab-1").v, 3.5);
}

TEST_F(RankingTest, Equation3CountsWhatOverCommitLeaves) {
  HostOffer host = MakeHost("lab-1", 8, 32);
  host.overcommit_cpus = 4;
  AddHost(host);
  // Cr/Cw = 32 / 4 = 8 = Mr/Mw = 32 / 4.
  EXPECT_DOUBLE_EQ(ScoreOf(MakeNode(2, 0, 4, 4), "lab-1").v, 8.0);
}

TEST_F(RankingTest, AMasterGoesToTheLeastRequestedHost) {
  AddHost(MakeHost("lab-1", 8, 32));
  AddHost(MakeHost("lab-2", 8, 32));
  AddHost(MakeHost("lab-3", 8, 32));
  AddNode(MakeNode(1, 0, 4, 4), "lab-1");   // 4/8 + 4/32 = 0.625
  AddNode(MakeNode(1, 1, 1, 14), "lab-2");  // 1/8 + 14/32 = 0.5625
  AddNode(MakeNode(1, 2, 3, 8), "lab-3");   // 3/8 + 8/32 = 0.625
  EXPECT_EQ(HostOf(WithRank(MakeNode(2, 0, 1, 1), RankBy::kLeastRequested)), "lab-2");
}

TEST_F(RankingTest, OfTwoEmptyHostsTheLargeOneIsTheLeastRequested) {
  AddHost(MakeHost("lab-1", 4, 8));
  AddHost(MakeHost("lab-2", 64, 256));
  EXPECT_EQ(HostOf(WithRank(MakeNode(2, 0, 1, 1), RankBy::kLeastRequested)), "lab-2");
}

TEST_F(RankingTest, WorkersBeginOnTheHostThatTakesMostOfThem) {
  AddHost(MakeHost("lab-1", 4, 64));  // v = min(4/2, 64/4) = 2
  AddHost(MakeHost("lab-2", 8, 20));  // v = min(8/2, 20/4) = 4
  AddHost(MakeHost("lab-3", 64, 8));  // v = min(64/2, 8/4) = 2
  EXPECT_EQ(HostsOf({MakeNode(1, 0, 2, 4), MakeNode(1, 1, 2, 4), MakeNode(1, 2, 2, 4)}),
            std::vector<std::string>(3, "lab-2"));
}

TEST_F(RankingTest, AHostThatHoldsTheVclusterComesFirstUntilItIsFull) {
  AddHost(MakeHost("lab-1", 4, 16));
  AddHost(MakeHost("lab-2", 64, 256));
  AddNode(MakeNode(1, 0, 1, 1), "lab-1");
  EXPECT_EQ(HostOf(MakeNode(1, 1, 2, 4)), "lab-1");
  EXPECT_EQ(HostOf(MakeNode(1, 2, 2, 4)), "lab-2");  // 1 CPU is left on lab-1.
  EXPECT_EQ(HostOf(MakeNode(1, 3, 1, 1)), "lab-1");  // Two nodes of it against one.
}

TEST_F(RankingTest, WorkersFollowTheMasterOfTheirVcluster) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 16, 64));
  AddNode(MakeNode(9, 0, 1, 1), "lab-1");
  NodeDemand master = WithRole(WithRank(MakeNode(1, 3, 1, 1), RankBy::kLeastRequested), "master");
  EXPECT_EQ(HostsOf({MakeNode(1, 0, 2, 2), MakeNode(1, 1, 2, 2), MakeNode(1, 2, 2, 2), master}),
            std::vector<std::string>(4, "lab-2"));
}

TEST_F(RankingTest, SpreadNodesShareHostsOnlyWhenEachHasOneOfTheirRole) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 4, 16));
  AddHost(MakeHost("lab-3", 8, 32));
  std::vector<NodeDemand> nodes;
  for (uint32_t i = 0; i < 4; ++i) {
    nodes.push_back(WithRank(MakeNode(1, i, 1, 1), RankBy::kSpread));
  }
  // By rate: lab-1 (1/16 + 1/64), lab-3, lab-2; then each has one.
  EXPECT_EQ(HostsOf(nodes), (std::vector<std::string>{"lab-1", "lab-3", "lab-2", "lab-1"}));
}

TEST_F(RankingTest, SpreadLooksAtTheRoleAndNotAtOtherNodesOfTheVcluster) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 4, 16));
  AddNode(WithRole(MakeNode(1, 0, 1, 1), "master"), "lab-1");
  EXPECT_EQ(HostOf(WithRank(MakeNode(1, 1, 1, 1), RankBy::kSpread)), "lab-1");
  EXPECT_EQ(HostOf(WithRank(MakeNode(1, 2, 1, 1), RankBy::kSpread)), "lab-2");
}

TEST_F(RankingTest, TiesGoByTheNameOfTheHost) {
  for (const char* name : {"lab-3", "lab-1", "lab-2"}) AddHost(MakeHost(name, 8, 32));
  for (const RankBy rank : {RankBy::kPack, RankBy::kLeastRequested, RankBy::kSpread}) {
    const NodeDemand node = WithRank(MakeNode(1, 0, 1, 1), rank);
    EXPECT_EQ(HostOf(node), "lab-1");
    ASSERT_TRUE(state.RemoveNode(node.key).ok());
  }
}

TEST_F(RankingTest, TwoMemoryHeavyNodesAreApartAlsoWhereThatCostsPacking) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 4, 16));
  EXPECT_EQ(HostsOf({MemoryHeavy(MakeNode(1, 0, 1, 4)), MemoryHeavy(MakeNode(1, 1, 1, 4)),
                     MakeNode(1, 2, 1, 4)}),
            (std::vector<std::string>{"lab-1", "lab-2", "lab-1"}));
}

TEST_F(RankingTest, MemoryHeavyNodesShareAHostWhenNoOtherFits) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 1, 16));
  AddNode(MemoryHeavy(MakeNode(1, 0, 1, 4)), "lab-1");
  EXPECT_EQ(HostOf(MemoryHeavy(MakeNode(2, 0, 2, 4))), "lab-1");
}

TEST_F(RankingTest, OfHostsThatAllHoldMemoryHeavyNodesTheOneWithFewestIsTaken) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 8, 16));
  AddNode(MemoryHeavy(MakeNode(1, 0, 1, 1)), "lab-1");
  AddNode(MemoryHeavy(MakeNode(2, 0, 1, 1)), "lab-1");
  AddNode(MemoryHeavy(MakeNode(3, 0, 1, 1)), "lab-2");
  EXPECT_EQ(HostOf(MemoryHeavy(MakeNode(1, 1, 1, 1))), "lab-2");
}

TEST_F(RankingTest, MeasuredLoadCountsInsteadOfTheExpectedOne) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 8, 16));
  AddNode(MakeNode(1, 0, 1, 1), "lab-1");
  ASSERT_TRUE(state.UpdateNode({1, 0}, {false, true, false}, {}, true).ok());
  EXPECT_EQ(HostOf(MemoryHeavy(MakeNode(2, 0, 1, 1))), "lab-2");
  ASSERT_TRUE(state.UpdateNode({1, 0}, {}, {}, true).ok());
  EXPECT_EQ(HostOf(MemoryHeavy(MakeNode(3, 0, 1, 1))), "lab-1");
}

TEST_F(RankingTest, AHostUnderPressureIsTakenOnlyWhenNoOtherFits) {
  HostOffer pressed = MakeHost("lab-1", 16, 64);
  pressed.report.pressure.io = 0.4;  // The default of pressure_high.
  AddHost(pressed);
  AddHost(MakeHost("lab-2", 2, 8));
  EXPECT_EQ(HostOf(MakeNode(1, 0, 2, 8)), "lab-2");
  EXPECT_EQ(HostOf(MakeNode(1, 1, 1, 1)), "lab-1");
  pressed.report.pressure.io = 0.399;
  pressed.report.usage.memory = 0.9;  // The default of usage_high.
  ASSERT_TRUE(state.UpdateReport("lab-1", pressed.report).ok());
  EXPECT_EQ(ScoreOf(MakeNode(2, 0, 1, 1), "lab-1").pressed, 1u);
  pressed.report.usage.memory = 0.89;
  ASSERT_TRUE(state.UpdateReport("lab-1", pressed.report).ok());
  EXPECT_EQ(ScoreOf(MakeNode(2, 0, 1, 1), "lab-1").pressed, 0u);
}

TEST_F(RankingTest, ThePreferredHostIsTakenBeforePackingIsLookedAt) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 8, 16));
  NodeDemand node = MakeNode(1, 0, 1, 1);
  node.preferred_host = "lab-2";
  EXPECT_EQ(HostOf(node), "lab-2");
  node = MakeNode(2, 0, 1, 1);
  node.preferred_host = "lab-9";  // There is none: no preference.
  EXPECT_EQ(HostOf(node), "lab-1");
}

TEST_F(RankingTest, WishesDecideBeforeThePreferredHost) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 8, 16));
  AddHost(MakeHost("lab-3", 8, 16));
  AddNode(WithRole(MakeNode(1, 0, 1, 1), "master"), "lab-2");
  NodeDemand node = WithRule(MakeNode(1, 1, 1, 1), AffinityRule::Kind::kWith, false, "master");
  node.preferred_host = "lab-1";
  EXPECT_EQ(HostOf(node), "lab-2");
  node = WithRule(MakeNode(1, 2, 1, 1), AffinityRule::Kind::kApart, false, "master");
  node.preferred_host = "lab-2";
  EXPECT_EQ(HostOf(node), "lab-1");
}

TEST_F(RankingTest, NodesWithHeavyInputAndOutputKeepApartAfterPacking) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 8, 16));
  NodeDemand heavy = MakeNode(1, 0, 1, 1);
  heavy.load.io = true;
  EXPECT_EQ(HostOf(heavy), "lab-1");
  heavy.key = {1, 1};
  EXPECT_EQ(HostOf(heavy), "lab-1");  // Beside its Vcluster.
  heavy.key = {2, 0};
  EXPECT_EQ(HostOf(heavy), "lab-2");
}

}  // namespace
}  // namespace strata::vcluster
