// Quotas: which limit counts, what is said of it, and limits that are set.
#include "vclusterd/users/quota.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/users/users_fixture.h"
#include "vclusterd/users/quota_book.h"

namespace strata::vcluster {
namespace {

using testing::HasSubstr;

constexpr uint64_t kGiB = 1u << 30;
constexpr uint32_t kAlice = 2000;

QuotaAmounts Of(Resource resource, uint64_t amount) {
  QuotaAmounts amounts;
  amounts[resource] = amount;
  return amounts;
}

LimitSet LimitOf(Resource resource, uint64_t limit) {
  LimitSet limits;
  limits[resource] = limit;
  return limits;
}

TEST(Quota, WhatFitsExactlyFitsAndOneMoreDoesNot) {
  const Bounds bounds{{{"alice", LimitOf(Resource::kNodes, 10), Of(Resource::kNodes, 7)}}, {}};
  EXPECT_FALSE(FindExcess(bounds, Of(Resource::kNodes, 3)));
  const auto excess = FindExcess(bounds, Of(Resource::kNodes, 4));
  ASSERT_TRUE(excess);
  EXPECT_EQ(excess->limit, 10u);
  EXPECT_EQ(excess->used, 7u);
  EXPECT_EQ(excess->asked, 4u);
  EXPECT_EQ(excess->whose, "alice");
  EXPECT_FALSE(FindExcess(bounds, Of(Resource::kMemory, UINT64_MAX))) << "no limit of that";
  EXPECT_TRUE(FindExcess(bounds, Of(Resource::kNodes, UINT64_MAX))) << "sums do not wrap";
}

TEST(Quota, WhoIsAboveALimitMayStillAskForSomethingElse) {
  LimitSet limits = LimitOf(Resource::kNodes, 2);
  limits[Resource::kPorts] = 5;
  const Bounds bounds{{{"alice", limits, Of(Resource::kNodes, 7)}}, {}};
  EXPECT_FALSE(FindExcess(bounds, Of(Resource::kPorts, 5)));
  EXPECT_TRUE(FindExcess(bounds, Of(Resource::kNodes, 1)));
}

TEST(Quota, TheLimitThatLeavesLeastIsNamed) {
  const Bounds bounds{
      {{"alice", LimitOf(Resource::kNodes, 10), Of(Resource::kNodes, 1)},
       {"group os", LimitOf(Resource::kNodes, 100), Of(Resource::kNodes, 98), false},
       {"each member of os", LimitOf(Resource::kNodes, 5), Of(Resource::kNodes, 1)}},
      {"the default", LimitOf(Resource::kNodes, 1), Of(Resource::kNodes, 1)}};
  EXPECT_FALSE(FindExcess(bounds, Of(Resource::kNodes, 2))) << "the default does not count";
  EXPECT_EQ(FindExcess(bounds, Of(Resource::kNodes, 3))->whose, "group os");
  EXPECT_EQ(EffectiveLimit(bounds, Resource::kNodes).limit, 100u);
  EXPECT_EQ(EffectiveLimit(bounds, Resource::kDisk).limit, std::nullopt);
}

TEST(Quota, ALimitOfAGroupTogetherDoesNotReplaceTheDefaultForEach) {
  const Bounds bounds{{{"group os", LimitOf(Resource::kNodes, 100), {}, false}},
                      {"the default", LimitOf(Resource::kNodes, 3), {}}};
  EXPECT_EQ(FindExcess(bounds, Of(Resource::kNodes, 4))->whose, "the default");
}

TEST(Quota, TheRefusalSaysWhatWasAskedOfWhat) {
  const Error error = ExcessError({Resource::kMemory, "group os", 8 * kGiB, 6 * kGiB, 3 * kGiB});
  EXPECT_EQ(error.message(),
            "memory: 3 GiB asked, 6 GiB of 8 GiB used, which is the limit of group os");
  EXPECT_THAT(ExcessError({Resource::kCpus, "alice", 4000, 3500, 1500}).message(),
              HasSubstr("cpus: 1.5 asked, 3.5 of 4 used"));
  EXPECT_EQ(error.code(), Code::kResourceExhausted);
}

TEST(Quota, RecordsKeepEveryLimitAndTheLackOfOne) {
  LimitSet limits;
  for (size_t i = 0; i < kResources; ++i) limits[static_cast<Resource>(i)] = i * 1000;
  users::v1::Limits record;
  SetLimits(limits, &record);
  EXPECT_EQ(LimitsOf(record), limits);
  limits[Resource::kDisk].reset();
  SetLimits(limits, &record);
  EXPECT_EQ(LimitsOf(record), limits);
}

class QuotaBookTest : public testing::Test {
 protected:
  using Kind = LimitHolder::Kind;
  void SetUp() override { Open(); }
  void Open() {
    groups_ = std::make_unique<GroupBook>(*store_, clock_.clock());
    book_ = std::make_unique<QuotaBook>(*store_, *groups_);
    ASSERT_TRUE(store_
                    ->Follow([this](const auto& changes) {
                      groups_->Apply(changes);
                      book_->Apply(changes);
                    })
                    .ok());
  }
  void SetNodes(const LimitHolder& holder, uint64_t limit) {
    const Status set = book_->Set(holder, LimitOf(Resource::kNodes, limit), std::nullopt);
    EXPECT_TRUE(set.ok()) << set.error().message();
  }
  // How the wish for so many nodes ends, when one is used.
  std::string Ask(uint64_t nodes, uint32_t uid = kAlice) {
    QuotaUsage usage;
    usage.own = Of(Resource::kNodes, 1);
    usage.of_group = [](uint32_t) { return Of(Resource::kNodes, 50); };
    const Status asked = book_->Check(uid, "alice", Of(Resource::kNodes, nodes), usage);
    if (asked.ok()) return "fits";
    return asked.error().message().substr(asked.error().message().find("limit of ") + 9);
  }

