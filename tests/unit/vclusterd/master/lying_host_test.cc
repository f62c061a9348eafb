// Hosts that say what is not so: the master's records stay right, and nothing is removed for it.
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/vclusterd/master/stepped_master.h"
#include "vclusterd/master/plausible.h"
#include "vclusterd/master/verdicts.h"

namespace strata::vcluster {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

void Ignore(const std::string&, uint32_t, uint32_t) {}

class LyingHostTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"h1", "h2"}) master_.AddHost(name);
    Definition definition = PlainDefinition("a", "tiny", 2, {});
    definition.roles[0].placement.rank = Rank::kSpread;
    Create(definition);
  }
  void Create(const Definition& definition) {
    const auto made = master_.clusters->Create(kAlice, definition, "", Ignore, CancelToken());
    ASSERT_TRUE(made.ok()) << made.error().message();
  }
  // What the host would say.
  host::v1::PartStatus Truth(const std::string& host, uint32_t number = 1) {
    return master_.hosts[host]->Look(number).value();
  }
  void Say(const std::string& host, const host::v1::PartStatus& status) {
    master_.master->Report(host, status);
    master_.For(minutes(1));
  }
  std::string Record(uint32_t number = 1) {
    return master_.master->Find(number).vcluster->record.SerializeAsString();
  }
  bool IsAsWanted(uint32_t number = 1) {
    const auto verdict = AsWanted(master_.master->Find(number));
    return verdict.has_value() && verdict->ok();
  }

  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(DesiredTables());
  SteppedMaster master_{*store_};
};

TEST_F(LyingHostTest, AnotherHostsNodesAreNotItsToSpeakOf) {
  host::v1::PartStatus lie = Truth("h1");
  for (host::v1::NodeStatus& node : *lie.mutable_nodes()) node.set_state(host::v1::BREAKDOWN);
  lie.set_sequence(1'000'000);
  const std::string before = Record();
  Say("h2", lie);
  EXPECT_EQ(Record(), before);
  const uint32_t index = Truth("h1").nodes(0).index();
  EXPECT_EQ(master_.master->Find(1).states.at(index).state(), host::v1::READY);
  EXPECT_EQ(master_.hosts["h1"]->Order(1).nodes_size(), 1);
}

TEST_F(LyingHostTest, IncarnationsAndRevisionsOfTheFutureChangeNothing) {
  host::v1::PartStatus lie = Truth("h2");
  lie.set_revision(std::numeric_limits<uint64_t>::max());
  lie.set_sequence(std::numeric_limits<uint64_t>::max());
  lie.mutable_nodes(0)->set_incarnation(std::numeric_limits<uint32_t>::max());
  lie.mutable_nodes(0)->set_revision(std::numeric_limits<uint64_t>::max());
  const std::string before = Record();
  Say("h2", lie);
  EXPECT_EQ(Record(), before);
  EXPECT_FALSE(master_.master->Find(1).states.contains(lie.nodes(0).index()));
  // Its next hello is heard again.
  master_.AddHost("h2");
  master_.For(minutes(1));
  EXPECT_TRUE(IsAsWanted());
}

TEST_F(LyingHostTest, NodesOfVclustersThatItWasNeverGivenAreRemovedFromItAlone) {
  Definition other = PlainDefinition("b", "tiny", 1, {});
  ASSERT_TRUE(master_.clusters->Drain(kRoot, "h2", true).ok());
  Create(other);
  host::v1::PartStatus lie = Truth("h1", 2);
  lie.set_sequence(1'000'000);
  const std::string before = Record(2);
  Say("h2", lie);
  EXPECT_EQ(Record(2), before);
  EXPECT_EQ(master_.hosts["h1"]->Order(2).nodes_size(), 1);
  EXPECT_TRUE(master_.hosts["h2"]->Order(2).nodes().empty());
  EXPECT_TRUE(IsAsWanted(2));
}

TEST_F(LyingHostTest, NumbersThatWereNeverGivenAreLeftAlone) {
  host::v1::PartStatus lie = Truth("h2");
  for (const uint32_t number : {0u, 77u, std::numeric_limits<uint32_t>::max()}) {
    lie.set_number(number);
    Say("h2", lie);
    EXPECT_EQ(master_.hosts["h2"]->Order(number).revision(), 0u);
  }
  EXPECT_TRUE(IsAsWanted());
}

