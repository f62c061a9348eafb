// What cannot be known, and what comes late: commits without an answer, hosts that have nothing of
// what they are asked about, roles whose rule has changed.
#include <gtest/gtest.h>

#include "tests/sim/faulty_store.h"
#include "tests/unit/vclusterd/master/stepped_master.h"
#include "vclusterd/master/jobs.h"
#include "vclusterd/master/verdicts.h"

namespace strata::vcluster {
namespace {

using sim::CommitFate;
using std::chrono::minutes;
using std::chrono::seconds;

void Ignore(const std::string&, uint32_t, uint32_t) {}

Definition Spread(const std::string& name, uint32_t count, HostLoss host_loss = HostLoss::kWait) {
  Definition definition = PlainDefinition(name, "tiny", count, {});
  definition.roles[0].placement.rank = Rank::kSpread;
  definition.roles[0].host_loss = host_loss;
  return definition;
}

class UncertainTest : public ::testing::Test {
 protected:
  UncertainTest() {
    for (const char* name : {"h1", "h2"}) master_.AddHost(name);
  }
  void Create(const Definition& definition) {
    const auto made = master_.clusters->Create(kAlice, definition, "", Ignore, CancelToken());
    ASSERT_TRUE(made.ok()) << made.error().message();
  }
  master::v1::Vcluster Stored(uint32_t number) {
    const auto value = records_->Get(kVclustersTable, VclusterKey(number)).value();
    return value.has_value() ? ParseVcluster(*value).value()->record : master::v1::Vcluster();
  }
  master::v1::Vcluster Held(uint32_t number) {
    const VclusterPtr held = master_.master->Find(number).vcluster;
    return held == nullptr ? master::v1::Vcluster() : held->record;
  }

