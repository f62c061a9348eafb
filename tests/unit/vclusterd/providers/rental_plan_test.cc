#include "vclusterd/providers/rental_plan.h"

#include <gtest/gtest.h>

namespace strata::vcluster {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

VclusterDemand Demand(uint32_t number, uint32_t nodes, double cpus, uint64_t memory_bytes) {
  VclusterDemand demand;
  demand.number = number;
  demand.name = "v" + std::to_string(number);
  for (uint32_t i = 0; i < nodes; ++i) {
    NodeDemand& node = demand.nodes.emplace_back();
    node.key = {number, i};
    node.name = demand.name + "/" + std::to_string(i);
    node.role = "node";
    node.owner_uid = 1000;
    node.request = {cpus, memory_bytes, 0};
  }
  return demand;
}

Offer MakeOffer(const std::string& name, double cpus, uint64_t memory_gib, double price) {
  Offer offer;
  offer.name = name;
  offer.cpus = cpus;
  offer.memory_bytes = memory_gib * kGiB;
  offer.disk_bytes = 100 * kGiB;
  offer.price_per_hour = price;
  return offer;
}

ProviderState Provider(const std::string& name, std::vector<Offer> offers) {
  ProviderState provider;
  provider.rules = {name, 8, 100, {}};
  provider.offers = std::move(offers);
  return provider;
}

RentalQuestion Question(std::vector<ProviderState> providers, std::vector<WantedRoom> wanted) {
  RentalQuestion question{
      PlacementState::Create({}).value(), std::move(wanted), {}, std::move(providers), 1, 1};
  HostOffer host;
  host.name = "lab-1";
  host.cpus = 4;
  host.memory_bytes = 8 * kGiB;
  host.disk_bytes = 100 * kGiB;
  host.overcommit_cpus = 1;
  EXPECT_TRUE(question.state.PutHost(host).ok());
  return question;
}

TEST(RentalPlanTest, TheCheapestOfferThatMakesItFitIsRented) {
  const RentalDecision decision = PlanRentals(
      Question({Provider("a", {MakeOffer("huge", 64, 256, 9), MakeOffer("tiny", 1, 1, 0.1),
                               MakeOffer("right", 8, 32, 2)}),
                Provider("b", {MakeOffer("same", 8, 32, 1.5)})},
               {{Demand(1, 1, 8, kGiB), "alice"}}));
  ASSERT_TRUE(decision.start.has_value());
  EXPECT_EQ(decision.start->provider, 1u);
  EXPECT_EQ(decision.start->vcluster, 1u);
  EXPECT_TRUE(decision.answers.at(1).wait);
  EXPECT_EQ(decision.answers.at(1).why, "a host is rented of b (same)");
}

TEST(RentalPlanTest, SeveralSmallMachinesAreTakenWhereTheyCostLessThanALargeOne) {
  // Eight nodes of a CPU: four stand on lab-1, the others need one large or two small machines.
  const auto plan = [](double price_of_large) {
    return PlanRentals(Question(
        {Provider("a", {MakeOffer("large", 4, 16, price_of_large), MakeOffer("small", 2, 8, 1)})},
        {{Demand(1, 8, 1, kGiB), "alice"}}));
  };
  EXPECT_EQ(plan(2.5).start->offer, 1u);
  EXPECT_EQ(plan(1.5).start->offer, 0u);
  EXPECT_EQ(plan(2.0).start->offer, 0u);  // Fewer machines for the same price.
}

TEST(RentalPlanTest, WhatIsOnItsWayIsWaitedForAndNothingMoreIsRented) {
  RentalQuestion question =
      Question({Provider("a", {MakeOffer("m", 8, 32, 2)})}, {{Demand(1, 1, 8, kGiB), "alice"}});
  question.coming.push_back(HostOf(MakeOffer("m", 8, 32, 2), "a-1", question));
  RentalDecision decision = PlanRentals(question);
  EXPECT_FALSE(decision.start.has_value());
  EXPECT_TRUE(decision.answers.at(1).wait);
  // Another Vcluster does not fit beside it.
  question.wanted.push_back({Demand(2, 1, 8, kGiB), "alice"});
  decision = PlanRentals(question);
  ASSERT_TRUE(decision.start.has_value());
  EXPECT_EQ(decision.start->vcluster, 2u);
  // One start at a time.
  question.providers[0].starting = true;
  decision = PlanRentals(question);
  EXPECT_FALSE(decision.start.has_value());
  EXPECT_TRUE(decision.answers.at(2).wait);
}

TEST(RentalPlanTest, LimitsOfMachinesAndPriceAndOwnersHold) {
  RentalQuestion question =
      Question({Provider("a", {MakeOffer("m", 8, 32, 2)})}, {{Demand(1, 1, 8, kGiB), "alice"}});
  const auto why = [&] {
    const RentalDecision decision = PlanRentals(question);
    EXPECT_FALSE(decision.start.has_value());
    EXPECT_FALSE(decision.answers.at(1).wait);
    return decision.answers.at(1).why;
  };
  ProviderState& provider = question.providers[0];
  provider.machines = 8;
  EXPECT_NE(why().find("a: its limit of machines or price is reached"), std::string::npos);
  provider.machines = 0;
  provider.price_per_hour = 98.5;
  EXPECT_NE(why().find("its limit of machines or price is reached"), std::string::npos);
  provider.price_per_hour = 0;
  provider.rules.owners = {"bob"};
  EXPECT_NE(why().find("a: not for alice"), std::string::npos);
  provider.rules.owners = {"bob", "alice"};
  provider.unusable = "a start has failed: no credit";
  EXPECT_NE(why().find("no credit"), std::string::npos);
  provider.unusable.clear();
  EXPECT_TRUE(PlanRentals(question).start.has_value());
  provider.offers.clear();
  EXPECT_NE(why().find("it offers nothing"), std::string::npos);
}

TEST(RentalPlanTest, NothingIsRentedForWhatWouldNotFitAllTheSame) {
  // Too large for any; of two Vclusters only the second can be helped.
  const RentalDecision decision =
      PlanRentals(Question({Provider("a", {MakeOffer("m", 8, 32, 2)})},
                           {{Demand(1, 1, 16, kGiB), "alice"}, {Demand(2, 1, 8, kGiB), "alice"}}));
  EXPECT_FALSE(decision.answers.at(1).wait);
  EXPECT_NE(decision.answers.at(1).why.find("no offer of it is large enough"), std::string::npos);
  EXPECT_TRUE(decision.answers.at(2).wait);
  ASSERT_TRUE(decision.start.has_value());
  EXPECT_EQ(decision.start->vcluster, 2u);
}

TEST(RentalPlanTest, LabelsAndRulesAreTheSchedulersOwn) {
  VclusterDemand wanted = Demand(1, 2, 1, kGiB);
  for (NodeDemand& node : wanted.nodes) {
    node.required_labels = {"gpu"};
    AffinityRule apart;
    apart.role = "node";
    node.rules.push_back(apart);
  }
  Offer plain = MakeOffer("plain", 8, 32, 1);
  Offer gpu = MakeOffer("gpu", 8, 32, 3);
  gpu.labels = {"gpu"};
  RentalQuestion question = Question({Provider("a", {plain, gpu})}, {{wanted, "alice"}});
  const RentalDecision decision = PlanRentals(question);
  ASSERT_TRUE(decision.start.has_value());
  EXPECT_EQ(decision.start->offer, 1u);
  // They must be apart: two machines, which this limit does not allow.
  question.providers[0].rules.machines_max = 1;
  EXPECT_FALSE(PlanRentals(question).start.has_value());
}

}  // namespace
}  // namespace strata::vcluster