TEST_F(LyingHostTest, AStatusWithoutASequenceDoesNotSayThatNothingIsThere) {
  master_.hosts["h2"]->Refuse(Error(Code::kUnavailable, "h2 does not answer"));
  host::v1::PartStatus none;
  none.set_number(1);
  master_.master->RemoveHost("h2");
  master_.master->AddHost("h2", master_.hosts["h2"], {none});
  ASSERT_TRUE(master_.master
                  ->Change({1},
                           [](master::v1::Vcluster* record) {
                             record->set_phase(master::v1::DELETING);
                             return Ok();
                           })
                  .ok());
  master_.For(minutes(1));
  EXPECT_NE(master_.master->Find(1).vcluster, nullptr);
  master_.hosts["h2"]->Refuse(std::nullopt);
  master_.For(minutes(1));
  EXPECT_EQ(master_.master->Find(1).vcluster, nullptr);
  EXPECT_TRUE(master_.hosts["h2"]->Order(1).nodes().empty());
}

TEST_F(LyingHostTest, AHostThatFollowsNothingForAMomentIsNoProblemYet) {
  const auto problem = [&] { return master_.master->Find(1).problem; };
  const auto want = [&](bool wanted) {
    const auto changed = master_.master->Change({1}, [&](master::v1::Vcluster* record) {
      for (master::v1::Node& node : *record->mutable_nodes()) node.set_wanted(wanted);
      return Ok();
    });
    ASSERT_TRUE(changed.ok());
  };
  for (auto& [name, host] : master_.hosts) host->Refuse(Error(Code::kUnavailable, "not yet"));
  want(false);
  master_.For(seconds(1));
  EXPECT_FALSE(problem().has_value()) << problem()->message();
  EXPECT_FALSE(master_.master->Find(1).settled);
  master_.For(minutes(1));
  ASSERT_TRUE(problem().has_value());
  EXPECT_EQ(problem()->message(), "not yet");
  for (auto& [name, host] : master_.hosts) host->Refuse(std::nullopt);
  master_.For(minutes(1));
  EXPECT_FALSE(problem().has_value());
  // Any other refusal is told at once.
  for (auto& [name, host] : master_.hosts) host->Refuse(Error(Code::kInvalidArgument, "no"));
  want(true);
  master_.For(seconds(1));
  EXPECT_TRUE(problem().has_value());
}

TEST_F(LyingHostTest, AnOrderThatIsNotTakenComesAgainWithTheNextLookAndIsNoOthersProblem) {
  Definition definition = PlainDefinition("b", "tiny", 2, {});
  definition.roles[0].placement.rank = Rank::kSpread;
  Create(definition);
  for (auto& [name, host] : master_.hosts) {
    host->problems.emplace(1, Error(Code::kResourceExhausted, "no range of ids is left"));
  }
  const auto changed = master_.master->Change({1, 2}, [](master::v1::Vcluster* record) {
    for (master::v1::Node& node : *record->mutable_nodes()) node.set_wanted(false);
    return Ok();
  });
  ASSERT_TRUE(changed.ok());
  const int before = master_.hosts["h1"]->told(1);
  master_.For(seconds(5));
  ASSERT_TRUE(master_.master->Find(1).problem.has_value());
  EXPECT_EQ(master_.master->Find(1).problem->code(), Code::kResourceExhausted);
  EXPECT_FALSE(master_.master->Find(2).problem.has_value());
  EXPECT_TRUE(IsAsWanted(2));
  EXPECT_LE(master_.hosts["h1"]->told(1) - before, 2) << "it is told without a pause";
  master_.For(minutes(1));
  EXPECT_GE(master_.hosts["h1"]->told(1) - before, 5);
  EXPECT_LE(master_.hosts["h1"]->told(1) - before, 9);
  for (auto& [name, host] : master_.hosts) host->problems.clear();
  master_.For(minutes(1));
  EXPECT_TRUE(IsAsWanted());
  EXPECT_FALSE(master_.master->Find(1).problem.has_value());
}