  FakeClock clock_;
  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(UserTables());
  std::unique_ptr<GroupBook> groups_;
  std::unique_ptr<QuotaBook> book_;
};

TEST_F(QuotaBookTest, WithoutLimitsEverythingFits) { EXPECT_EQ(Ask(UINT64_MAX), "fits"); }

TEST_F(QuotaBookTest, TheLeastOfUsersAndGroupsLimitsCounts) {
  const uint32_t os = (*groups_->Create("os", "", 1000))->number();
  ASSERT_TRUE(groups_->Edit(os, {.enrol = {kAlice}}).ok());
  SetNodes({Kind::kDefault}, 2);
  EXPECT_EQ(Ask(1), "fits");
  EXPECT_EQ(Ask(2), "every user (the default)");
  SetNodes({Kind::kUser, kAlice}, 10);
  EXPECT_EQ(Ask(9), "fits");
  EXPECT_EQ(Ask(10), "alice");
  SetNodes({Kind::kGroupEach, os}, 5);
  EXPECT_EQ(Ask(4), "fits");
  EXPECT_EQ(Ask(5), "each member of os");
  SetNodes({Kind::kGroupAll, os}, 52);
  EXPECT_EQ(Ask(2), "fits");
  EXPECT_EQ(Ask(3), "group os");
  Open();
  EXPECT_EQ(Ask(3), "group os");
  ASSERT_TRUE(groups_->Delete(os).ok());
  EXPECT_EQ(Ask(9), "fits") << "the group's limits went with it";
  EXPECT_EQ(CodeOf(book_->Set({Kind::kGroupAll, os}, {}, std::nullopt)), Code::kNotFound);
  EXPECT_EQ(Ask(UINT64_MAX, 0), "fits") << "root of the host";
}

TEST_F(QuotaBookTest, OfTwoAdminsAtOnceOneWinsAndTheOtherHearsIt) {
  const LimitHolder holder{Kind::kUser, kAlice};
  EXPECT_EQ(book_->Get(holder).revision, 0u);
  ASSERT_TRUE(book_->Set(holder, LimitOf(Resource::kNodes, 1), 0).ok());
  EXPECT_EQ(CodeOf(book_->Set(holder, LimitOf(Resource::kNodes, 2), 0)), Code::kFailedPrecondition);
  EXPECT_EQ(*book_->Get(holder).limits[Resource::kNodes], 1u);
  ASSERT_TRUE(book_->Set(holder, LimitSet(), book_->Get(holder).revision).ok());
  EXPECT_EQ(Ask(1000), "fits");
}

TEST_F(QuotaBookTest, DamagedLimitsGiveNothingUntilTheyAreSetAnew) {
  SetNodes({Kind::kDefault}, 100);
  ASSERT_TRUE(store_->Put(kUserLimitsTable, "default", "\xff\xff").ok());
  EXPECT_EQ(Ask(1), "every user (the default)");
  SetNodes({Kind::kDefault}, 100);
  EXPECT_EQ(Ask(1), "fits");
}

}  // namespace
}  // namespace strata::vcluster
