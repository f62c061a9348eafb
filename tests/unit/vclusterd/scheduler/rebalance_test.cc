// Moves that are proposed against interference and pressure.
#include "vclusterd/scheduler/rebalance.h"

#include "tests/unit/vclusterd/scheduler/fixtures.h"

namespace strata::vcluster {
namespace {

class RebalanceTest : public SchedulerTest {
 protected:
  std::vector<Move> Moves(const RebalanceLimits& limits = {}) {
    const auto moves = ProposeMoves(state, limits);
    EXPECT_TRUE(moves.ok());
    return moves.ok() ? *moves : std::vector<Move>{};
  }
  void Apply(const std::vector<Move>& moves) {
    for (const Move& move : moves) ASSERT_TRUE(state.MoveNode(move.key, move.to).ok());
  }
  // Uses as much memory as it asks for, and as many CPUs.
  void AddUsed(const NodeDemand& node, const std::string& host, double io = 0) {
    ASSERT_TRUE(
        state.AddNode({node, host, {node.request.cpus, node.request.memory_bytes, io}, true}).ok());
  }
  static HostReport Report(ResourceLevels pressure, ResourceLevels usage) {
    return {pressure, usage, true};
  }
};

TEST_F(RebalanceTest, TwoMemoryHeavyNodesEndUpApartAndStayThere) {
  AddHost(MakeHost("lab-1", 8, 32));
  AddHost(MakeHost("lab-2", 8, 32));
  AddNode(MemoryHeavy(MakeNode(1, 0, 1, 8)), "lab-1");
  AddNode(MemoryHeavy(MakeNode(1, 1, 1, 4)), "lab-1");
  AddNode(MakeNode(1, 2, 1, 1), "lab-1");
  const std::vector<Move> moves = Moves();
  // The one with less memory is cheaper to move.
  EXPECT_EQ(moves, (std::vector<Move>{{{1, 1},
                                       "v1/1",
                                       "lab-1",
                                       "lab-2",
                                       MoveCause::kInterference,
                                       "2 memory-heavy nodes on lab-1, 0 on lab-2"}}));
  EXPECT_EQ(state.FindNode({1, 1})->slot, *state.FindHost("lab-1"));  // Nothing was done.
  Apply(moves);
  EXPECT_TRUE(Moves().empty());
}

TEST_F(RebalanceTest, MemoryHeavyNodesAreEvenedOutAndNotSwappedAround) {
  for (const char* name : {"lab-1", "lab-2", "lab-3"}) AddHost(MakeHost(name, 16, 64));
  for (uint32_t i = 0; i < 5; ++i) AddNode(MemoryHeavy(MakeNode(i, 0, 1, 1)), "lab-1");
  AddNode(MemoryHeavy(MakeNode(9, 0, 1, 1)), "lab-2");
  RebalanceLimits limits;
  limits.moves_max = 100;
  Apply(Moves(limits));
  for (const char* name : {"lab-1", "lab-2", "lab-3"}) {
    EXPECT_EQ(state.host(*state.FindHost(name)).memory_heavy, 2u) << name;
  }
  EXPECT_TRUE(Moves(limits).empty());
}

TEST_F(RebalanceTest, NoMoreThanTheLimitOfMovesAreProposed) {
  for (const char* name : {"lab-1", "lab-2", "lab-3", "lab-4"}) AddHost(MakeHost(name, 16, 64));
  for (uint32_t i = 0; i < 4; ++i) AddNode(MemoryHeavy(MakeNode(i, 0, 1, 1)), "lab-1");
  RebalanceLimits limits;
  limits.moves_max = 2;
  EXPECT_EQ(Moves(limits).size(), 2u);
  limits.moves_max = 0;
  EXPECT_TRUE(Moves(limits).empty());
}

TEST_F(RebalanceTest, AGainBelowTheMarginIsNoReasonToMove) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 16, 64));
  AddNode(MemoryHeavy(MakeNode(1, 0, 1, 1)), "lab-1");
  AddNode(MemoryHeavy(MakeNode(2, 0, 1, 1)), "lab-1");
  RebalanceLimits limits;
  limits.interference_gain_min = 1.5;
  EXPECT_TRUE(Moves(limits).empty());
  AddNode(MemoryHeavy(MakeNode(3, 0, 1, 1)), "lab-1");
  EXPECT_EQ(Moves(limits).size(), 1u);  // Two pairs less.
}