  std::unique_ptr<records::RecordStore> records_ = records::MakeMemoryRecordStore(DesiredTables());
  CommitFate fate_ = CommitFate::kMade;
  sim::FaultyStore store_{*records_, [this](const auto&) { return fate_; }, [](const auto&) {}};
  SteppedMaster master_{store_};
};

TEST_F(UncertainTest, WhatWasCommittedWithoutAnAnswerIsReadAgain) {
  Create(Spread("a", 4, HostLoss::kRecreate));
  master_.master->RemoveHost("h2");
  // The nodes of h2 are taken from it; the master hears no answer, and h2 is back.
  fate_ = CommitFate::kAnswerLost;
  for (int i = 0; i < 120 && Stored(1).incarnations() == 4; ++i) master_.For(seconds(1));
  ASSERT_GT(Stored(1).incarnations(), 4u);
  master_.AddHost("h2");
  fate_ = CommitFate::kMade;
  master_.For(minutes(1));
  ASSERT_TRUE(master_.master->Change({1}, [](master::v1::Vcluster*) { return Ok(); }).ok());
  EXPECT_GT(Stored(1).incarnations(), 4u) << "an incarnation may be given twice";
  EXPECT_EQ(Held(1).SerializeAsString(), [&] {
    master::v1::Vcluster stored = Stored(1);
    return stored.SerializeAsString();
  }());
}

TEST_F(UncertainTest, WhatWasMadeThoughItsUserWasToldThatItFailedGoes) {
  fate_ = CommitFate::kAnswerLost;
  const auto made = master_.clusters->Create(kAlice, Spread("a", 2), "", Ignore, CancelToken());
  ASSERT_FALSE(made.ok());
  ASSERT_EQ(Stored(1).name(), "a");
  fate_ = CommitFate::kMade;
  master_.For(minutes(1));
  EXPECT_EQ(Stored(1).name(), "");
}

TEST_F(UncertainTest, AJobThatWasStoredThoughItsUserWasToldThatItFailedDoesNotRun) {
  Create(Spread("a", 2));
  const auto submit = [&](const std::string& file) {
    const auto definition = ParseJob(file, "j.yaml", {});
    EXPECT_TRUE(definition.ok()) << definition.error().message();
    return Jobs(*master_.clusters).Submit(kAlice, *definition).ok();
  };
  fate_ = CommitFate::kAnswerLost;
  ASSERT_FALSE(submit("name: j\nvcluster: a\ntasks: {t: x}\n"));
  ASSERT_FALSE(submit("name: k\ncreate: {image: tiny, nodes: 1}\ntasks: {t: x}\n"));
  ASSERT_TRUE(records_->Get(kJobsTable, JobKey(1)).value().has_value());
  // The records go away and come back more than once before the master has its way.
  for (const CommitFate fate : {CommitFate::kNotMade, CommitFate::kAnswerLost, CommitFate::kMade}) {
    fate_ = fate;
    for (int i = 0; i < 6000; ++i) {
      master_.Step();
      ASSERT_TRUE(master_.hosts["h1"]->Order(1).task_commands().empty()) << "it runs";
    }
  }
  EXPECT_TRUE(master_.master->Jobs().empty());
  for (const uint32_t job : {1, 2}) {
    EXPECT_FALSE(records_->Get(kJobsTable, JobKey(job)).value().has_value()) << job;
  }
  EXPECT_EQ(Stored(2).name(), "");
  fate_ = CommitFate::kMade;
  EXPECT_TRUE(submit("name: l\nvcluster: a\ntasks: {t: x}\n"));
}

TEST_F(UncertainTest, WhatCouldNotBeRemovedAtOnceIsRemovedLater) {
  master_.hosts["h1"]->Refuse(Error(Code::kResourceExhausted, "h1: the disk is full"));
  const auto made = master_.clusters->Create(
      kAlice, Spread("a", 2), "",
      [&](const std::string& stage, uint32_t, uint32_t) {
        if (stage == "start") fate_ = CommitFate::kNotMade;
      },
      CancelToken());
  ASSERT_FALSE(made.ok());
  fate_ = CommitFate::kMade;
  master_.hosts["h1"]->Refuse(std::nullopt);
  master_.For(minutes(1));
  EXPECT_EQ(Stored(1).name(), "");
  EXPECT_TRUE(master_.hosts["h2"]->Order(1).nodes().empty());
}

TEST_F(UncertainTest, ANodeThatItsHostNeverHadIsDroppedWhenItLeaves) {
  Create(Spread("a", 1));
  ASSERT_TRUE(master_.clusters->Drain(kRoot, Held(1).nodes(0).host(), true).ok());
  const std::string other = Held(1).nodes(0).host() == "h1" ? "h2" : "h1";
  master_.hosts[other]->Refuse(Error(Code::kResourceExhausted, "the disk is full"));
  ASSERT_FALSE(master_.clusters->Scale(kAlice, "a", "node", 2, Ignore, CancelToken()).ok());
  ASSERT_EQ(Held(1).nodes_size(), 2);
  master_.hosts[other]->Refuse(std::nullopt);
  master_.hosts[other]->Forget();
  const auto shrunk = master_.clusters->Scale(kAlice, "a", "node", 1, Ignore, CancelToken());
  EXPECT_TRUE(shrunk.ok()) << shrunk.error().message();
  EXPECT_EQ(Held(1).nodes_size(), 1);
}

TEST_F(UncertainTest, AnOrderThatComesAfterItsRemovalIsTakenBack) {
  Create(Spread("a", 2));
  const host::v1::Part late = master_.hosts["h2"]->Order(1);
  ASSERT_TRUE(master_.clusters->Drain(kRoot, "h2", true).ok());
  ASSERT_TRUE(master_.clusters->Scale(kAlice, "a", "node", 1, Ignore, CancelToken()).ok());
  const std::string gone = Held(1).nodes(0).host() == "h1" ? "h2" : "h1";
  // As a worker without a memory of the removal takes it.
  master_.hosts[gone]->Forget();
  host::v1::Part stale = late;
  stale.mutable_nodes(0)->set_index(1);
  const auto taken = master_.hosts[gone]->Apply({stale});
  master_.master->Report(gone, taken->front());
  master_.For(minutes(1));
  EXPECT_TRUE(master_.hosts[gone]->Order(1).nodes().empty());
}

TEST_F(UncertainTest, ALateReportDoesNotHideWhatAHostHasOfADeletedVcluster) {
  Create(Spread("a", 2));
  const host::v1::Part order = master_.hosts["h2"]->Order(1);
  ASSERT_TRUE(master_.clusters->Delete(kAlice, "a").ok());
  host::v1::PartStatus none = master_.hosts["h2"]->SaysOf(1);
  ASSERT_TRUE(none.nodes().empty());
  master_.hosts["h2"]->Forget();
  const auto has_it_again = master_.hosts["h2"]->Apply({order});
  master_.master->Report("h2", has_it_again->front());
  master_.master->Report("h2", none);  // It was on its way for long.
  master_.For(minutes(1));
  EXPECT_TRUE(master_.hosts["h2"]->Order(1).nodes().empty());
}

TEST_F(UncertainTest, ANodeWhoseHostWasNotToldToFenceItIsNotMadeAnewElsewhere) {
  Create(Spread("a", 2));
  master_.master->RemoveHost("h2");
  // The order with the new rule cannot come to h2.
  (void)master_.clusters->Apply(kAlice, Spread("a", 2, HostLoss::kRecreate), false, false, Ignore,
                                CancelToken());
  master_.For(minutes(5));
  std::multiset<std::string> hosts;
  const master::v1::Vcluster held = Held(1);
  for (const master::v1::Node& node : held.nodes()) hosts.insert(node.host());
  EXPECT_EQ(hosts, (std::multiset<std::string>{"h1", "h2"}));
  // Once it has come, it counts.
  master_.AddHost("h2");
  master_.For(minutes(1));
  master_.master->RemoveHost("h2");
  master_.For(minutes(5));
  const master::v1::Vcluster moved = Held(1);
  for (const master::v1::Node& node : moved.nodes()) EXPECT_EQ(node.host(), "h1");
}

TEST_F(UncertainTest, ABeatThatCameAfterTheLastLookKeepsTheLead) {
  const auto leader = records_->Get(kLeaderTable, kLeaderKey).value();
  const auto beat = records_->Get(kLeaderTable, kBeatKey).value();
  ASSERT_TRUE(master_.master->Beat().ok());
  MasterOptions options;
  options.name = "m2";
  options.takes_over_from = leader;
  options.last_beat_seen = beat;
  options.pause = [] {};
  EXPECT_EQ(Master::Open(options, *records_).error().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(master_.master->Beat().ok());
}

}  // namespace
}  // namespace strata::vcluster
