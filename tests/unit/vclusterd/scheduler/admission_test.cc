// The first stage: which hosts refuse a node, and the reasons they give.
#include "tests/unit/vclusterd/scheduler/fixtures.h"
#include "vclusterd/scheduler/amounts.h"

namespace strata::vcluster {
namespace {

using Kind = AffinityRule::Kind;

class AdmissionTest : public SchedulerTest {};

TEST_F(AdmissionTest, AHostGivesWhatItHasAndNotMore) {
  AddHost(MakeHost("lab-1", 8, 16));
  AddNode(MakeNode(1, 0, 6.5, 12), "lab-1");
  EXPECT_EQ(Refusals(MakeNode(2, 0, 1.5, 4), "lab-1"), "");
  EXPECT_EQ(Refusals(MakeNode(2, 0, 4, 4), "lab-1"),
            "needs 4 CPUs, 1.5 left of 8 (over-commit 1.0)");
  EXPECT_EQ(Refusals(MakeNode(2, 0, 1, 6), "lab-1"),
            "needs 6.0 GiB of memory, 4.0 GiB left of 16.0 GiB (over-commit 1.0)");
}

TEST_F(AdmissionTest, EveryReasonIsGiven) {
  HostOffer host = MakeHost("lab-1", 1, 1);
  host.condition = HostCondition::kDraining;
  host.disk_bytes = kGiB;
  AddHost(host);
  NodeDemand node = MakeNode(1, 0, 2, 2);
  node.request.disk_bytes = 2 * kGiB;
  node.required_labels = {"gpu", "ssd"};
  node.excluded_hosts = {"lab-1", "lab-9"};
  EXPECT_EQ(Refusals(node, "lab-1"),
            "draining; excluded by the request; lacks label gpu; lacks label ssd; "
            "needs 2 CPUs, 1 left of 1 (over-commit 1.0); "
            "needs 2.0 GiB of memory, 1.0 GiB left of 1.0 GiB (over-commit 1.0); "
            "needs 2.0 GiB of disk, 1.0 GiB left of 1.0 GiB");
}

TEST_F(AdmissionTest, SizesThatLookTheSameAreWrittenOut) {
  AddHost(MakeHost("lab-1", 8, 1));
  NodeDemand node = MakeNode(1, 0, 1, 0);
  node.request.memory_bytes = kGiB + 1;
  EXPECT_EQ(Refusals(node, "lab-1"),
            "needs 1073741825 B of memory, 1073741824 B left of 1.0 GiB (over-commit 1.0)");
}

TEST_F(AdmissionTest, OverCommitMultipliesWhatTheSystemLeaves) {
  HostOffer host = MakeHost("lab-1", 5, 10);
  host.system = {1, 2 * kGiB, 0};
  host.overcommit_cpus = 2.5;
  host.overcommit_memory = 1.5;
  AddHost(host);
  EXPECT_EQ(Refusals(MakeNode(1, 0, 10, 12), "lab-1"), "");  // 4 * 2.5, 8 GiB * 1.5.
  EXPECT_EQ(Refusals(MakeNode(1, 0, 10.001, 12), "lab-1"),
            "needs 10.001 CPUs, 10 left of 4 (over-commit 2.5)");
  EXPECT_EQ(Refusals(MakeNode(1, 0, 1, 13), "lab-1"),
            "needs 13.0 GiB of memory, 12.0 GiB left of 8.0 GiB (over-commit 1.5)");
}

TEST_F(AdmissionTest, CpusAreOverCommittedFourTimesAndMemoryNotUnlessSaidOtherwise) {
  HostOffer host;
  host.name = "lab-1";
  host.cpus = 2;
  host.memory_bytes = kGiB;
  AddHost(host);
  EXPECT_EQ(Refusals(MakeNode(1, 0, 8, 1), "lab-1"), "");
  EXPECT_EQ(Refusals(MakeNode(1, 0, 9, 2), "lab-1"),
            "needs 9 CPUs, 8 left of 2 (over-commit 4.0); "
            "needs 2.0 GiB of memory, 1.0 GiB left of 1.0 GiB (over-commit 1.0)");
}

TEST_F(AdmissionTest, ASystemThatTakesMoreThanTheHostLeavesNothing) {
  HostOffer host = MakeHost("lab-1", 1, 1);
  host.system = {2, 2 * kGiB, 0};
  AddHost(host);
  EXPECT_EQ(Refusals(MakeNode(1, 0, 0, 0), "lab-1"),
            "needs 0.1 CPUs, 0 left of 0 (over-commit 1.0); "
            "needs 64.0 MiB of memory, 0 B left of 0 B (over-commit 1.0)");
}

TEST_F(AdmissionTest, NodesWithoutLimitsCountAsTheDefault) {
  AddHost(MakeHost("lab-1", 1, 1));
  // 10 * 0.1 CPUs fill one CPU exactly, in whatever binary fractions.
  for (uint32_t i = 0; i < 10; ++i) EXPECT_EQ(HostOf(MakeNode(1, i, 0, 0)), "lab-1");
  EXPECT_EQ(state.host(*state.FindHost("lab-1")).requested,
            (Amounts{1000, static_cast<int64_t>(640 * kMiB), 0}));
  EXPECT_EQ(Refusals(MakeNode(1, 10, 0, 0), "lab-1"),
            "needs 0.1 CPUs, 0 left of 1 (over-commit 1.0)");
}

TEST_F(AdmissionTest, TheDefaultIsAParameter) {
  SchedulerParameters parameters;
  parameters.default_cpus = 0.25;
  parameters.default_memory_bytes = 512 * kMiB;
  state = *PlacementState::Create(parameters);
  AddHost(MakeHost("lab-1", 1, 1));
  EXPECT_EQ(HostsOf({MakeNode(1, 0, 0, 0), MakeNode(1, 1, 0, 0)}),
            std::vector<std::string>(2, "lab-1"));
  EXPECT_EQ(Refusals(MakeNode(1, 2, 0, 0), "lab-1"),
            "needs 512.0 MiB of memory, 0 B left of 1.0 GiB (over-commit 1.0)");
}

TEST_F(AdmissionTest, AHostHoldsAtMostSoManyNodes) {
  HostOffer host = MakeHost("lab-1", 8, 16);
  host.nodes_max = 2;
  AddHost(host);
  AddNode(MakeNode(1, 0, 1, 1), "lab-1");
  EXPECT_EQ(HostOf(MakeNode(1, 1, 1, 1)), "lab-1");
  EXPECT_EQ(Refusals(MakeNode(1, 2, 1, 1), "lab-1"), "has 2 nodes of at most 2");
}

TEST_F(AdmissionTest, AHostThatIsOverItsLimitHasNothingLeft) {
  AddHost(MakeHost("lab-1", 2, 4));
  AddNode(MakeNode(1, 0, 3, 1), "lab-1");  // A fact, not a decision.
  EXPECT_EQ(Refusals(MakeNode(2, 0, 1, 1), "lab-1"), "needs 1 CPU, 0 left of 2 (over-commit 1.0)");
}

TEST_F(AdmissionTest, DrainingAndLostHostsTakeNothing) {
  HostOffer host = MakeHost("lab-1", 8, 16);
  host.condition = HostCondition::kDraining;
  AddHost(host);
  EXPECT_EQ(Refusals(MakeNode(1, 0, 1, 1), "lab-1"), "draining");
  host.condition = HostCondition::kLost;
  AddHost(host);
  EXPECT_EQ(Refusals(MakeNode(1, 0, 1, 1), "lab-1"), "lost");
}

TEST_F(AdmissionTest, ANodeThatMustBeApartIsRefusedWhereTheOtherIs) {
  AddHost(MakeHost("lab-1", 8, 16));
  AddHost(MakeHost("lab-2", 8, 16));
  AddNode(WithRole(MakeNode(1, 0, 1, 1), "master"), "lab-1");
  const NodeDemand apart = WithRule(MakeNode(1, 1, 1, 1), Kind::kApart, true, "master");
  EXPECT_EQ(Refusals(apart, "lab-1"), "must be apart from v1/0");
  EXPECT_EQ(Refusals(apart, "lab-2"), "");
  // Another Vcluster's master is not meant.
  EXPECT_EQ(Refusals(WithRule(MakeNode(2, 0, 1, 1), Kind::kApart, true, "master"), "lab-1"), "");
}

TEST_F(AdmissionTest, WhoMustBeApartKeepsOthersAwayToo) {
  AddHost(MakeHost("lab-1", 8, 16));
  AddNode(WithRule(MakeNode(1, 0, 1, 1), Kind::kApart, true, "db"), "lab-1");
  EXPECT_EQ(Refusals(WithRole(MakeNode(1, 1, 1, 1), "db"), "lab-1"), "v1/0 must be apart from it");
  EXPECT_EQ(Refusals(MakeNode(1, 1, 1, 1), "lab-1"), "");
  ASSERT_TRUE(state.RemoveNode({1, 0}).ok());
  EXPECT_EQ(Refusals(WithRole(MakeNode(1, 1, 1, 1), "db"), "lab-1"), "");
}

TEST_F(AdmissionTest, ARuleMayNameAnotherVclusterAsAWhole) {
  AddHost(MakeHost("lab-1", 8, 16));
  AddHost(MakeHost("lab-2", 8, 16));
  AddNode(MakeNode(7, 3, 1, 1), "lab-2");
  NodeDemand node = MakeNode(1, 0, 1, 1);
  node.rules.push_back({Kind::kWith, true, 7, "hpc", ""});
  EXPECT_EQ(Refusals(node, "lab-1"), "must be with a node of hpc, which is on lab-2");
  EXPECT_EQ(Refusals(node, "lab-2"), "");
  node.rules[0].kind = Kind::kApart;
  EXPECT_EQ(Refusals(node, "lab-1"), "");
  EXPECT_EQ(Refusals(node, "lab-2"), "must be apart from v7/3");
}

TEST_F(AdmissionTest, WhoMustBeWithANodeThatIsNowhereIsRefusedEverywhere) {
  AddHost(MakeHost("lab-1", 8, 16));
  EXPECT_EQ(Refusals(WithRule(MakeNode(1, 0, 1, 1), Kind::kWith, true, "master"), "lab-1"),
            "must be with role master of its Vcluster, which is nowhere");
}

TEST_F(AdmissionTest, TheFirstOfNodesThatMustBeTogetherMayGoAnywhere) {
  AddHost(MakeHost("lab-1", 3, 16));
  AddHost(MakeHost("lab-2", 3, 16));
  const auto together = [](uint32_t i) {
    return WithRule(MakeNode(1, i, 1, 1), Kind::kWith, true, "worker");
  };
  EXPECT_EQ(HostOf(together(0)), "lab-1");
  EXPECT_EQ(Refusals(together(1), "lab-2"),
            "must be with role worker of its Vcluster, which is on lab-1");
  EXPECT_EQ(HostOf(together(1)), "lab-1");
}

TEST_F(AdmissionTest, RulesOfWishesRefuseNothing) {
  AddHost(MakeHost("lab-1", 8, 16));
  AddNode(WithRole(MakeNode(1, 0, 1, 1), "master"), "lab-1");
  EXPECT_EQ(Refusals(WithRule(MakeNode(1, 1, 1, 1), Kind::kApart, false, "master"), "lab-1"), "");
  EXPECT_EQ(Refusals(WithRule(MakeNode(2, 1, 1, 1), Kind::kWith, false, "master"), "lab-1"), "");
}

TEST(AmountsTest, CpusAreCountedInThousandthsAndRoundedUp) {
  EXPECT_EQ(MilliCpus(0), 0);
  EXPECT_EQ(MilliCpus(0.1), 100);
  EXPECT_EQ(MilliCpus(0.3), 300);
  EXPECT_EQ(MilliCpus(2.007), 2007);  // As a binary fraction it is a little more than that.
  EXPECT_EQ(CapacityOf(MakeHost("lab-1", 1.001, 1)).milli_cpus, 1001);  // A little less.
  EXPECT_EQ(MilliCpus(1.0001), 1001);
  EXPECT_EQ(MilliCpus(1e-9), 1);
  EXPECT_EQ(CpusNumber(1500), "1.5");
  EXPECT_EQ(CpusNumber(100'000), "100");
  EXPECT_EQ(CpusNumber(1), "0.001");
  EXPECT_EQ(CpusText(1000), "1 CPU");
}

}  // namespace
}  // namespace strata::vcluster
