// Which nodes would have to stop, never that they do.
#include "tests/unit/vclusterd/scheduler/fixtures.h"

namespace strata::vcluster {
namespace {

class PreemptionTest : public SchedulerTest {
 protected:
  VclusterPlacement Ask(const std::vector<NodeDemand>& nodes) {
    VclusterDemand vcluster = MakeVcluster(nodes);
    vcluster.propose_preemption = true;
    return PlaceVcluster(vcluster);
  }
  // Names of the victims.
  std::vector<std::string> Victims(const std::vector<NodeDemand>& nodes) {
    const size_t before = state.nodes_count();
    const VclusterPlacement placed = Ask(nodes);
    EXPECT_TRUE(placed.error);
    EXPECT_EQ(state.nodes_count(), before);
    std::vector<std::string> names;
    if (!placed.preemption) return names;
    for (const Victim& victim : placed.preemption->victims) names.push_back(victim.name);
    return names;
  }
  void AddPriority(uint32_t vcluster, double cpus, int32_t priority, const std::string& host) {
    AddNode(WithPriority(MakeNode(vcluster, 0, cpus, 1), priority), host);
  }
  static NodeDemand Wanted(double cpus) { return WithPriority(MakeNode(1, 0, cpus, 1), 10); }
};

using Names = std::vector<std::string>;

TEST_F(PreemptionTest, OneNodeThatIsEnoughIsChosen) {
  AddHost(MakeHost("lab-1", 8, 32));
  AddPriority(2, 2, 0, "lab-1");
  AddPriority(3, 4, 0, "lab-1");
  AddPriority(4, 2, 0, "lab-1");
  EXPECT_EQ(Victims({Wanted(4)}), Names{"v3/0"});
  EXPECT_EQ(Victims({Wanted(2)}), Names{"v2/0"});
}

TEST_F(PreemptionTest, TheVictimIsDescribed) {
  AddHost(MakeHost("lab-1", 8, 32));
  AddPriority(2, 8, 3, "lab-1");
  const VclusterPlacement placed = Ask({Wanted(4)});
  ASSERT_TRUE(placed.preemption);
  EXPECT_EQ(placed.preemption->victims, (std::vector<Victim>{{{2, 0}, "v2/0", "lab-1", 3}}));
}

TEST_F(PreemptionTest, ItIsOnlyProposedWhenAskedFor) {
  AddHost(MakeHost("lab-1", 8, 32));
  AddPriority(2, 8, 0, "lab-1");
  EXPECT_FALSE(PlaceNodes({Wanted(4)}).preemption);
}

TEST_F(PreemptionTest, TwoSmallNodesStopRatherThanThree) {
  AddHost(MakeHost("lab-1", 8, 32));
  AddPriority(2, 1, 0, "lab-1");
  AddPriority(3, 2, 0, "lab-1");
  AddPriority(4, 2, 0, "lab-1");
  AddPriority(5, 3, 0, "lab-1");
  EXPECT_EQ(Victims({Wanted(4)}), (Names{"v2/0", "v5/0"}));
}

TEST_F(PreemptionTest, LessImportantNodesStopEvenWhenTheyAreMore) {
  AddHost(MakeHost("lab-1", 8, 32));
  AddPriority(2, 2, 1, "lab-1");
  AddPriority(3, 2, 1, "lab-1");
  AddPriority(4, 4, 2, "lab-1");
  EXPECT_EQ(Victims({Wanted(4)}), (Names{"v2/0", "v3/0"}));
}

TEST_F(PreemptionTest, TheHostWithTheLeastImportantVictimsIsTaken) {
  AddHost(MakeHost("lab-1", 4, 32));
  AddHost(MakeHost("lab-2", 4, 32));
  AddHost(MakeHost("lab-3", 4, 32));
  AddPriority(2, 4, 5, "lab-1");
  AddPriority(3, 2, 4, "lab-2");
  AddPriority(4, 2, 4, "lab-2");
  AddPriority(5, 4, 4, "lab-3");
  EXPECT_EQ(Victims({Wanted(4)}), Names{"v5/0"});
}

TEST_F(PreemptionTest, EqualOrHigherPriorityIsLeftAlone) {
  AddHost(MakeHost("lab-1", 8, 32));
  AddPriority(2, 4, 10, "lab-1");
  AddPriority(3, 4, 11, "lab-1");
  EXPECT_EQ(Victims({Wanted(4)}), Names{});
}

TEST_F(PreemptionTest, AVclusterDoesNotStopItsOwnNodes) {
  AddHost(MakeHost("lab-1", 4, 32));
  AddNode(WithPriority(MakeNode(1, 7, 4, 1), 0), "lab-1");
  EXPECT_EQ(Victims({Wanted(4)}), Names{});
}

TEST_F(PreemptionTest, StoppingDoesNotHelpAgainstRulesAndLabels) {
  AddHost(MakeHost("lab-1", 4, 32));
  AddPriority(2, 4, 0, "lab-1");
  NodeDemand labelled = Wanted(4);
  labelled.required_labels = {"gpu"};
  EXPECT_EQ(Victims({labelled}), Names{});
  EXPECT_EQ(Victims({Wanted(5)}), Names{});
}

TEST_F(PreemptionTest, ItIsNotProposedPastAQuota) {
  AddHost(MakeHost("lab-1", 4, 32));
  AddPriority(2, 4, 0, "lab-1");
  VclusterDemand vcluster = MakeVcluster({Wanted(4)});
  vcluster.propose_preemption = true;
  OwnerQuota quota;
  quota.owner_uid = 1000;
  quota.nodes = {0, 0};
  EXPECT_FALSE(PlaceVcluster(vcluster, {quota}).preemption);
}

TEST_F(PreemptionTest, AGangGetsRoomForAllOfItsNodes) {
  AddHost(MakeHost("lab-1", 4, 32));
  AddHost(MakeHost("lab-2", 4, 32));
  AddPriority(2, 3, 0, "lab-1");
  AddPriority(3, 3, 1, "lab-2");
  AddPriority(4, 1, 0, "lab-2");
  const NodeDemand second = WithPriority(MakeNode(1, 1, 4, 1), 10);
  EXPECT_EQ(Victims({Wanted(4), second}), (Names{"v2/0", "v3/0", "v4/0"}));
  const NodeDemand small = WithPriority(MakeNode(1, 1, 1, 1), 10);
  EXPECT_EQ(Victims({Wanted(3), small}), Names{"v2/0"});
}

TEST_F(PreemptionTest, AVictimOfOneNodeStaysWhenThatOfAnotherIsEnoughForBoth) {
  AddHost(MakeHost("lab-1", 5, 32));
  AddPriority(2, 1, 0, "lab-1");
  AddPriority(3, 4, 1, "lab-1");
  // The master comes first and would stop v2/0; the worker needs v3/0, which leaves room for both.
  NodeDemand master = WithRole(WithRank(Wanted(1), RankBy::kLeastRequested), "master");
  const NodeDemand worker = WithPriority(MakeNode(1, 1, 3, 1), 10);
  EXPECT_EQ(Victims({master, worker}), Names{"v3/0"});
}

TEST_F(PreemptionTest, ALimitOfNodesIsRoomToo) {
  HostOffer host = MakeHost("lab-1", 8, 32);
  host.nodes_max = 2;
  AddHost(host);
  AddPriority(2, 1, 1, "lab-1");
  AddPriority(3, 1, 0, "lab-1");
  EXPECT_EQ(Victims({Wanted(1)}), Names{"v3/0"});
}

TEST_F(PreemptionTest, WhatAVictimUsedOfAReservationIsNotGained) {
  AddHost(MakeHost("lab-1", 4, 32));
  AddHost(MakeHost("lab-2", 4, 32));
  AddPriority(2, 4, 0, "lab-1");
  AddPriority(3, 4, 5, "lab-2");
  Reservation reservation;
  reservation.name = "exam";
  reservation.holder = Reservation::Holder::kVcluster;
  reservation.number = 2;
  reservation.piece = {4, 0, 0};
  reservation.hosts = {"lab-1"};
  ASSERT_TRUE(state.SetReservations({reservation}).ok());
  EXPECT_EQ(Victims({Wanted(4)}), Names{"v3/0"});
}

TEST_F(PreemptionTest, ManyCandidatesAreDealtWithByTakingAndGivingBack) {
  AddHost(MakeHost("lab-1", 300, 999));
  for (uint32_t i = 0; i < 300; ++i) AddPriority(100 + i, 1, 0, "lab-1");
  const Names victims = Victims({Wanted(5)});
  EXPECT_EQ(victims.size(), 5u);
}

TEST_F(PreemptionTest, OfMoreThanTwoTheLargestStop) {
  AddHost(MakeHost("lab-1", 11, 32));
  AddPriority(2, 1, 0, "lab-1");
  AddPriority(3, 4, 0, "lab-1");
  AddPriority(4, 1, 0, "lab-1");
  AddPriority(5, 1, 0, "lab-1");
  AddPriority(6, 4, 0, "lab-1");
  EXPECT_EQ(Victims({Wanted(9)}), (Names{"v2/0", "v3/0", "v6/0"}));
}

TEST_F(PreemptionTest, NobodyStopsWhoNeedNotAfterAll) {
  AddHost(MakeHost("lab-1", 16, 16));
  AddNode(MakeNode(2, 0, 5, 5), "lab-1");
  AddNode(MakeNode(3, 0, 5, 1), "lab-1");
  AddNode(MakeNode(4, 0, 5, 1), "lab-1");
  AddNode(MakeNode(5, 0, 0.5, 5), "lab-1");
  AddNode(MakeNode(6, 0, 0.5, 4), "lab-1");
  // 10 CPUs and 10 GiB are short. The most useful are v2 (5 and 5), v3 and v4 (5 and 1), which
  // frees 15 and 7; with v5 15.5 and 12, and then one of v3 and v4 may stay.
  const NodeDemand wanted = WithPriority(MakeNode(1, 0, 10, 10), 10);
  EXPECT_EQ(Victims({wanted}), (Names{"v2/0", "v3/0", "v5/0"}));
}

}  // namespace
}  // namespace strata::vcluster
