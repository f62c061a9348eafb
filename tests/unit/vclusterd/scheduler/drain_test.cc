// Where the nodes of a host go that is to be emptied.
#include "tests/unit/vclusterd/scheduler/fixtures.h"
#include "vclusterd/scheduler/rebalance.h"

namespace strata::vcluster {
namespace {

using Kind = AffinityRule::Kind;

class DrainTest : public SchedulerTest {
 protected:
  std::vector<DrainStep> Steps(const std::string& host) {
    const auto steps = ProposeDrain(state, host);
    EXPECT_TRUE(steps.ok());
    return steps.ok() ? *steps : std::vector<DrainStep>{};
  }
};

TEST_F(DrainTest, EveryNodeHasATargetOrAReason) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 4, 16));
  AddNode(MakeNode(1, 0, 2, 2), "lab-1");
  AddNode(WithPriority(MakeNode(2, 0, 3, 2), 5), "lab-1");
  AddNode(MakeNode(3, 0, 1, 2), "lab-1");
  AddNode(MakeNode(4, 0, 0, 0), "lab-2");
  ASSERT_TRUE(state.UpdateNode({2, 0}, {}, {}, false).ok());  // It has to go all the same.
  const std::vector<DrainStep> steps = Steps("lab-1");
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0], (DrainStep{{2, 0}, "v2/0", "lab-2", ""}));  // The most important first.
  EXPECT_EQ(steps[1].name, "v1/0");
  EXPECT_EQ(steps[1].to, "");
  EXPECT_EQ(steps[1].why,
            "v1/0 needs 2 CPUs, 2.0 GiB: no host has room. The most room is on lab-2: 0.9 CPUs, "
            "13.9 GiB (needs 2 CPUs, 0.9 left of 4 (over-commit 1.0)); others: 1 host: draining. "
            "Ask for less, stop other nodes, or add a host");
  EXPECT_EQ(steps[2].to, "");
  EXPECT_EQ(state.host(*state.FindHost("lab-1")).nodes.size(), 3u);  // Nothing was done.
  EXPECT_EQ(state.host(*state.FindHost("lab-1")).offer.condition, HostCondition::kReady);
}

TEST_F(DrainTest, ANodeThatFindsNoHostDoesNotKeepTheNextFromOne) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 4, 16));
  AddNode(MakeNode(1, 0, 5, 2), "lab-1");
  AddNode(MakeNode(2, 0, 4, 2), "lab-1");
  const std::vector<DrainStep> steps = Steps("lab-1");
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].to, "");
  EXPECT_EQ(steps[1].to, "lab-2");
}

TEST_F(DrainTest, NodesThatMustBeTogetherGoTogether) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 2, 64));
  AddHost(MakeHost("lab-3", 3, 16));
  AddNode(WithRole(MakeNode(1, 0, 1, 8), "master"), "lab-1");
  AddNode(WithRule(MakeNode(1, 1, 2, 4), Kind::kWith, true, "master"), "lab-1");
  const std::vector<DrainStep> steps = Steps("lab-1");
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].to, "lab-3");  // Only there is room for both.
  EXPECT_EQ(steps[1].to, "lab-3");
  EXPECT_EQ(steps[0].name, "v1/0");  // First whom the other must be with.
}

TEST_F(DrainTest, NodesThatMustBeTogetherStayTogetherWhenOneFindsNoHost) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 2, 64));
  AddNode(WithRole(MakeNode(1, 0, 1, 8), "master"), "lab-1");
  AddNode(WithRule(MakeNode(1, 1, 2, 4), Kind::kWith, true, "master"), "lab-1");
  AddNode(MakeNode(2, 0, 2, 4), "lab-1");
  const std::vector<DrainStep> steps = Steps("lab-1");
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].to, "");
  EXPECT_EQ(steps[1].to, "");
  EXPECT_NE(steps[1].why, "");
  EXPECT_EQ(steps[2].to, "lab-2");
}

TEST_F(DrainTest, NodesThatMustBeApartGoToDifferentHosts) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 16, 64));
  AddHost(MakeHost("lab-3", 16, 64));
  AddNode(WithRule(MakeNode(1, 0, 1, 1), Kind::kApart, true, "worker"), "lab-1");
  AddNode(WithRule(MakeNode(1, 1, 1, 1), Kind::kApart, true, "worker"), "lab-2");
  const std::vector<DrainStep> steps = Steps("lab-1");
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].to, "lab-3");
}

TEST_F(DrainTest, MeasuredLoadDecidesWhereANodeGoes) {
  AddHost(MakeHost("lab-1", 16, 64));
  AddHost(MakeHost("lab-2", 16, 64));
  AddHost(MakeHost("lab-3", 8, 32));
  AddNode(MakeNode(1, 0, 1, 1), "lab-1");
  AddNode(MemoryHeavy(MakeNode(2, 0, 1, 1)), "lab-2");
  EXPECT_EQ(Steps("lab-1")[0].to, "lab-2");
  ASSERT_TRUE(state.UpdateNode({1, 0}, {false, true, false}, {}, true).ok());
  EXPECT_EQ(Steps("lab-1")[0].to, "lab-3");
}

TEST_F(DrainTest, AnEmptyHostNeedsNoSteps) {
  AddHost(MakeHost("lab-1", 16, 64));
  EXPECT_TRUE(Steps("lab-1").empty());
  EXPECT_EQ(ProposeDrain(state, "lab-2").error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace strata::vcluster