TEST_F(RebalanceTest, TwoNodesWithHeavyIoAreHalfAReasonAndThreeAreOne) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 16, 64));
  NodeDemand heavy = MakeNode(1, 0, 1, 1);
  heavy.load.io = true;
  AddNode(heavy, "lab-1");
  heavy.key = {2, 0};
  AddNode(heavy, "lab-1");
  EXPECT_TRUE(Moves().empty());
  heavy.key = {3, 0};
  AddNode(heavy, "lab-1");
  const std::vector<Move> moves = Moves();
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_EQ(moves[0].reason, "3 I/O-heavy nodes on lab-1, 0 on lab-2");
  Apply(moves);
  EXPECT_TRUE(Moves().empty());
}

TEST_F(RebalanceTest, NodesThatAreNotMovableStay) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 16, 64));
  AddNode(MemoryHeavy(MakeNode(1, 0, 1, 1)), "lab-1");
  AddNode(MemoryHeavy(MakeNode(2, 0, 1, 9)), "lab-1");
  ASSERT_TRUE(state.UpdateNode({1, 0}, {false, true, false}, {}, false).ok());
  const std::vector<Move> moves = Moves();
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_EQ(moves[0].name, "v2/0");
  ASSERT_TRUE(state.UpdateNode({2, 0}, {false, true, false}, {}, false).ok());
  EXPECT_TRUE(Moves().empty());
}

TEST_F(RebalanceTest, AHostOfWhichNothingIsKnownSinceTheLastMoveTakesNothing) {
  AddHost(MakeHost("lab-1", 16, 64));
  HostOffer host = MakeHost("lab-2", 16, 64);
  host.report.settled = false;
  AddHost(host);
  AddNode(MemoryHeavy(MakeNode(1, 0, 1, 1)), "lab-1");
  AddNode(MemoryHeavy(MakeNode(2, 0, 1, 1)), "lab-1");
  EXPECT_TRUE(Moves().empty());
  ASSERT_TRUE(state.UpdateReport("lab-2", {}).ok());
  EXPECT_EQ(Moves().size(), 1u);
}

TEST_F(RebalanceTest, OfHostsThatGainTheSameTheBestByRankIsTaken) {
  AddHost(MakeHost("lab-1", 8, 32));
  AddHost(MakeHost("lab-2", 8, 32));
  AddHost(MakeHost("lab-3", 16, 64));
  AddHost(MakeHost("lab-4", 8, 32));
  AddNode(MemoryHeavy(MakeNode(1, 0, 1, 1)), "lab-1");
  AddNode(MemoryHeavy(MakeNode(2, 0, 1, 1)), "lab-1");
  EXPECT_EQ(Moves().at(0).to, "lab-3");
  ASSERT_TRUE(state.RemoveHost("lab-3").ok());
  EXPECT_EQ(Moves().at(0).to, "lab-2");
}

TEST_F(RebalanceTest, NoMoveBreaksARuleOrOverfillsAHost) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 1, 1));
  AddNode(MemoryHeavy(MakeNode(1, 0, 1, 2)), "lab-1");
  AddNode(MemoryHeavy(MakeNode(2, 0, 1, 2)), "lab-1");
  EXPECT_TRUE(Moves().empty());
  AddHost(MakeHost("lab-3", 16, 64));
  AddNode(WithRule(WithRole(MakeNode(1, 1, 1, 1), "db"), AffinityRule::Kind::kWith, true, "worker"),
          "lab-1");
  const std::vector<Move> moves = Moves();  // Not v1/0: v1/1 must be with it.
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_EQ(moves[0].name, "v2/0");
  AddNode(
      WithRule(WithRole(MakeNode(2, 1, 1, 1), "db"), AffinityRule::Kind::kApart, true, "worker"),
      "lab-3");
  EXPECT_TRUE(Moves().empty());
}

