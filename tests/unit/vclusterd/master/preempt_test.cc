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

TEST_F(PreemptTest, NobodyStopsUnaskedAndTheErrorSaysWhatWouldHelp) {
  ASSERT_EQ(Text(Create(alice_, Large("low", 0))), "");
  const auto made = Create(kRoot, Large("high", 10));
  EXPECT_THAT(Text(made), HasSubstr("no host has room"));
  EXPECT_THAT(Text(made), HasSubstr("if 1 node of lower priority on h1 stopped"));
  EXPECT_THAT(Text(made), Not(HasSubstr("alice"))) << "others are nobody's business";
  EXPECT_EQ(ViewOf("low").nodes[0].condition, NodeCondition::kRunning);
  EXPECT_THAT(Text(Create(kRoot, Large("equal", 0))), Not(HasSubstr("lower priority")));
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

  EXPECT_EQ(steps_.clusters->Preempt(alice_, "low", true, true).error().code(),
            Code::kPermissionDenied);
  const auto would = steps_.clusters->Preempt(kRoot, "high", true, /*dry_run=*/true);
  ASSERT_EQ(Text(would), "");
  ASSERT_EQ(would->size(), 1u);
  EXPECT_THAT(would->at(0).node, HasSubstr("/low/0"));
  steps_.For(std::chrono::seconds(30));
  EXPECT_EQ(ViewOf("low").nodes[0].condition, NodeCondition::kRunning) << "it was a dry run";

  ASSERT_EQ(Text(steps_.clusters->Preempt(kRoot, "high", true, /*dry_run=*/false)), "");
  steps_.For(std::chrono::seconds(1));
  EXPECT_EQ(ViewOf("low").nodes[0].condition, NodeCondition::kStopped);
  EXPECT_EQ(ViewOf("high").nodes[1].condition, NodeCondition::kRunning);
  EXPECT_THAT(steps_.clusters->Preempt(kRoot, "high", true, true).value(), IsEmpty());
}

TEST_F(PreemptTest, WhatWouldNotHelpIsNotDone) {
  ASSERT_EQ(Text(Create(alice_, Large("equal", 10))), "");
  const auto made = Create(kRoot, Large("high", 10), /*preempts=*/true);
  EXPECT_THAT(Text(made), HasSubstr("no host has room"));
  EXPECT_EQ(ViewOf("equal").nodes[0].condition, NodeCondition::kRunning);
}

}  // namespace
}  // namespace strata::vcluster