TEST(ProblemOfTest, IsWithinBoundsWhateverAHostSays) {
  host::v1::PartStatus status;
  EXPECT_FALSE(ProblemOf(status).has_value());
  status.set_problem(std::string(1 << 20, 'x'));
  status.set_problem_code(4711);
  ASSERT_TRUE(ProblemOf(status).has_value());
  EXPECT_EQ(ProblemOf(status)->code(), Code::kInternal);
  EXPECT_LT(ProblemOf(status)->message().size(), 10'000u);
}

TEST_F(LyingHostTest, AHostThatLeftAMomentAgoIsNotYetLostToWhoWaits) {
  master_.For(seconds(1));
  ASSERT_TRUE(AllRun(master_.master->Find(1), std::nullopt).has_value());
  master_.master->RemoveHost("h2");
  EXPECT_EQ(master_.master->Find(1).lost.size(), 1u);
  EXPECT_FALSE(AllRun(master_.master->Find(1), std::nullopt).has_value());
  EXPECT_FALSE(AsWanted(master_.master->Find(1)).has_value());
  master_.For(seconds(1));
  master_.AddHost("h2");
  master_.For(seconds(1));
  EXPECT_TRUE(AllRun(master_.master->Find(1), std::nullopt).value().ok());
  master_.master->RemoveHost("h2");
  master_.For(seconds(10));
  const auto run = AllRun(master_.master->Find(1), std::nullopt);
  ASSERT_TRUE(run.has_value() && !run->ok());
  EXPECT_EQ(run->error().code(), Code::kUnavailable);
}

TEST_F(LyingHostTest, FiguresThatAreNoneDoNotScaleARole) {
  Definition definition = PlainDefinition("s", "tiny", 2, {});
  definition.roles[0].autoscale.emplace();
  definition.roles[0].autoscale->min = 1;
  definition.roles[0].autoscale->max = 8;
  definition.roles[0].autoscale->cpu_percent = 50;
  definition.roles[0].autoscale->every = seconds(1);
  Create(definition);
  for (const double cpus : {std::numeric_limits<double>::quiet_NaN(), -1e300,
                            std::numeric_limits<double>::infinity(), 1e300}) {
    for (const auto& [name, host] : master_.hosts) {
      host::v1::PartStatus lie = Truth(name, 2);
      for (host::v1::NodeStatus& node : *lie.mutable_nodes()) node.mutable_usage()->set_cpus(cpus);
      master_.master->Report(name, lie);
    }
    master_.For(minutes(1));
    EXPECT_EQ(master_.master->Find(2).vcluster->record.nodes_size(), 2) << cpus;
  }
}

TEST_F(LyingHostTest, FiguresThatAreNoneAreShownToNobody) {
  host::v1::UsageHistory history;
  for (const double figure : {0.5, std::numeric_limits<double>::quiet_NaN(), -1.0, 2.0}) {
    history.add_points()->mutable_usage()->set_io_pressure(figure);
  }
  history.add_points()->set_unix_s(std::numeric_limits<int64_t>::max());
  master_.hosts["h1"]->SetHistories(history, history);
  const auto shown = master_.clusters->HostHistory(kRoot, "h1");
  ASSERT_TRUE(shown.ok() && shown->points_size() == 1);
  EXPECT_EQ(shown->points(0).usage().io_pressure(), 0.5);

  host::v1::HostLoad load;
  master_.hosts["h1"]->SetLoad(load);
  EXPECT_TRUE(master_.master->Hosts().at(0).load.has_value());
  load.mutable_usage()->set_cpu_pressure(7);
  master_.hosts["h1"]->SetLoad(load);
  EXPECT_FALSE(master_.master->Hosts().at(0).load.has_value());
}

TEST_F(LyingHostTest, AMessageWithoutEndIsNotKept) {
  host::v1::PartStatus lie = Truth("h2");
  host::v1::NodeStatus* node = lie.mutable_nodes(0);
  node->set_problem(std::string(3u << 20, 'x'));
  node->set_problem_code(-7);
  node->set_state(static_cast<host::v1::NodeState>(99));
  lie.set_sequence(1'000'000);
  Say("h2", lie);
  const VclusterView view = master_.master->Find(1);
  const host::v1::NodeStatus& kept = view.states.at(node->index());
  EXPECT_LT(kept.ByteSizeLong(), 1000u);
  EXPECT_EQ(kept.state(), host::v1::UNKNOWN);
  EXPECT_EQ(kept.problem_code(), static_cast<int>(Code::kInternal));
  host::v1::PartStatus many = Truth("h2");
  many.set_sequence(2'000'000);
  while (many.nodes_size() < 251) *many.add_nodes() = many.nodes(0);
  EXPECT_EQ(Plausible(many).error().code(), Code::kInvalidArgument);
  host::v1::PartStatus twice = Truth("h2");
  *twice.add_nodes() = twice.nodes(0);
  EXPECT_EQ(Plausible(twice).error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace strata::vcluster