TEST_F(RebalanceTest, APressedHostGivesTheCheapestNodeThatRelievesIt) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 16, 64));
  AddUsed(MakeNode(1, 0, 1, 8), "lab-1");
  AddUsed(MakeNode(2, 0, 1, 16), "lab-1");
  AddUsed(MakeNode(3, 0, 1, 32), "lab-1");
  ASSERT_TRUE(state.UpdateReport("lab-1", Report({0, 0.5, 0}, {0.2, 0.875, 0})).ok());
  ASSERT_TRUE(state.UpdateReport("lab-2", Report({0, 0.1, 0}, {0.1, 0.2, 0})).ok());
  // v1/0 has 8 of the 56 GiB in use: 0.5 * (1 - 1/7) = 0.43 is still high. v2/0: 0.36 is not.
  const std::vector<Move> moves = Moves();
  EXPECT_EQ(moves, (std::vector<Move>{{{2, 0},
                                       "v2/0",
                                       "lab-1",
                                       "lab-2",
                                       MoveCause::kPressure,
                                       "memory pressure on lab-1 is 0.50 (high from 0.40), on "
                                       "lab-2 0.10"}}));
  Apply(moves);
  EXPECT_TRUE(Moves().empty());  // The reports are older than the move.
}

TEST_F(RebalanceTest, PressureIsJudgedAgainWhenThereIsAReportAfterTheMove) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 16, 64));
  for (uint32_t i = 1; i < 7; ++i) AddUsed(MakeNode(i, 0, 1, 8), "lab-1");
  ASSERT_TRUE(state.UpdateReport("lab-1", Report({0, 0.45, 0}, {0.2, 0.8, 0})).ok());
  Apply(Moves());
  EXPECT_TRUE(Moves().empty());
  ASSERT_TRUE(state.UpdateReport("lab-1", Report({0, 0.41, 0}, {0.2, 0.7, 0})).ok());
  EXPECT_TRUE(Moves().empty());  // No settled host to go to.
  ASSERT_TRUE(state.UpdateReport("lab-2", Report({0, 0.0, 0}, {0.1, 0.15, 0})).ok());
  EXPECT_EQ(Moves().size(), 1u);
  HostReport unsettled = Report({0, 0.41, 0}, {0.2, 0.7, 0});
  unsettled.settled = false;
  ASSERT_TRUE(state.UpdateReport("lab-1", unsettled).ok());
  EXPECT_TRUE(Moves().empty());  // The pressure may be of before the move.
}

TEST_F(RebalanceTest, WhenNoNodeIsEnoughTheOneThatHelpsMostGoesFirst) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 16, 64));
  AddUsed(MakeNode(1, 0, 1, 8), "lab-1");
  AddUsed(MakeNode(2, 0, 1, 16), "lab-1");
  AddUsed(MakeNode(3, 0, 1, 32), "lab-1");
  // Without v3/0, the largest, 3/7 of it is left: 0.43.
  ASSERT_TRUE(state.UpdateReport("lab-1", Report({0, 1.0, 0}, {0.2, 0.875, 0})).ok());
  const std::vector<Move> moves = Moves();
  ASSERT_FALSE(moves.empty());
  EXPECT_EQ(moves[0].name, "v3/0");
}

TEST_F(RebalanceTest, WhatIsSentToAHostCountsAgainstTheNextMove) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 16, 64));
  for (uint32_t i = 1; i < 5; ++i) AddUsed(MemoryHeavy(MakeNode(i, 0, 1, 1)), "lab-1");
  ASSERT_TRUE(state.UpdateReport("lab-2", Report({}, {0.75, 0, 0})).ok());
  EXPECT_EQ(Moves().size(), 2u);
  // 1/16 of its CPUs a node: 0.8625 is below usage_high, 0.925 is not.
  ASSERT_TRUE(state.UpdateReport("lab-2", Report({}, {0.8, 0, 0})).ok());
  EXPECT_EQ(Moves().size(), 1u);
}

TEST_F(RebalanceTest, ANodeThatHardlyAddsToThePressureStays) {
  AddHost(MakeHost("lab-1", 64, 64));
  AddHost(MakeHost("lab-2", 64, 64));
  for (uint32_t i = 1; i < 33; ++i) AddUsed(MakeNode(i, 0, 1, 1), "lab-1");
  // Each has 1/32 of the use: 0.42 / 32 = 0.013.
  ASSERT_TRUE(state.UpdateReport("lab-1", Report({0, 0.42, 0}, {0.5, 0.5, 0})).ok());
  EXPECT_TRUE(Moves().empty());
  RebalanceLimits limits;
  limits.pressure_gain_min = 0.01;
  EXPECT_EQ(Moves(limits).size(), 2u);  // 0.42 * 31/32 = 0.407, * 30/31 = 0.394.
}

