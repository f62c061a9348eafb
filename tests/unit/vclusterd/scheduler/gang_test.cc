// Vclusters are placed as a whole or not at all.
#include "tests/unit/vclusterd/scheduler/fixtures.h"

namespace strata::vcluster {
namespace {

using Kind = AffinityRule::Kind;

class GangTest : public SchedulerTest {
 protected:
  // What the state says of all hosts and nodes.
  struct Content {
    std::vector<HostOffer> hosts;
    std::vector<PlacedNode> nodes;
    std::vector<Amounts> requested;
    bool operator==(const Content&) const = default;
  };
  Content ContentNow() {
    Content content = {state.Hosts(), state.Nodes(), {}};
    for (const HostSlot slot : state.order()) {
      content.requested.push_back(state.host(slot).requested);
    }
    return content;
  }
};

TEST_F(GangTest, WhenOneNodeDoesNotFitNothingIsChanged) {
  AddHost(MakeHost("lab-1", 4, 16));
  AddHost(MakeHost("lab-2", 4, 16));
  AddNode(MakeNode(9, 0, 1, 1), "lab-1");
  const Content before = ContentNow();
  const VclusterPlacement placed =
      PlaceNodes({MakeNode(1, 0, 3, 1), MakeNode(1, 1, 3, 1), MakeNode(1, 2, 3, 1)});
  ASSERT_TRUE(placed.error);
  EXPECT_EQ(placed.error->code(), Code::kResourceExhausted);
  EXPECT_TRUE(placed.nodes.empty());
  EXPECT_EQ(ContentNow(), before);
  EXPECT_EQ(state.present().Of({1, ""}).size(), 0u);
}

TEST_F(GangTest, TheErrorNamesTheNodeWhatIsShortTheNearestHostAndWhatToDo) {
  AddHost(MakeHost("lab-1", 1, 16));
  HostOffer second = MakeHost("lab-2", 8, 16);
  AddHost(second);
  AddNode(MakeNode(9, 0, 6.5, 14), "lab-2");
  HostOffer third = MakeHost("lab-3", 64, 256);
  third.condition = HostCondition::kDraining;
  AddHost(third);
  EXPECT_EQ(HostOf(MakeNode(1, 0, 4, 2)),
            "v1/0 needs 4 CPUs, 2.0 GiB: no host has room. The most room is on lab-2: 1.5 CPUs, "
            "2.0 GiB (needs 4 CPUs, 1.5 left of 8 (over-commit 1.0)); others: 1 host: draining. "
            "Ask for less, stop other nodes, or add a host");
}

TEST_F(GangTest, TheErrorSaysWhenNoHostMayTakeTheNode) {
  AddHost(MakeHost("lab-1", 8, 16));
  AddHost(MakeHost("lab-2", 8, 16));
  NodeDemand node = MakeNode(1, 0, 1, 1);
  node.required_labels = {"gpu"};
  EXPECT_EQ(HostOf(node),
            "v1/0 needs 1 CPU, 1.0 GiB: no host may take it (2 hosts: lacks label gpu). "
            "Change what it asks of its host, or add one");
}

TEST_F(GangTest, WithoutHostsTheErrorSaysSo) {
  EXPECT_EQ(HostOf(MakeNode(1, 0, 1, 1)), "v1/0 needs 1 CPU, 1.0 GiB: there are no hosts. Add one");
}

TEST_F(GangTest, OneVclusterThatDoesNotFitLeavesTheOthersAlone) {
  AddHost(MakeHost("lab-1", 4, 16));
  PlacementRequest request;
  request.vclusters = {MakeVcluster({MakeNode(1, 0, 3, 1), MakeNode(1, 1, 3, 1)}),
                       MakeVcluster({MakeNode(2, 0, 4, 1)})};
  const auto placed = Place(&state, request);
  ASSERT_TRUE(placed.ok());
  EXPECT_TRUE((*placed)[0].error);
  EXPECT_EQ((*placed)[1].nodes, (std::vector<NodePlacement>{{{2, 0}, "lab-1"}}));
}

TEST_F(GangTest, ImportantVclustersAreServedFirst) {
  AddHost(MakeHost("lab-1", 4, 16));
  PlacementRequest request;
  request.vclusters = {MakeVcluster({MakeNode(1, 0, 3, 1)}),
                       MakeVcluster({WithPriority(MakeNode(2, 0, 3, 1), 5)})};
  const auto placed = Place(&state, request);
  ASSERT_TRUE(placed.ok());
  EXPECT_TRUE((*placed)[0].error);
  EXPECT_FALSE((*placed)[1].error);
}

TEST_F(GangTest, LargeNodesArePlacedBeforeSmallOnes) {
  AddHost(MakeHost("lab-1", 4, 4));
  AddHost(MakeHost("lab-2", 2, 8));
  // If the small ones came first, both would go to lab-1.
  EXPECT_EQ(HostsOf({MakeNode(1, 0, 1, 1), MakeNode(1, 1, 1, 1), MakeNode(1, 2, 1, 6)}),
            (std::vector<std::string>{"lab-2", "lab-1", "lab-2"}));
}

TEST_F(GangTest, NodesThatNeedLabelsArePlacedFirst) {
  HostOffer gpu = MakeHost("lab-1", 2, 8);
  gpu.labels = {"gpu"};
  AddHost(gpu);
  AddHost(MakeHost("lab-2", 1, 4));
  NodeDemand needs = MakeNode(1, 1, 1, 1);
  needs.required_labels = {"gpu"};
  const VclusterPlacement placed = PlaceNodes({MakeNode(1, 0, 1, 2), needs}, true);
  ASSERT_EQ(placed.explanations.size(), 2u);
  EXPECT_EQ(placed.explanations[0].name, "v1/1");
}

TEST_F(GangTest, ANodeInTheWayOfOneWithALabelIsPutElsewhere) {
  HostOffer gpu = MakeHost("lab-1", 8, 64);
  gpu.labels = {"gpu"};
  AddHost(gpu);
  AddHost(MakeHost("lab-2", 4, 16));
  // The master comes first and takes the least requested host, which leaves the worker no room.
  NodeDemand master = WithRole(WithRank(MakeNode(1, 0, 2, 4), RankBy::kLeastRequested), "master");
  NodeDemand worker = MakeNode(1, 1, 7, 4);
  worker.required_labels = {"gpu"};
  EXPECT_EQ(HostsOf({master, worker}), (std::vector<std::string>{"lab-2", "lab-1"}));
}

// Hosts of which workers prefer lab-3 (v 16 against 8), and least requested nodes lab-2.
class OrderTest : public GangTest {
 protected:
  OrderTest() {
    AddHost(MakeHost("lab-1", 1, 1));
    AddHost(MakeHost("lab-2", 8, 64));
    AddHost(MakeHost("lab-3", 32, 256));
    AddNode(MakeNode(9, 0, 16, 128), "lab-3");
  }
  // By size and rank it would be first.
  static NodeDemand Follower() {
    return WithRule(WithRole(WithRank(MakeNode(1, 0, 2, 8), RankBy::kLeastRequested), "db"),
                    Kind::kWith, true, "worker");
  }
};

TEST_F(OrderTest, WhoMustBeWithANodeOfTheRequestComesAfterIt) {
  EXPECT_EQ(HostsOf({Follower(), MakeNode(1, 1, 1, 1)}),
            (std::vector<std::string>{"lab-3", "lab-3"}));
}

TEST_F(OrderTest, NodesThatMustBeWithTheirOwnKindDoNotWaitForEachOther) {
  const auto together = [](uint32_t i) {
    return WithRule(MakeNode(1, i, 1, 1), Kind::kWith, true, "worker");
  };
  EXPECT_EQ(HostsOf({Follower(), together(1), together(2)}), std::vector<std::string>(3, "lab-3"));
}

TEST_F(GangTest, ANodeIsPutWhereTheOneThatMustBeWithItFitsToo) {
  AddHost(MakeHost("lab-1", 3, 64));
  AddHost(MakeHost("lab-2", 6, 16));
  // By rate lab-1 is better for the master, but the worker does not fit there.
  const NodeDemand master =
      WithRole(WithRank(MakeNode(1, 0, 1, 8), RankBy::kLeastRequested), "master");
  EXPECT_EQ(HostOf(master), "lab-1");
  ASSERT_TRUE(state.RemoveNode(master.key).ok());
  const NodeDemand worker = WithRule(MakeNode(1, 1, 4, 2), Kind::kWith, true, "master");
  EXPECT_EQ(HostsOf({master, worker}), (std::vector<std::string>{"lab-2", "lab-2"}));
}

TEST_F(GangTest, AHopelessRequestIsGivenUpAndChangesNothing) {
  for (uint32_t i = 0; i < 200; ++i) AddHost(MakeHost("lab-" + std::to_string(i), 4, 64));
  const Content before = ContentNow();
  const NodeDemand worker = WithRule(MakeNode(1, 1, 4, 2), Kind::kWith, true, "master");
  EXPECT_THAT(HostsOf({WithRole(MakeNode(1, 0, 1, 8), "master"), worker})[0],
              testing::HasSubstr("v1/1 needs 4 CPUs"));
  EXPECT_EQ(ContentNow(), before);
}

TEST_F(GangTest, NodesThatMustBeWithEachOtherInACircleShareAHost) {
  AddHost(MakeHost("lab-1", 2, 64));
  AddHost(MakeHost("lab-2", 3, 16));
  const auto node = [](uint32_t i, const std::string& role, const std::string& with) {
    return WithRule(WithRole(MakeNode(1, i, 1, 1), role), Kind::kWith, true, with);
  };
  EXPECT_EQ(HostsOf({node(0, "a", "b"), node(1, "b", "c"), node(2, "c", "a")}),
            std::vector<std::string>(3, "lab-2"));
}

TEST_F(GangTest, NodesOfOneRoleThatMustBeApartEachGetAHost) {
  for (const char* name : {"lab-1", "lab-2", "lab-3"}) AddHost(MakeHost(name, 8, 64));
  const auto apart = [](uint32_t vcluster, uint32_t i) {
    return WithRule(MakeNode(vcluster, i, 1, 1), Kind::kApart, true, "worker");
  };
  EXPECT_EQ(HostsOf({apart(1, 0), apart(1, 1), apart(1, 2)}),
            (std::vector<std::string>{"lab-1", "lab-2", "lab-3"}));
  EXPECT_THAT(HostsOf({apart(2, 0), apart(2, 1), apart(2, 2), apart(2, 3)})[0],
              testing::HasSubstr("1 host: must be apart from v2/0"));
}

TEST_F(GangTest, RulesThatCannotAllBeKeptAreAnErrorAndChangeNothing) {
  AddHost(MakeHost("lab-1", 8, 64));
  AddHost(MakeHost("lab-2", 8, 64));
  NodeDemand torn = WithRule(MakeNode(1, 1, 1, 1), Kind::kWith, true, "master");
  torn = WithRule(torn, Kind::kApart, true, "master");
  const VclusterPlacement placed = PlaceNodes({WithRole(MakeNode(1, 0, 1, 1), "master"), torn});
  ASSERT_TRUE(placed.error);
  EXPECT_TRUE(state.Nodes().empty());
}

TEST_F(GangTest, MoreNodesOfAVclusterMayComeLater) {
  AddHost(MakeHost("lab-1", 8, 64));
  AddHost(MakeHost("lab-2", 8, 64));
  EXPECT_EQ(HostOf(MakeNode(1, 0, 1, 1)), "lab-1");
  EXPECT_EQ(HostOf(WithRule(MakeNode(1, 1, 1, 1), Kind::kApart, true, "worker")), "lab-2");
}

TEST_F(GangTest, ANodeThatIsPlacedAlreadyIsRefusedWithAllOfTheRequest) {
  AddHost(MakeHost("lab-1", 8, 64));
  AddNode(MakeNode(1, 0, 1, 1), "lab-1");
  PlacementRequest request;
  request.vclusters = {MakeVcluster({MakeNode(2, 0, 1, 1)}), MakeVcluster({MakeNode(1, 0, 1, 1)})};
  const auto placed = Place(&state, request);
  ASSERT_FALSE(placed.ok());
  EXPECT_EQ(placed.error().code(), Code::kAlreadyExists);
  EXPECT_EQ(state.nodes_count(), 1u);
}

TEST_F(GangTest, AnEmptyRequestIsNoError) {
  const auto placed = Place(&state, {});
  ASSERT_TRUE(placed.ok());
  EXPECT_TRUE(placed->empty());
}

}  // namespace
}  // namespace strata::vcluster
