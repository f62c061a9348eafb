// Nodes that move between hosts, with hosts in memory: no two hosts ever run one node, and whatever
// fails or ends on the way, one host has it with what it has written.
#include "vclusterd/master/moves.h"

#include <gtest/gtest.h>

#include "tests/unit/vclusterd/await.h"
#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/master/verdicts.h"

namespace strata::vcluster {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kGiB = uint64_t{1} << 30;

void Ignore(const std::string&, uint32_t, uint32_t) {}

class MovesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = records::MakeMemoryRecordStore(DesiredTables());
    users_ = std::make_unique<TestUsers>(*store_);
    Open();
    for (const char* name : {"h1", "h2", "h3"}) AddHost(name);
  }
  void TearDown() override { EXPECT_EQ(ledger_.twice(), ""); }

  void Open() {
    clusters_.reset();
    master_.reset();
    MasterOptions options;
    options.name = "m1";
    options.pool = net::Ipv4Prefix::Parse("10.215.0.0/16").value();
    options.user_name = [](uint32_t uid) { return std::to_string(uid); };
    options.now_unix_ms = [] { return int64_t{1'800'000'000'000}; };
    options.every = milliseconds(20);
    options.recreate_after = milliseconds(100);
    options.move_again_after = move_again_after_;
    auto opened = Master::Open(options, *store_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    master_ = std::move(*opened);
    clusters_ = std::make_unique<Clusters>(*master_, **users_);
  }
  void AddHost(const std::string& name) {
    if (hosts_[name] == nullptr) hosts_[name] = std::make_shared<FakeHost>();
    hosts_[name]->name = name;
    hosts_[name]->ledger = &ledger_;
    master_->AddHost(name, hosts_[name], hosts_[name]->Statuses());
  }
  // Another master takes over.
  void Restart() {
    Open();
    for (const auto& [name, host] : hosts_) AddHost(name);
  }

  static Definition Plain(const std::string& name, uint32_t count) {
    Definition definition = PlainDefinition(name, "tiny", count, {});
    definition.roles[0].placement.rank = Rank::kSpread;
    return definition;
  }
  void Create(const Definition& definition) {
    const auto made = clusters_->Create(kAlice, definition, "", Ignore, CancelToken());
    ASSERT_TRUE(made.ok()) << made.error().message();
  }
  master::v1::Node NodeAt(uint32_t number, int i) {
    return master_->Find(number).vcluster->record.nodes(i);
  }
  // The first node of the Vcluster that is on the host.
  std::optional<master::v1::Node> NodeOn(uint32_t number, const std::string& host) {
    const VclusterView view = master_->Find(number);
    for (const master::v1::Node& node : view.vcluster->record.nodes()) {
      if (node.host() == host) return node;
    }
    return std::nullopt;
  }
  bool IsAsWanted(uint32_t number) {
    const auto verdict = AsWanted(master_->Find(number));
    return verdict.has_value() && verdict->ok();
  }
  Result<Master::HostView> Drained(const std::string& host) {
    return clusters_->WatchDrain(
        kRoot, host, [](const Master::HostView&) {}, CancelToken());
  }
  bool IsEmpty(const std::string& host) {
    for (const host::v1::PartStatus& status : hosts_[host]->Statuses()) {
      if (!status.nodes().empty()) return false;
    }
    return true;
  }

  milliseconds move_again_after_{60'000};
  RunLedger ledger_;
  std::unique_ptr<records::RecordStore> store_;
  std::unique_ptr<TestUsers> users_;
  std::map<std::string, std::shared_ptr<FakeHost>> hosts_;
  std::unique_ptr<Master> master_;
  std::unique_ptr<Clusters> clusters_;
};

TEST_F(MovesTest, EveryNodeOfADrainedHostMovesAndNothingIsLeftThere) {
  Create(Plain("a", 9));
  Create(Plain("b", 3));
  ASSERT_TRUE(NodeOn(1, "h1").has_value());
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  const auto drained = Drained("h1");
  ASSERT_TRUE(drained.ok()) << drained.error().message();
  EXPECT_EQ(drained->left, 0u);
  EXPECT_TRUE(drained->staying.empty());
  EXPECT_TRUE(IsEmpty("h1"));
  EXPECT_FALSE(NodeOn(1, "h1").has_value() || NodeOn(2, "h1").has_value());
  EXPECT_TRUE(Await([&] { return IsAsWanted(1) && IsAsWanted(2); }));
  EXPECT_NE(master_->Find(1).notice.find("host h1 is drained"), std::string::npos);
}

TEST_F(MovesTest, ANodeThatMovesIsSavedThereAndMadeOfThatHereWithoutItsHooks) {
  Create(Plain("a", 3));
  const master::v1::Node before = *NodeOn(1, "h1");
  hosts_["h2"]->hold_arrivals = true;
  hosts_["h3"]->hold_arrivals = true;
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  ASSERT_TRUE(Await([&] { return !NodeOn(1, "h1").has_value(); }));
  const VclusterView view = master_->Find(1);
  const master::v1::Node& moving = *view.vcluster->FindNode(before.index());
  ASSERT_TRUE(Await([&] {
    const host::v1::Part told = hosts_[moving.host()]->Order(1);
    for (const host::v1::NodeOrder& order : told.nodes()) {
      if (order.index() == before.index()) return order.has_arrival();
    }
    return false;
  }));
  const host::v1::Part there = hosts_[moving.host()]->Order(1);
  for (const host::v1::NodeOrder& order : there.nodes()) {
    if (order.index() != before.index()) continue;
    EXPECT_EQ(order.intent(), host::v1::HOLD);
    EXPECT_EQ(order.arrival().host(), "h1");
    EXPECT_EQ(order.arrival().image(), "tiny");
    EXPECT_TRUE(order.arrival().created());
    EXPECT_EQ(order.arrival().reference(), "root/strata-move-1-" + std::to_string(before.index()) +
                                               "-" + std::to_string(order.incarnation()) +
                                               "@blake3:d");
    EXPECT_EQ(order.machine_id(), before.machine_id());
  }
  // Where it was it stays as it is until it was made elsewhere.
  const host::v1::Part here = hosts_["h1"]->Order(1);
  ASSERT_EQ(here.nodes_size(), 1);
  EXPECT_EQ(here.nodes(0).incarnation(), before.incarnation());
  EXPECT_EQ(here.nodes(0).intent(), host::v1::STOP);
  EXPECT_NE(master_->Find(1).notice.find("moves from h1"), std::string::npos);
  hosts_["h2"]->hold_arrivals = false;
  hosts_["h3"]->hold_arrivals = false;
  for (const char* host : {"h2", "h3"}) hosts_[host]->TellAgain(*master_);
  EXPECT_TRUE(Await([&] { return IsAsWanted(1) && IsEmpty("h1"); }));
}

TEST_F(MovesTest, AnotherMasterGoesOnAtEveryStep) {
  Create(Plain("a", 3));
  hosts_["h1"]->hold_departures = true;
  hosts_["h2"]->hold_arrivals = true;
  hosts_["h3"]->hold_arrivals = true;
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  const auto moving = [&] { return NodeOn(1, "h1").has_value() && NodeOn(1, "h1")->has_move(); };
  ASSERT_TRUE(Await(moving));
  Restart();  // It is to be saved.
  EXPECT_TRUE(moving());
  hosts_["h1"]->hold_departures = false;
  hosts_["h1"]->TellAgain(*master_);
  ASSERT_TRUE(Await([&] { return !NodeOn(1, "h1").has_value(); }));
  Restart();  // It is to be made elsewhere.
  EXPECT_FALSE(NodeOn(1, "h1").has_value());
  EXPECT_TRUE(Await([&] { return hosts_["h1"]->Order(1).nodes_size() == 1; }));
  hosts_["h2"]->hold_arrivals = false;
  hosts_["h3"]->hold_arrivals = false;
  for (const char* host : {"h2", "h3"}) hosts_[host]->TellAgain(*master_);
  ASSERT_TRUE(Await([&] {
    const VclusterView view = master_->Find(1);
    for (const master::v1::Node& node : view.vcluster->record.nodes()) {
      if (node.has_move()) return false;
    }
    return true;
  }));
  Restart();  // The old host is to remove it.
  EXPECT_TRUE(Await([&] { return IsEmpty("h1") && IsAsWanted(1); }));
}

TEST_F(MovesTest, AMasterThatStartsDoesNotTakeHostsThatItHasNotHeardYetForLost) {
  Create(Plain("a", 3));
  hosts_["h2"]->hold_arrivals = true;
  hosts_["h3"]->hold_arrivals = true;
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  ASSERT_TRUE(Await([&] { return !NodeOn(1, "h1").has_value(); }));
  const uint32_t incarnations = master_->Find(1).vcluster->record.incarnations();
  Open();
  AddHost("h1");
  EXPECT_FALSE(NodeOn(1, "h1").has_value());
  EXPECT_EQ(master_->Find(1).vcluster->record.incarnations(), incarnations);
}

TEST_F(MovesTest, NodesThatMustNotMoveStayAndAreNamed) {
  Definition definition = Plain("keeps", 3);
  definition.roles[0].migration = MigrationPolicy::kNever;
  Create(definition);
  const uint32_t index = NodeOn(1, "h1")->index();
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  const auto drained = Drained("h1");
  ASSERT_TRUE(drained.ok()) << drained.error().message();
  EXPECT_EQ(drained->left, 1u);
  ASSERT_EQ(drained->staying.size(), 1u);
  EXPECT_EQ(drained->staying[0].first, "64001/keeps/" + std::to_string(index));
  EXPECT_NE(drained->staying[0].second.find("migration: never"), std::string::npos);
  EXPECT_TRUE(IsAsWanted(1));
}

TEST_F(MovesTest, WhoMustBeWithOneThatStaysStays) {
  Definition definition;
  definition.name = "pair";
  for (const char* name : {"rock", "moss"}) {
    Role& role = definition.roles.emplace_back();
    role.name = name;
    role.image = "tiny";
  }
  definition.roles[0].migration = MigrationPolicy::kNever;
  definition.roles[1].placement.near = {"rock"};
  definition.roles[1].placement.strict = true;
  Create(definition);
  const std::string host = NodeAt(1, 0).host();
  ASSERT_EQ(NodeAt(1, 1).host(), host);
  ASSERT_TRUE(clusters_->Drain(kRoot, host, true).ok());
  const auto drained = Drained(host);
  ASSERT_TRUE(drained.ok()) << drained.error().message();
  ASSERT_EQ(drained->staying.size(), 2u);
  EXPECT_NE(drained->staying[1].second.find("must be with pair/rock-0"), std::string::npos)
      << drained->staying[1].second;
}

TEST_F(MovesTest, ANodeThatCannotBeSavedRunsOnWhereItIs) {
  Create(Plain("a", 3));
  hosts_["h1"]->RefuseMoves("the disk is full", std::nullopt);
  const master::v1::Node before = *NodeOn(1, "h1");
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  const auto drained = Drained("h1");
  ASSERT_TRUE(drained.ok()) << drained.error().message();
  ASSERT_EQ(drained->staying.size(), 1u);
  EXPECT_NE(drained->staying[0].second.find("the disk is full"), std::string::npos);
  EXPECT_TRUE(Await([&] { return IsAsWanted(1); }));
  const master::v1::Node after = *NodeOn(1, "h1");
  EXPECT_EQ(after.incarnation(), before.incarnation());
  EXPECT_GT(after.attempt(), before.attempt());  // Or its host would not start it again.
}

TEST_F(MovesTest, ANodeThatCannotBeMadeElsewhereGoesBackAndIsTriedAgain) {
  move_again_after_ = milliseconds(100);
  Restart();
  Create(Plain("a", 3));
  for (const char* host : {"h2", "h3"}) hosts_[host]->RefuseMoves(std::nullopt, "no way there");
  const master::v1::Node before = *NodeOn(1, "h1");
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  ASSERT_TRUE(Await([&] {
    return master_->Find(1).vcluster->record.last_problem().find("no way there") !=
           std::string::npos;
  }));
  for (const char* host : {"h2", "h3"}) hosts_[host]->RefuseMoves(std::nullopt, std::nullopt);
  EXPECT_TRUE(Await([&] { return IsEmpty("h1") && IsAsWanted(1); }));
  const VclusterView view = master_->Find(1);
  EXPECT_GT(view.vcluster->FindNode(before.index())->incarnation(), before.incarnation() + 1);
}

TEST_F(MovesTest, ANodeGoesBackWhenTheHostThatItGoesToIsLost) {
  Definition definition = Plain("a", 1);
  definition.roles[0].host_loss = HostLoss::kRecreate;  // Not from its image: its data are there.
  Create(definition);
  const master::v1::Node before = *NodeOn(1, "h1");
  hosts_["h2"]->hold_arrivals = true;
  hosts_["h3"]->hold_arrivals = true;
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  ASSERT_TRUE(Await([&] { return !NodeOn(1, "h1").has_value(); }));
  const std::string lost = master_->Find(1).vcluster->FindNode(before.index())->host();
  master_->RemoveHost(lost);
  ASSERT_TRUE(
      Await([&] { return master_->Find(1).vcluster->FindNode(before.index())->host() == "h1"; }));
  EXPECT_EQ(master_->Find(1).vcluster->FindNode(before.index())->incarnation(),
            before.incarnation());
  ASSERT_TRUE(Await([&] {
    const host::v1::Part order = hosts_["h1"]->Order(1);
    return order.nodes_size() >= 1 && order.nodes(0).intent() == host::v1::RUN;
  }));
  // The lost one comes back and has to drop what it was to make.
  AddHost(lost);
  EXPECT_TRUE(Await([&] {
    const host::v1::Part told = hosts_[lost]->Order(1);
    for (const host::v1::NodeOrder& order : told.nodes()) {
      if (order.index() == before.index()) return false;
    }
    return true;
  }));
}

TEST_F(MovesTest, NothingMovesOffAHostThatIsNotThere) {
  Create(Plain("a", 3));
  ASSERT_TRUE(Await([&] { return IsAsWanted(1); }));
  master_->RemoveHost("h1");
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  const auto drained = Drained("h1");
  ASSERT_FALSE(drained.ok());
  EXPECT_EQ(drained.error().code(), Code::kUnavailable);
  EXPECT_TRUE(NodeOn(1, "h1").has_value());
}

TEST_F(MovesTest, ADrainThatIsTakenBackLetsNodesThatWereNotSavedRunOn) {
  Create(Plain("a", 3));
  hosts_["h1"]->hold_departures = true;
  const master::v1::Node before = *NodeOn(1, "h1");
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  ASSERT_TRUE(Await([&] { return hosts_["h1"]->Order(1).nodes(0).intent() == host::v1::STOP; }));
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", false).ok());
  EXPECT_TRUE(Await([&] { return IsAsWanted(1); }));
  EXPECT_EQ(NodeOn(1, "h1")->incarnation(), before.incarnation());
}

TEST_F(MovesTest, ANodeThatIsStoppedMovesAndStaysStopped) {
  Create(Plain("a", 3));
  ASSERT_TRUE(clusters_->Stop(kAlice, "a", milliseconds(0)).ok());
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  ASSERT_TRUE(Drained("h1").ok());
  EXPECT_TRUE(IsEmpty("h1"));
  for (const char* host : {"h2", "h3"}) {
    const host::v1::Part order = hosts_[host]->Order(1);
    for (const host::v1::NodeOrder& node : order.nodes()) {
      EXPECT_EQ(node.intent(), host::v1::STOP);
    }
  }
  EXPECT_TRUE(clusters_->Start(kAlice, "a").ok());
}

TEST_F(MovesTest, AVclusterThatIsDeletedOnTheWayIsGoneEverywhere) {
  Create(Plain("a", 3));
  hosts_["h2"]->hold_arrivals = true;
  hosts_["h3"]->hold_arrivals = true;
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  ASSERT_TRUE(Await([&] { return !NodeOn(1, "h1").has_value(); }));
  ASSERT_TRUE(clusters_->Delete(kAlice, "a").ok());
  for (const auto& [name, host] : hosts_) EXPECT_TRUE(IsEmpty(name)) << name;
}

TEST_F(MovesTest, FewNodesOfAHostMoveAtATime) {
  Create(Plain("a", 60));
  hosts_["h1"]->hold_departures = true;
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  const auto stopped = [&] {
    int count = 0;
    const host::v1::Part part = hosts_["h1"]->Order(1);
    for (const host::v1::NodeOrder& order : part.nodes()) {
      if (order.intent() == host::v1::STOP) ++count;
    }
    return count;
  };
  ASSERT_TRUE(Await([&] { return stopped() > 0; }));
  EXPECT_LE(stopped(), 4);
  hosts_["h1"]->hold_departures = false;
  hosts_["h1"]->TellAgain(*master_);
  ASSERT_TRUE(Drained("h1").ok());
  EXPECT_TRUE(Await([&] { return IsAsWanted(1); }));
}

TEST_F(MovesTest, TwoMemoryHeavyNodesEndUpApartWhenSomebodyAsks) {
  Definition definition = PlainDefinition("heavy", "tiny", 2, {});  // Packed.
  Create(definition);
  const std::string host = NodeAt(1, 0).host();
  ASSERT_EQ(NodeAt(1, 1).host(), host);
  hosts_[host]->SetMemory("node", 20 * kGiB);
  hosts_[host]->SetCpus(0.5);
  hosts_[host]->TellAgain(*master_);
  std::vector<Master::MoveView> moves;
  ASSERT_TRUE(Await([&] {
    moves = clusters_->Rebalance(kRoot, /*dry_run=*/true).value();
    return !moves.empty();
  }));
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_NE(moves[0].reason.find("memory-heavy"), std::string::npos) << moves[0].reason;
  EXPECT_FALSE(NodeAt(1, 0).has_move() || NodeAt(1, 1).has_move());
  EXPECT_NE(clusters_->Why(kAlice, "heavy/0").value().find("heavy on memory"), std::string::npos);
  EXPECT_EQ(clusters_->Rebalance(kAlice, true).error().code(), Code::kPermissionDenied);

  for (const auto& [name, fake] : hosts_) fake->SetMemory("node", 20 * kGiB);
  for (const auto& [name, fake] : hosts_) fake->SetCpus(0.5);
  moves = clusters_->Rebalance(kRoot, /*dry_run=*/false).value();
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_EQ(moves[0].refused, "");
  ASSERT_TRUE(
      Await([&] { return !NodeAt(1, 0).has_move() && !NodeAt(1, 1).has_move() && IsAsWanted(1); }));
  EXPECT_NE(NodeAt(1, 0).host(), NodeAt(1, 1).host());
  EXPECT_TRUE(clusters_->Rebalance(kRoot, /*dry_run=*/true).value().empty());
}

TEST_F(MovesTest, AHostThatIsUnderPressureItselfGetsNothingMoreAndGives) {
  Definition first = PlainDefinition("first", "tiny", 2, {});  // Packed.
  Create(first);
  const std::string pressed = NodeAt(1, 0).host();
  ASSERT_EQ(NodeAt(1, 1).host(), pressed);
  host::v1::HostLoad idle;
  idle.mutable_usage()->set_cpus(1);
  host::v1::HostLoad busy = idle;
  busy.mutable_usage()->set_cpus(64);
  busy.mutable_usage()->set_cpu_pressure(0.8);
  for (const auto& [name, fake] : hosts_) {
    fake->SetCpus(20);
    fake->SetLoad(name == pressed ? busy : idle);
    fake->TellAgain(*master_);
  }
  std::vector<Master::MoveView> moves;
  ASSERT_TRUE(Await([&] {
    moves = clusters_->Rebalance(kRoot, /*dry_run=*/true).value();
    return !moves.empty();
  }));
  EXPECT_EQ(moves[0].from, pressed);
  EXPECT_NE(moves[0].reason.find("pressure"), std::string::npos) << moves[0].reason;
  Create(PlainDefinition("second", "tiny", 1, {}));
  EXPECT_NE(NodeAt(2, 0).host(), pressed);
}

TEST_F(MovesTest, NodesThatMustNotMoveAreNotMovedForTheBalanceEither) {
  Definition definition = PlainDefinition("heavy", "tiny", 2, {});
  definition.roles[0].migration = MigrationPolicy::kNever;
  Create(definition);
  for (const auto& [name, fake] : hosts_) {
    fake->SetMemory("node", 20 * kGiB);
    fake->SetCpus(0.5);
    fake->TellAgain(*master_);
  }
  ASSERT_TRUE(Await([&] {
    return clusters_->Why(kAlice, "heavy/0").value().find("heavy on memory") != std::string::npos;
  }));
  EXPECT_TRUE(clusters_->Rebalance(kRoot, /*dry_run=*/true).value().empty());
}

}  // namespace
}  // namespace strata::vcluster
