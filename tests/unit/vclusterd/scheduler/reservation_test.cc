// Room that is kept for somebody.
#include "tests/unit/vclusterd/scheduler/fixtures.h"

namespace strata::vcluster {
namespace {

class ReservationTest : public SchedulerTest {
 protected:
  // For owner 2000.
  static Reservation Kept(const std::string& name, double cpus, uint64_t memory_gib,
                          std::vector<std::string> hosts) {
    Reservation reservation;
    reservation.name = name;
    reservation.number = 2000;
    reservation.piece = {cpus, memory_gib * kGiB, 0};
    reservation.hosts = std::move(hosts);
    return reservation;
  }
  static NodeDemand Owned(NodeDemand node, uint32_t owner) {
    node.owner_uid = owner;
    return node;
  }
  void Keep(std::vector<Reservation> reservations) {
    const Status set = state.SetReservations(std::move(reservations));
    ASSERT_TRUE(set.ok()) << set.error().message();
  }
};

TEST_F(ReservationTest, RoomOnANamedHostIsKeptFromOthers) {
  AddHost(MakeHost("lab-1", 8, 16));
  AddHost(MakeHost("lab-2", 8, 16));
  Keep({Kept("exam", 6, 8, {"lab-1"})});
  EXPECT_EQ(Refusals(MakeNode(1, 0, 2, 8), "lab-1"), "");
  EXPECT_EQ(Refusals(MakeNode(1, 0, 3, 1), "lab-1"),
            "needs 3 CPUs, 2 left of 8 (over-commit 1.0) beside what is kept for 'exam'");
  EXPECT_EQ(Refusals(MakeNode(1, 0, 3, 1), "lab-2"), "");
}

TEST_F(ReservationTest, ItsHolderTakesWhatIsKeptForHim) {
  AddHost(MakeHost("lab-1", 8, 16));
  Keep({Kept("exam", 6, 8, {"lab-1"})});
  EXPECT_EQ(Refusals(Owned(MakeNode(1, 0, 8, 16), 2000), "lab-1"), "");
  AddNode(Owned(MakeNode(1, 0, 5, 8), 2000), "lab-1");
  // 3 CPUs are free, and 1 of the 6 is still kept.
  EXPECT_EQ(Refusals(MakeNode(2, 0, 2, 8), "lab-1"), "");
  EXPECT_THAT(Refusals(MakeNode(2, 0, 2.5, 1), "lab-1"), testing::HasSubstr("2 left of 8"));
  ASSERT_TRUE(state.RemoveNode({1, 0}).ok());
  EXPECT_THAT(Refusals(MakeNode(2, 0, 2.5, 1), "lab-1"), testing::HasSubstr("2 left of 8"));
}

TEST_F(ReservationTest, HoldersMayBeGroupsAndVclusters) {
  AddHost(MakeHost("lab-1", 8, 16));
  Reservation group = Kept("course", 4, 1, {"lab-1"});
  group.holder = Reservation::Holder::kGroup;
  group.group = "students";
  Reservation vcluster = Kept("hpc", 4, 1, {"lab-1"});
  vcluster.holder = Reservation::Holder::kVcluster;
  vcluster.number = 7;
  Keep({group, vcluster});
  EXPECT_EQ(Refusals(MakeNode(1, 0, 1, 1), "lab-1"),
            "needs 1 CPU, 0 left of 8 (over-commit 1.0) beside what is kept for 'course' and "
            "'hpc'");
  NodeDemand student = MakeNode(1, 0, 4, 1);
  student.group = "students";
  EXPECT_EQ(Refusals(student, "lab-1"), "");
  EXPECT_EQ(Refusals(MakeNode(7, 0, 4, 1), "lab-1"), "");
  NodeDemand both = MakeNode(7, 0, 8, 1);
  both.group = "students";
  EXPECT_EQ(Refusals(both, "lab-1"), "");
}

TEST_F(ReservationTest, PiecesOnANamedHostAddUp) {
  AddHost(MakeHost("lab-1", 8, 16));
  Reservation reservation = Kept("exam", 2, 1, {"lab-1"});
  reservation.pieces = 3;
  Keep({reservation});
  EXPECT_THAT(Refusals(MakeNode(1, 0, 3, 1), "lab-1"), testing::HasSubstr("2 left of 8"));
}

TEST_F(ReservationTest, PiecesAnywhereNeedHostsThatHoldThemWhole) {
  AddHost(MakeHost("lab-1", 4, 16));
  AddHost(MakeHost("lab-2", 3, 16));
  AddHost(MakeHost("lab-3", 3, 16));
  Reservation reservation = Kept("exam", 2, 1, {});
  reservation.pieces = 4;  // lab-1 has room for two, the others for one each.
  Keep({reservation});
  EXPECT_EQ(Refusals(MakeNode(1, 0, 1, 1), "lab-1"), "has room that reservation 'exam' needs");
  EXPECT_EQ(Refusals(MakeNode(1, 0, 1, 1), "lab-2"), "");
  EXPECT_EQ(HostOf(MakeNode(1, 0, 1, 1)), "lab-2");
  EXPECT_EQ(Refusals(MakeNode(1, 1, 1, 1), "lab-2"), "has room that reservation 'exam' needs");
  EXPECT_EQ(HostOf(MakeNode(1, 1, 1, 1)), "lab-3");
  EXPECT_THAT(HostOf(MakeNode(1, 2, 1, 1)),
              testing::HasSubstr("3 hosts: has room that reservation 'exam' needs"));
}

TEST_F(ReservationTest, WhatItsHolderHasAnywhereIsNoLongerKept) {
  AddHost(MakeHost("lab-1", 4, 16));
  AddHost(MakeHost("lab-2", 4, 16));
  Reservation reservation = Kept("exam", 2, 1, {});
  reservation.pieces = 4;
  Keep({reservation});
  EXPECT_THAT(HostOf(MakeNode(1, 0, 1, 1)), testing::HasSubstr("'exam'"));
  EXPECT_EQ(HostOf(Owned(MakeNode(2, 0, 3, 1), 2000)), "lab-1");  // 5 CPUs: three pieces are left.
  EXPECT_THAT(HostOf(MakeNode(1, 0, 1, 1)), testing::HasSubstr("'exam'"));
  ASSERT_TRUE(state.RemoveNode({2, 0}).ok());
  // All of it, and memory for four: nothing is left to keep.
  EXPECT_EQ(HostsOf({Owned(MakeNode(2, 0, 4, 2), 2000), Owned(MakeNode(2, 1, 3.5, 2), 2000)}),
            (std::vector<std::string>{"lab-1", "lab-2"}));
  EXPECT_THAT(HostOf(MakeNode(1, 0, 0.5, 1)), testing::HasSubstr("others: 1 host: has room"));
  EXPECT_EQ(HostOf(Owned(MakeNode(2, 2, 0.5, 1), 2000)), "lab-2");
  EXPECT_THAT(HostOf(MakeNode(1, 0, 0.5, 1)), testing::Not(testing::HasSubstr("exam")));
}

TEST_F(ReservationTest, OthersMayHaveTheRoomThatItsHolderNeedsNoLonger) {
  AddHost(MakeHost("lab-1", 6, 16));
  Reservation reservation = Kept("exam", 2, 1, {});
  reservation.pieces = 2;
  Keep({reservation});
  EXPECT_EQ(Refusals(MakeNode(1, 0, 2, 1), "lab-1"), "");
  EXPECT_EQ(Refusals(MakeNode(1, 0, 3, 1), "lab-1"), "has room that reservation 'exam' needs");
  AddNode(Owned(MakeNode(2, 0, 2, 1), 2000), "lab-1");
  EXPECT_EQ(Refusals(MakeNode(1, 0, 2, 1), "lab-1"), "");
  EXPECT_EQ(Refusals(MakeNode(1, 0, 3, 1), "lab-1"), "has room that reservation 'exam' needs");
}

TEST_F(ReservationTest, SeveralAnywhereDoNotCountOnTheSameRoom) {
  AddHost(MakeHost("lab-1", 4, 16));
  Reservation second = Kept("second", 2, 1, {});
  second.number = 2001;
  Keep({Kept("first", 2, 1, {}), second});
  EXPECT_EQ(Refusals(MakeNode(1, 0, 1, 1), "lab-1"), "has room that reservation 'second' needs");
  // Each of the holders has to leave the other's.
  EXPECT_EQ(Refusals(Owned(MakeNode(1, 0, 2, 1), 2000), "lab-1"), "");
  EXPECT_EQ(Refusals(Owned(MakeNode(1, 0, 3, 1), 2000), "lab-1"),
            "has room that reservation 'second' needs");
}

TEST_F(ReservationTest, RoomThatIsKeptOnAHostIsNoRoomForPiecesAnywhere) {
  AddHost(MakeHost("lab-1", 4, 16));
  Reservation second = Kept("second", 2, 1, {"lab-1"});
  second.number = 2001;
  Keep({Kept("first", 2, 1, {}), second});
  EXPECT_EQ(Refusals(MakeNode(1, 0, 1, 1), "lab-1"), "has room that reservation 'first' needs");
  EXPECT_EQ(Refusals(Owned(MakeNode(1, 0, 2, 1), 2001), "lab-1"), "");
}

TEST_F(ReservationTest, AHostThatMayHoldNoMoreNodesHasNoRoomForPieces) {
  HostOffer host = MakeHost("lab-1", 8, 16);
  host.nodes_max = 2;
  AddHost(host);
  Keep({Kept("exam", 1, 1, {})});
  EXPECT_EQ(HostOf(MakeNode(1, 0, 1, 1)), "lab-1");
  EXPECT_EQ(Refusals(MakeNode(1, 1, 1, 1), "lab-1"), "has room that reservation 'exam' needs");
}

TEST_F(ReservationTest, WhatIsBrokenAlreadyRefusesOnlyWhatMakesItWorse) {
  AddHost(MakeHost("lab-1", 4, 16));
  HostOffer other = MakeHost("lab-2", 4, 16);
  AddHost(other);
  Reservation reservation = Kept("exam", 2, 1, {});
  reservation.pieces = 4;
  Keep({reservation});
  other.condition = HostCondition::kLost;
  AddHost(other);  // Two pieces are lost with it.
  HostOffer small = MakeHost("lab-3", 1, 16);
  AddHost(small);
  EXPECT_EQ(Refusals(MakeNode(1, 0, 1, 1), "lab-1"), "has room that reservation 'exam' needs");
  EXPECT_THAT(Refusals(MakeNode(1, 0, 1, 1), "lab-3"), testing::HasSubstr("'exam'"));
  Keep({});
  EXPECT_EQ(Refusals(MakeNode(1, 0, 1, 1), "lab-3"), "");
}

TEST_F(ReservationTest, HostsThatComeLaterAreKeptFromThenOn) {
  AddHost(MakeHost("lab-2", 8, 16));
  Keep({Kept("exam", 6, 8, {"lab-1"})});
  AddHost(MakeHost("lab-1", 8, 16));
  EXPECT_THAT(Refusals(MakeNode(1, 0, 3, 1), "lab-1"), testing::HasSubstr("'exam'"));
  ASSERT_TRUE(state.RemoveHost("lab-2").ok());
  EXPECT_THAT(Refusals(MakeNode(1, 0, 3, 1), "lab-1"), testing::HasSubstr("'exam'"));
}

}  // namespace
}  // namespace strata::vcluster
