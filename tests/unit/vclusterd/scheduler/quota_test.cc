// Quotas of owners come before any host is looked at.
#include "tests/unit/vclusterd/scheduler/fixtures.h"

namespace strata::vcluster {
namespace {

class QuotaTest : public SchedulerTest {
 protected:
  QuotaTest() {
    AddHost(MakeHost("lab-1", 64, 256));
    quota.owner_uid = 1000;
    quota.owner_name = "alice";
  }

  // The error's text, or "".
  std::string Refusal(const VclusterDemand& vcluster) {
    const VclusterPlacement placed = PlaceVcluster(vcluster, {quota});
    if (!placed.error) return "";
    EXPECT_EQ(placed.error->code(), Code::kResourceExhausted);
    EXPECT_TRUE(state.Nodes().empty());
    return placed.error->message();
  }

  OwnerQuota quota;
};

TEST_F(QuotaTest, TheErrorSaysWhichQuotaItsLimitWhatIsUsedAndWhatIsAsked) {
  quota.memory_bytes = {8 * kGiB, 6 * kGiB};
  EXPECT_EQ(Refusal(MakeVcluster({MakeNode(1, 0, 1, 2), MakeNode(1, 1, 1, 2)})),
            "v1 goes past the quota of alice: memory: 6.0 GiB in use and 4.0 GiB asked for, of "
            "8.0 GiB. Ask for less, stop what is not needed, or let an administrator raise it");
}

TEST_F(QuotaTest, AllQuotasThatAreBrokenAreNamed) {
  quota.nodes = {3, 2};
  quota.cpus = {2.5, 1.5};
  quota.disk_bytes = {10 * kGiB, 0};
  quota.ports = {1, 0};
  VclusterDemand vcluster = MakeVcluster({MakeNode(1, 0, 0.5, 1), MakeNode(1, 1, 1, 1)});
  vcluster.nodes[0].request.disk_bytes = 11 * kGiB;
  vcluster.ports = 2;
  EXPECT_EQ(Refusal(vcluster),
            "v1 goes past the quota of alice: nodes: 2 in use and 2 asked for, of 3; "
            "CPUs: 1.5 in use and 1.5 asked for, of 2.5; "
            "disk: 0 B in use and 11.0 GiB asked for, of 10.0 GiB; "
            "ports: 0 in use and 2 asked for, of 1. "
            "Ask for less, stop what is not needed, or let an administrator raise it");
}

TEST_F(QuotaTest, AQuotaMayBeUsedUpExactly) {
  quota.nodes = {3, 2};
  quota.cpus = {2.5, 1.5};
  quota.memory_bytes = {2 * kGiB, kGiB};
  EXPECT_EQ(Refusal(MakeVcluster({MakeNode(1, 0, 1, 1)})), "");
}

TEST_F(QuotaTest, NodesWithoutLimitsCountAsTheDefault) {
  quota.cpus = {0.25, 0};
  EXPECT_EQ(
      Refusal(MakeVcluster({MakeNode(1, 0, 0, 0), MakeNode(1, 1, 0, 0), MakeNode(1, 2, 0, 0)})),
      "v1 goes past the quota of alice: CPUs: 0 in use and 0.3 asked for, of 0.25. "
      "Ask for less, stop what is not needed, or let an administrator raise it");
}

TEST_F(QuotaTest, WhoIsPastAQuotaMayStillHaveWhatItDoesNotLimit) {
  quota.ports = {1, 5};
  quota.nodes = {0, 0};
  EXPECT_NE(Refusal(MakeVcluster({MakeNode(1, 0, 1, 1)})), "");
  quota.nodes = {};
  EXPECT_EQ(Refusal(MakeVcluster({MakeNode(1, 0, 1, 1)})), "");
}

TEST_F(QuotaTest, WhatIsPlacedCountsForTheNextVclusterOfTheRequest) {
  quota.nodes = {3, 0};
  PlacementRequest request;
  request.quotas = {quota};
  request.vclusters = {MakeVcluster({MakeNode(1, 0, 1, 1), MakeNode(1, 1, 1, 1)}),
                       MakeVcluster({MakeNode(2, 0, 1, 1), MakeNode(2, 1, 1, 1)}),
                       MakeVcluster({MakeNode(3, 0, 1, 1)})};
  const auto placed = Place(&state, request);
  ASSERT_TRUE(placed.ok());
  EXPECT_FALSE((*placed)[0].error);
  EXPECT_TRUE((*placed)[1].error);
  EXPECT_FALSE((*placed)[2].error);
}

TEST_F(QuotaTest, OthersHaveQuotasOfTheirOwn) {
  quota.nodes = {0, 0};
  VclusterDemand others = MakeVcluster({MakeNode(1, 0, 1, 1)});
  others.nodes[0].owner_uid = 1001;
  EXPECT_EQ(Refusal(others), "");
}

TEST_F(QuotaTest, AnOwnerWithoutANameIsNamedByHisNumber) {
  quota.owner_name.clear();
  quota.nodes = {0, 0};
  EXPECT_THAT(Refusal(MakeVcluster({MakeNode(1, 0, 1, 1)})),
              testing::HasSubstr("the quota of uid 1000: nodes: 0 in use"));
}

TEST_F(QuotaTest, ItIsLookedAtBeforeRoom) {
  quota.memory_bytes = {kGiB, 0};
  EXPECT_THAT(Refusal(MakeVcluster({MakeNode(1, 0, 1, 9999)})), testing::HasSubstr("quota"));
}

}  // namespace
}  // namespace strata::vcluster
