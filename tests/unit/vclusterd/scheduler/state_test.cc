// What the state takes in, and what it refuses.
#include <limits>

#include "tests/unit/vclusterd/scheduler/fixtures.h"
#include "vclusterd/scheduler/load_class.h"

namespace strata::vcluster {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class StateTest : public SchedulerTest {};

TEST_F(StateTest, ValuesOfAHostThatCannotBeAreRefused) {
  for (const double wrong : {kNan, kInfinity, -1.0, 1e9}) {
    for (double HostOffer::*value :
         {&HostOffer::cpus, &HostOffer::overcommit_cpus, &HostOffer::overcommit_memory}) {
      HostOffer host = MakeHost("lab-1", 8, 16);
      host.*value = wrong;
      EXPECT_EQ(state.PutHost(host).error().code(), Code::kInvalidArgument) << wrong;
    }
  }
  HostOffer host = MakeHost("lab-1", 8, 16);
  host.memory_bytes = UINT64_MAX;
  EXPECT_FALSE(state.PutHost(host).ok());
  host = MakeHost("lab-1", 8, 16);
  host.report.pressure.io = 1.5;
  EXPECT_FALSE(state.PutHost(host).ok());
  host = MakeHost("", 8, 16);
  EXPECT_FALSE(state.PutHost(host).ok());
  EXPECT_FALSE(state.PutHost(MakeHost("lab\n1", 8, 16)).ok());
  EXPECT_FALSE(state.PutHost(MakeHost(std::string(200, 'x'), 8, 16)).ok());
  EXPECT_TRUE(state.Hosts().empty());
}

TEST_F(StateTest, ErrorsSayWhichValueOfWhatCannotBe) {
  HostOffer host = MakeHost("lab-1", 8, 16);
  host.overcommit_cpus = -2;
  EXPECT_EQ(state.PutHost(host).error().message(),
            "host 'lab-1': over-commit of CPUs: -2 is not between 0 and 64");
  NodeDemand node = MakeNode(1, 0, kNan, 1);
  EXPECT_EQ(Place(&state, {{MakeVcluster({node})}, {}}).error().message(),
            "node 'v1/0': CPUs: nan is not between 0 and 100000");
}

TEST_F(StateTest, RequestsThatCannotBeAreRefusedAsAWhole) {
  AddHost(MakeHost("lab-1", 8, 16));
  const auto refused = [&](const VclusterDemand& vcluster) {
    const auto placed = Place(&state, {{MakeVcluster({MakeNode(99, 0, 1, 1)}), vcluster}, {}});
    return !placed.ok() && placed.error().code() == Code::kInvalidArgument &&
           state.nodes_count() == 0;
  };
  for (const double wrong : {kNan, kInfinity, -1.0}) {
    EXPECT_TRUE(refused(MakeVcluster({MakeNode(1, 0, wrong, 1)})));
  }
  EXPECT_TRUE(refused(MakeVcluster({MakeNode(1, 0, 1, 1), MakeNode(1, 0, 1, 1)})));
  EXPECT_TRUE(refused(MakeVcluster({MakeNode(1, 0, 1, 1), MakeNode(2, 0, 1, 1)})));
  EXPECT_TRUE(refused(MakeVcluster({MakeNode(99, 1, 1, 1)})));
  VclusterDemand empty;
  empty.name = "empty";
  EXPECT_TRUE(refused(empty));
  VclusterDemand owners = MakeVcluster({MakeNode(1, 0, 1, 1), MakeNode(1, 1, 1, 1)});
  owners.nodes[1].owner_uid = 1;
  EXPECT_TRUE(refused(owners));
  NodeDemand node = MakeNode(1, 0, 1, 1);
  node.rules.resize(kRulesMax + 1);
  EXPECT_TRUE(refused(MakeVcluster({node})));
  node = MakeNode(1, 0, 1, 1);
  node.required_labels = {"\x1b[2J"};
  EXPECT_TRUE(refused(MakeVcluster({node})));
  std::vector<NodeDemand> many;
  for (uint32_t i = 0; i <= kRequestedNodesMax; ++i) many.push_back(MakeNode(1, i, 0, 0));
  EXPECT_TRUE(refused(MakeVcluster(many)));
}

TEST_F(StateTest, QuotasThatCannotBeAreRefused) {
  PlacementRequest request;
  request.quotas.resize(1);
  request.quotas[0].cpus.limit = kNan;
  EXPECT_EQ(Place(&state, request).error().code(), Code::kInvalidArgument);
  request.quotas[0].cpus.limit = 5;
  EXPECT_TRUE(Place(&state, request).ok());
  request.quotas.push_back(request.quotas[0]);
  EXPECT_EQ(Place(&state, request).error().code(), Code::kInvalidArgument);
}

TEST_F(StateTest, ReservationsThatCannotBeAreRefused) {
  const auto code = [&](const Reservation& reservation) {
    return state.SetReservations({reservation}).error().code();
  };
  Reservation reservation;
  reservation.name = "exam";
  EXPECT_EQ(code(reservation), Code::kInvalidArgument);  // Keeps nothing.
  reservation.piece.cpus = -1;
  EXPECT_EQ(code(reservation), Code::kInvalidArgument);
  reservation.piece = {1, uint64_t{1} << 49, 0};
  reservation.pieces = 3;
  EXPECT_EQ(code(reservation), Code::kInvalidArgument);  // More than can be counted.
  reservation.pieces = 1;
  EXPECT_TRUE(state.SetReservations({reservation}).ok());
  EXPECT_EQ(state.SetReservations({reservation, reservation}).error().code(), Code::kAlreadyExists);
  EXPECT_EQ(state.Reservations().size(), 1u);
}

TEST_F(StateTest, ParametersThatCannotBeAreRefused) {
  SchedulerParameters parameters;
  parameters.default_cpus = 0;
  EXPECT_FALSE(PlacementState::Create(parameters).ok());
  parameters = {};
  parameters.default_memory_bytes = 0;
  EXPECT_FALSE(PlacementState::Create(parameters).ok());
  parameters = {};
  parameters.pressure_low = 0.5;  // Above the high one.
  EXPECT_FALSE(PlacementState::Create(parameters).ok());
  parameters = {};
  parameters.usage_high = kNan;
  EXPECT_FALSE(PlacementState::Create(parameters).ok());
}

TEST_F(StateTest, NamesThatAreNotThereOrThereAlreadyAreErrors) {
  AddHost(MakeHost("lab-1", 8, 16));
  AddNode(MakeNode(1, 0, 1, 1), "lab-1");
  EXPECT_EQ(state.AddNode({MakeNode(1, 0, 1, 1), "lab-1", {}, true}).error().code(),
            Code::kAlreadyExists);
  EXPECT_EQ(state.AddNode({MakeNode(1, 1, 1, 1), "lab-2", {}, true}).error().code(),
            Code::kNotFound);
  EXPECT_EQ(state.RemoveNode({1, 1}).error().code(), Code::kNotFound);
  EXPECT_EQ(state.MoveNode({1, 1}, "lab-1").error().code(), Code::kNotFound);
  EXPECT_EQ(state.MoveNode({1, 0}, "lab-2").error().code(), Code::kNotFound);
  EXPECT_EQ(state.UpdateNode({1, 1}, {}, {}, true).error().code(), Code::kNotFound);
  EXPECT_EQ(state.UpdateNode({1, 0}, {}, {kNan, 0, 0}, true).error().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(state.UpdateReport("lab-2", {}).error().code(), Code::kNotFound);
  EXPECT_EQ(state.RemoveHost("lab-2").error().code(), Code::kNotFound);
  EXPECT_EQ(state.RemoveHost("lab-1").error().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(state.RemoveNode({1, 0}).ok());
  EXPECT_TRUE(state.RemoveHost("lab-1").ok());
}

TEST_F(StateTest, NodesThatAskForMoreThanCanBeCountedAreRefused) {
  AddHost(MakeHost("lab-1", 8, 16));
  NodeDemand node = MakeNode(1, 0, 1, 1);
  node.request.memory_bytes = kSchedulerBytesMax;
  Status added = Ok();
  uint32_t count = 0;
  while (added.ok() && count < 5000) {
    node.key.node = count++;
    added = state.AddNode({node, "lab-1", {}, true});
  }
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().code(), Code::kResourceExhausted);
}

TEST_F(StateTest, AHostKeepsItsNodesWhenItsValuesChange) {
  AddHost(MakeHost("lab-1", 8, 16));
  AddNode(MakeNode(1, 0, 6, 1), "lab-1");
  AddHost(MakeHost("lab-1", 4, 16));
  EXPECT_EQ(Refusals(MakeNode(2, 0, 1, 1), "lab-1"), "needs 1 CPU, 0 left of 4 (over-commit 1.0)");
  AddHost(MakeHost("lab-1", 7, 16));
  EXPECT_EQ(Refusals(MakeNode(2, 0, 1, 1), "lab-1"), "");
}

TEST_F(StateTest, AMoveUnsettlesTheReportsOfBothHosts) {
  for (const char* name : {"lab-1", "lab-2", "lab-3"}) AddHost(MakeHost(name, 8, 16));
  AddNode(MakeNode(1, 0, 1, 1), "lab-1");
  ASSERT_TRUE(state.MoveNode({1, 0}, "lab-2").ok());
  const std::vector<HostOffer> hosts = state.Hosts();
  EXPECT_FALSE(hosts[0].report.settled);
  EXPECT_FALSE(hosts[1].report.settled);
  EXPECT_TRUE(hosts[2].report.settled);
  EXPECT_EQ(state.Nodes()[0].host, "lab-2");
}

TEST_F(StateTest, AMovedNodeIsNotMovableUntilItIsSaidToBe) {
  for (const char* name : {"lab-1", "lab-2"}) AddHost(MakeHost(name, 8, 16));
  AddNode(MakeNode(1, 0, 1, 1), "lab-1");
  EXPECT_TRUE(state.Nodes()[0].movable);
  ASSERT_TRUE(state.MoveNode({1, 0}, "lab-2").ok());
  EXPECT_FALSE(state.Nodes()[0].movable);
  ASSERT_TRUE(state.UpdateNode({1, 0}, {}, {}, true).ok());
  EXPECT_TRUE(state.Nodes()[0].movable);
}

TEST_F(StateTest, SlotsOfHostsThatWentAreUsedAgain) {
  AddHost(MakeHost("lab-1", 8, 16));
  AddHost(MakeHost("lab-2", 8, 16));
  AddNode(MakeNode(1, 0, 1, 1), "lab-2");
  ASSERT_TRUE(state.RemoveHost("lab-1").ok());
  AddHost(MakeHost("lab-3", 8, 16));
  EXPECT_EQ(state.slots(), 2u);
  EXPECT_EQ(HostOf(MakeNode(1, 1, 1, 1)), "lab-2");
  EXPECT_EQ(state.Hosts()[1].name, "lab-3");
}

TEST(LoadClassTest, ANodeIsHeavyFromAQuarterOfItsHostOn) {
  const HostOffer host = MakeHost("lab-1", 8, 16);
  EXPECT_EQ(*ClassifyLoad({2, 4 * kGiB, 0.25}, 0, host, {}), (LoadClass{true, true, true}));
  EXPECT_EQ(*ClassifyLoad({1.9, 4 * kGiB - 1, 0.24}, 0, host, {}), LoadClass{});
}

TEST(LoadClassTest, ANodeThatWaitsForMemoryIsMemoryHeavyHoweverSmall) {
  const HostOffer host = MakeHost("lab-1", 8, 16);
  EXPECT_EQ(*ClassifyLoad({0.1, kMiB, 0}, 0.1, host, {}), (LoadClass{false, true, false}));
  EXPECT_EQ(*ClassifyLoad({0.1, kMiB, 0}, 0.09, host, {}), LoadClass{});
}

TEST(LoadClassTest, AHeavyNodeStaysSoUntilItIsWellBelow) {
  const HostOffer host = MakeHost("lab-1", 8, 16);
  const LoadClass all = {true, true, true};
  EXPECT_EQ(*ClassifyLoad({1.6, 16 * kGiB / 5 + 1, 0.2}, 0, host, all),
            all);  // 0.8 * 0.25 = 0.2 of each.
  EXPECT_EQ(*ClassifyLoad({1.5, 3 * kGiB, 0.19}, 0, host, all), LoadClass{});
}

TEST(LoadClassTest, NothingIsHeavyOnAHostOfWhichNothingIsKnown) {
  HostOffer host;
  host.name = "lab-1";
  EXPECT_EQ(*ClassifyLoad({}, 0, host, {}), LoadClass{});
  EXPECT_EQ(ClassifyLoad({kNan, 0, 0}, 0, host, {}).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(ClassifyLoad({}, 1.1, host, {}).error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace strata::vcluster
