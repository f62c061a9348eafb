// What `vcluster why` prints.
#include "vclusterd/scheduler/explain.h"

#include "tests/unit/vclusterd/scheduler/fixtures.h"

namespace strata::vcluster {
namespace {

class ExplainTest : public SchedulerTest {
 protected:
  void AddHosts() {
    AddHost(MakeHost("lab-1", 8, 32));
    AddHost(MakeHost("lab-2", 16, 64));
    AddHost(MakeHost("storage-1", 4, 8));
    HostOffer host = MakeHost("lab-4", 8, 32);
    host.condition = HostCondition::kDraining;
    AddHost(host);
    AddNode(MakeNode(1, 0, 2, 4), "lab-1");
    AddNode(MemoryHeavy(MakeNode(9, 0, 1, 1)), "lab-1");
    AddNode(MakeNode(9, 1, 2.5, 1), "storage-1");
  }
};

TEST_F(ExplainTest, TheTextShowsTheQuotaTheOrderOfHostsAndEveryRefusal) {
  AddHosts();
  OwnerQuota quota;
  quota.owner_uid = 1000;
  quota.nodes = {10, 3};
  const VclusterPlacement placed =
      PlaceVcluster(MakeVcluster({MemoryHeavy(MakeNode(1, 1, 2, 4))}), {quota}, true);
  ASSERT_FALSE(placed.error);
  ASSERT_EQ(placed.explanations.size(), 1u);
  EXPECT_EQ(ExplanationText(placed.explanations[0]),
            "v1/1: 2 CPUs, 4.0 GiB, packed on few hosts\n"
            "goes to lab-2\n"
            "quota of nodes: 3 in use and 1 asked for, of 10\n"
            "hosts that can take it, best first:\n"
            "  lab-2  holds 0 of its Vcluster; v 8.00\n"
            "  lab-1  1 memory-heavy beside it; holds 1 of its Vcluster; v 2.50\n"
            "hosts that cannot:\n"
            "  lab-4      draining\n"
            "  storage-1  needs 2 CPUs, 1.5 left of 4 (over-commit 1.0)\n");
}

TEST_F(ExplainTest, EveryPartOfAScoreThatCountsIsShown) {
  Score score;
  score.memory_neighbours = 2;
  score.pressed = 1;
  score.rule_balance = -1;
  score.preferred = true;
  score.own_nodes = 3;
  score.same_role = 4;
  score.like_neighbours = 5;
  score.v = 3.5;
  score.rate = 0.257;
  EXPECT_EQ(ScoreText(RankBy::kPack, score),
            "2 memory-heavy beside it; under pressure: 1; wishes broken: -1; preferred; "
            "holds 3 of its Vcluster; 5 with the same load; v 3.50");
  EXPECT_EQ(ScoreText(RankBy::kSpread, score),
            "2 memory-heavy beside it; under pressure: 1; wishes broken: -1; preferred; "
            "holds 4 of its role; 5 with the same load; rate 0.26");
  score = {};
  score.rule_balance = 2;
  EXPECT_EQ(ScoreText(RankBy::kLeastRequested, score), "wishes kept: +2; rate 0.00");
}

TEST_F(ExplainTest, OnlyAsManyHostsAreListedAsAskedFor) {
  AddHosts();
  const Explanation explanation = Explain(state, Admission(state, MakeNode(1, 1, 2, 4)));
  EXPECT_EQ(ExplanationText(explanation, 1),
            "v1/1: 2 CPUs, 4.0 GiB, packed on few hosts\n"
            "goes to lab-1\n"
            "hosts that can take it, best first:\n"
            "  lab-1  holds 1 of its Vcluster; v 2.50\n"
            "  … and 1 more\n"
            "hosts that cannot:\n"
            "  lab-4  draining\n"
            "  … and 1 more\n");
}

TEST_F(ExplainTest, WithoutBeingAskedNothingIsExplained) {
  AddHosts();
  EXPECT_TRUE(PlaceNodes({MakeNode(1, 1, 2, 4)}).explanations.empty());
}

TEST_F(ExplainTest, AFailureIsExplainedUpToTheNodeThatFoundNoHost) {
  AddHosts();
  const VclusterPlacement placed =
      PlaceNodes({MakeNode(2, 0, 2, 8), MakeNode(2, 1, 99, 4), MakeNode(2, 2, 1, 1)}, true);
  ASSERT_TRUE(placed.error);
  ASSERT_EQ(placed.explanations.size(), 2u);
  EXPECT_EQ(placed.explanations[0].name, "v2/0");
  EXPECT_EQ(placed.explanations[0].chosen, "lab-2");
  EXPECT_EQ(placed.explanations[1].name, "v2/1");
  EXPECT_THAT(ExplanationText(placed.explanations[1]),
              testing::StartsWith("v2/1: 99 CPUs, 4.0 GiB, packed on few hosts\n"
                                  "no host takes it\n"
                                  "hosts that cannot:\n"
                                  "  lab-1      needs 99 CPUs, 5 left of 8 (over-commit 1.0)\n"));
}

TEST_F(ExplainTest, ABrokenQuotaIsExplainedBesideTheHosts) {
  AddHosts();
  OwnerQuota quota;
  quota.owner_uid = 1000;
  quota.nodes = {3, 3};
  quota.cpus = {100.0, 5.5};
  const VclusterPlacement placed =
      PlaceVcluster(MakeVcluster({MakeNode(1, 1, 2, 4)}), {quota}, true);
  ASSERT_TRUE(placed.error);
  ASSERT_EQ(placed.explanations.size(), 1u);
  EXPECT_THAT(ExplanationText(placed.explanations[0]),
              testing::HasSubstr("not placed: past a quota\n"
                                 "quota of nodes: 3 in use and 1 asked for, of 3: too much\n"
                                 "quota of CPUs: 5.5 in use and 2 asked for, of 100\n"));
}

TEST_F(ExplainTest, AHostThatWasTriedInVainIsNamed) {
  HostOffer gpu = MakeHost("lab-1", 8, 64);
  gpu.labels = {"gpu"};
  AddHost(gpu);
  AddHost(MakeHost("lab-2", 4, 16));
  NodeDemand worker = MakeNode(1, 1, 7, 4);
  worker.required_labels = {"gpu"};
  const VclusterPlacement placed =
      PlaceNodes({WithRank(MakeNode(1, 0, 2, 4), RankBy::kLeastRequested), worker}, true);
  ASSERT_FALSE(placed.error);
  EXPECT_EQ(ExplanationText(placed.explanations[0]),
            "v1/0: 2 CPUs, 4.0 GiB, to the least requested host\n"
            "goes to lab-2\n"
            "hosts that can take it, best first:\n"
            "  lab-2  rate 0.75\n"
            "hosts that cannot:\n"
            "  lab-1  leaves no host for another node of the request\n");
}

TEST_F(ExplainTest, APlacedNodeIsExplainedAsIfItWerePlacedToday) {
  AddHosts();
  auto why = ExplainNode(state, {1, 0});
  ASSERT_TRUE(why.ok());
  EXPECT_THAT(ExplanationText(*why),
              testing::StartsWith("v1/0: 2 CPUs, 4.0 GiB, packed on few hosts\n"
                                  "stands on lab-1, and would now go to lab-2\n"));
  why = ExplainNode(state, {9, 1});
  ASSERT_TRUE(why.ok());
  EXPECT_THAT(ExplanationText(*why),
              testing::HasSubstr("stands on storage-1, and would now go to lab-1\n"));
  ASSERT_TRUE(state.RemoveNode({9, 0}).ok());
  why = ExplainNode(state, {9, 1});
  ASSERT_TRUE(why.ok());
  EXPECT_EQ(why->chosen, "lab-2");
  ASSERT_TRUE(state.UpdateNode({9, 1}, {false, true, false}, {}, true).ok());
  AddNode(MemoryHeavy(MakeNode(8, 0, 1, 1)), "lab-2");
  EXPECT_EQ(ExplainNode(state, {9, 1})->chosen, "lab-1");  // As measured, not as expected.
  ASSERT_EQ(ExplainNode(state, {5, 5}).error().code(), Code::kNotFound);
}

TEST_F(ExplainTest, ANodeThatCouldNotComeBackIsSaidToBeSo) {
  HostOffer host = MakeHost("lab-1", 8, 32);
  AddHost(host);
  AddNode(MakeNode(1, 0, 2, 4), "lab-1");
  EXPECT_THAT(ExplanationText(*ExplainNode(state, {1, 0})),
              testing::HasSubstr("stands on lab-1, and would be put there again\n"));
  host.condition = HostCondition::kLost;
  AddHost(host);
  EXPECT_THAT(ExplanationText(*ExplainNode(state, {1, 0})),
              testing::HasSubstr("stands on lab-1, and no host would take it now\n"));
  EXPECT_EQ(state.nodes_count(), 1u);
}

}  // namespace
}  // namespace strata::vcluster
