// Room for what is more important: who stops, who may ask for it, and how they come back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/master/stepped_master.h"

namespace strata::vcluster {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

void Ignore(const std::string&, uint32_t, uint32_t) {}

class PreemptTest : public ::testing::Test {
 protected:
  PreemptTest() {
    steps_.AddHost("h1");
    alice_ = steps_.users.Add("alice");
  }

  // One node is more than half of what a host may promise.
  static Definition Large(const std::string& name, int priority, uint32_t nodes = 1) {
    Definition definition = PlainDefinition(name, "tiny", nodes, {});
    definition.roles[0].limits.cpus = 600;
    definition.roles[0].placement.priority = priority;
    return definition;
  }
  Result<ClusterView> Create(const Caller& caller, const Definition& definition,
                             bool preempts = false) {
    return steps_.clusters->Create(caller, definition, "", Ignore, CancelToken(), preempts);
  }
  ClusterView ViewOf(const std::string& name) {
    return steps_.clusters->List(kRoot, name).value().at(0);
  }
  static std::string Text(const auto& result) {
    return result.ok() ? "" : result.error().message();
  }

  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(DesiredTables());
  SteppedMaster steps_{*store_};
  Caller alice_;
};

TEST_F(PreemptTest, NobodyStopsUnaskedAndWhySaysWhatWouldHelp) {
  ASSERT_EQ(Text(Create(alice_, Large("low", 0))), "");
  EXPECT_THAT(Text(Create(kRoot, Large("high", 10))), HasSubstr("no host has room"));
  EXPECT_EQ(ViewOf("low").nodes[0].condition, NodeCondition::kRunning);

  steps_.AddHost("h2");
  ASSERT_EQ(Text(Create(kRoot, Large("high", 10))), "");
  (void)steps_.clusters->Apply(kRoot, Large("high", 10, 2), false, false, Ignore, CancelToken());
  const std::string why = steps_.clusters->Why(kRoot, "high").value();
  EXPECT_THAT(why, HasSubstr("if 1 node of lower priority on h1 stopped"));
  EXPECT_THAT(why, Not(HasSubstr("low/"))) << "who they are is for admins";
  steps_.For(std::chrono::seconds(30));
  EXPECT_EQ(ViewOf("low").nodes[0].condition, NodeCondition::kRunning);
}

TEST_F(PreemptTest, WhoStopsIsToldForWhomAndReturnsWhenThereIsRoom) {
  ASSERT_EQ(Text(Create(alice_, Large("low", 0))), "");
  EXPECT_EQ(Create(alice_, Large("high", 10), /*preempts=*/true).error().code(),
            Code::kPermissionDenied);
  ASSERT_EQ(Text(Create(kRoot, Large("high", 10), /*preempts=*/true)), "");
  EXPECT_EQ(ViewOf("high").nodes[0].condition, NodeCondition::kRunning);
  EXPECT_EQ(ViewOf("low").nodes[0].condition, NodeCondition::kStopped);
  EXPECT_THAT(ViewOf("low").notice, HasSubstr("stopped on h1 to make room for"));
  EXPECT_THAT(ViewOf("low").notice, HasSubstr("high"));

  const auto refused = steps_.clusters->Start(alice_, "low");
  EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  EXPECT_THAT(Text(refused), HasSubstr("its host h1 has none for it now"));
  EXPECT_EQ(ViewOf("low").nodes[0].condition, NodeCondition::kStopped);

  ASSERT_TRUE(steps_.clusters->Delete(kRoot, "high").ok());
  ASSERT_EQ(Text(steps_.clusters->Start(alice_, "low")), "");
  EXPECT_EQ(ViewOf("low").nodes[0].condition, NodeCondition::kRunning);
  EXPECT_THAT(Text(Create(kRoot, Large("next", 0))), HasSubstr("no host has room"))
      << "its room counts again";
}

TEST_F(PreemptTest, AVclusterThatIsThereGetsRoomOnceAnAdminSaysSo) {
  steps_.AddHost("h2");
  ASSERT_EQ(Text(Create(alice_, Large("low", 0))), "");
  ASSERT_EQ(Text(Create(kRoot, Large("high", 10))), "");
  const auto grown =
      steps_.clusters->Apply(kRoot, Large("high", 10, 2), false, false, Ignore, CancelToken());
  EXPECT_THAT(Text(grown), HasSubstr("no host has room"));

  EXPECT_EQ(steps_.clusters->Preempt(alice_, "low", std::nullopt, true).error().code(),
            Code::kPermissionDenied);
  const auto would = steps_.clusters->Preempt(kRoot, "high", std::nullopt, /*dry_run=*/true);
  ASSERT_EQ(Text(would), "");
  ASSERT_EQ(would->size(), 1u);
  EXPECT_THAT(would->at(0).node, HasSubstr("/low/0"));
  steps_.For(std::chrono::seconds(30));
  EXPECT_EQ(ViewOf("low").nodes[0].condition, NodeCondition::kRunning) << "it was a dry run";

  ASSERT_EQ(Text(steps_.clusters->Preempt(kRoot, "high", std::nullopt, /*dry_run=*/false)), "");
  steps_.For(std::chrono::seconds(1));
  EXPECT_EQ(ViewOf("low").nodes[0].condition, NodeCondition::kStopped);
  EXPECT_EQ(ViewOf("high").nodes[1].condition, NodeCondition::kRunning);
  EXPECT_THAT(steps_.clusters->Preempt(kRoot, "high", std::nullopt, true).value(), IsEmpty());
}

TEST_F(PreemptTest, WhatWouldNotHelpIsNotDone) {
  ASSERT_EQ(Text(Create(alice_, Large("equal", 10))), "");
  EXPECT_THAT(Text(Create(kRoot, Large("high", 10), /*preempts=*/true)),
              HasSubstr("no host has room"));
  EXPECT_EQ(ViewOf("equal").nodes[0].condition, NodeCondition::kRunning);
}

TEST_F(PreemptTest, NodesKeepTheirDiskSoNobodyStopsForThat) {
  const auto full = [](const std::string& name, int priority) {
    Definition definition = Large(name, priority);
    definition.roles[0].limits.cpus = 1;
    definition.roles[0].limits.disk_bytes = uint64_t{600} << 30;
    return definition;
  };
  ASSERT_EQ(Text(Create(alice_, full("low", 0))), "");
  EXPECT_NE(Text(Create(kRoot, full("high", 10), /*preempts=*/true)), "");
  EXPECT_EQ(ViewOf("low").nodes[0].condition, NodeCondition::kRunning);
}

TEST_F(PreemptTest, OneThatStopsLeavesAllItsRoom) {
  Definition low = Large("low", 0);
  low.roles[0].limits.cpus = 1024;  // All that a host may promise.
  Definition high = Large("high", 10);
  high.roles[0].limits.cpus = 1024;
  ASSERT_EQ(Text(Create(alice_, low)), "");
  ASSERT_EQ(Text(Create(kRoot, high, /*preempts=*/true)), "");
}

TEST_F(PreemptTest, OfOneVclusterThoseThatHaveRoomReturn) {
  steps_.AddHost("h2");
  Definition low = Large("low", 0, 2);
  low.roles[0].placement.rank = Rank::kSpread;
  ASSERT_EQ(Text(Create(alice_, low)), "");
  ASSERT_EQ(Text(Create(kRoot, Large("high", 10), /*preempts=*/true)), "");
  ASSERT_TRUE(steps_.clusters->Stop(alice_, "low", std::chrono::seconds(1)).ok());
  const auto started = steps_.clusters->Start(alice_, "low");
  EXPECT_THAT(Text(started), HasSubstr("was stopped to make room"));
  steps_.For(std::chrono::seconds(1));
  int running = 0;
  for (const NodeView& node : ViewOf("low").nodes) {
    running += int{node.condition == NodeCondition::kRunning};
  }
  EXPECT_EQ(running, 1) << "the other one's host has room";
}

TEST_F(PreemptTest, AnAdminMayLetItComeBeforeThoseWhoCallThemselvesImportant) {
  steps_.AddHost("h2");
  ASSERT_EQ(Text(Create(alice_, Large("vain", 100))), "");
  ASSERT_EQ(Text(Create(kRoot, Large("high", 10))), "");
  (void)steps_.clusters->Apply(kRoot, Large("high", 10, 2), false, false, Ignore, CancelToken());
  EXPECT_FALSE(steps_.clusters->Preempt(kRoot, "high", std::nullopt, false).ok());
  ASSERT_EQ(Text(steps_.clusters->Preempt(kRoot, "high", 101, false)), "");
  steps_.For(std::chrono::seconds(1));
  EXPECT_EQ(ViewOf("vain").nodes[0].condition, NodeCondition::kStopped);
  EXPECT_EQ(ViewOf("high").nodes[1].condition, NodeCondition::kRunning);
}

}  // namespace
}  // namespace strata::vcluster