TEST_F(RebalanceTest, SeveralNodesLeaveUntilThePressureIsGone) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 64, 256));
  for (uint32_t i = 1; i < 9; ++i) AddUsed(MakeNode(i, 0, 2, 1), "lab-1");
  ASSERT_TRUE(state.UpdateReport("lab-1", Report({0.6, 0, 0}, {1.0, 0.2, 0})).ok());
  // Each has 1/8 of the CPU use. 0.6 * 7/8 = 0.525, * 6/7 = 0.45, * 5/6 = 0.375.
  EXPECT_EQ(Moves().size(), 3u);
}

TEST_F(RebalanceTest, ANodeIsNotMovedWhereItWouldBeNoBetterOff) {
  AddHost(MakeHost("lab-1", 8, 64));
  AddHost(MakeHost("lab-2", 8, 64));
  AddUsed(MakeNode(1, 0, 6, 1), "lab-1");  // It makes the pressure all by itself.
  ASSERT_TRUE(state.UpdateReport("lab-1", Report({0.5, 0, 0}, {0.75, 0, 0})).ok());
  EXPECT_TRUE(Moves().empty());
  AddHost(MakeHost("lab-3", 16, 64));
  const std::vector<Move> moves = Moves();  // 6 of 16 CPUs there.
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_EQ(moves[0].to, "lab-3");
}

TEST_F(RebalanceTest, HostsThatArePressedOrNearlySoTakeNothing) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 16, 64));
  AddUsed(MakeNode(1, 0, 1, 16), "lab-1");
  AddUsed(MakeNode(2, 0, 1, 16), "lab-1");
  ASSERT_TRUE(state.UpdateReport("lab-1", Report({0, 0.5, 0}, {0.2, 0.8, 0})).ok());
  ASSERT_TRUE(state.UpdateReport("lab-2", Report({0, 0.2, 0}, {0.1, 0.1, 0})).ok());
  EXPECT_TRUE(Moves().empty());  // Not below pressure_low.
  ASSERT_TRUE(state.UpdateReport("lab-2", Report({0, 0.0, 0.4}, {0.1, 0.1, 0})).ok());
  EXPECT_TRUE(Moves().empty());  // Pressed otherwise.
  ASSERT_TRUE(state.UpdateReport("lab-2", Report({0, 0.0, 0}, {0.85, 0.1, 0})).ok());
  EXPECT_TRUE(Moves().empty());  // 0.85 + 1/16 of the CPUs is past usage_high.
  ASSERT_TRUE(state.UpdateReport("lab-2", Report({0, 0.0, 0}, {0.8, 0.1, 0})).ok());
  EXPECT_EQ(Moves().size(), 1u);
}

TEST_F(RebalanceTest, PressureIsNotRelievedAtTheCostOfInterference) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 16, 64));
  AddUsed(MemoryHeavy(MakeNode(1, 0, 1, 16)), "lab-1");
  AddUsed(MemoryHeavy(MakeNode(2, 0, 1, 1)), "lab-2");
  ASSERT_TRUE(state.UpdateReport("lab-1", Report({0, 0.5, 0}, {0.2, 0.8, 0})).ok());
  EXPECT_TRUE(Moves().empty());
}

TEST_F(RebalanceTest, LimitsThatCannotBeAreRefused) {
  for (const double wrong : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    RebalanceLimits limits;
    limits.interference_gain_min = wrong;
    EXPECT_EQ(ProposeMoves(state, limits).error().code(), Code::kInvalidArgument);
  }
  RebalanceLimits limits;
  limits.usage_gain_min = 1.5;
  EXPECT_FALSE(ProposeMoves(state, limits).ok());
  limits = {};
  limits.pressure_gain_min = -0.1;
  EXPECT_FALSE(ProposeMoves(state, limits).ok());
}

}  // namespace
}  // namespace strata::vcluster
