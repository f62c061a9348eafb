// The master and what it tells hosts, with hosts in memory.
#include "vclusterd/master/master.h"

#include <gtest/gtest.h>

#include "common/file_io.h"
#include "common/subprocess.h"
#include "tests/unit/vclusterd/await.h"
#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/leadership.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/master/verdicts.h"

namespace strata::vcluster {
namespace {

using std::chrono::milliseconds;

void Ignore(const std::string&, uint32_t, uint32_t) {}

MasterOptions Options(const std::string& name = "m1") {
  MasterOptions options;
  options.name = name;
  options.pool = net::Ipv4Prefix::Parse("10.215.0.0/16").value();
  options.reserved = {net::Ipv4Prefix::Parse("10.215.1.0/24").value()};
  options.user_name = [](uint32_t uid) { return std::to_string(uid); };
  options.now_unix_ms = [] { return int64_t{1'800'000'000'000}; };
  options.every = milliseconds(20);
  options.recreate_after = milliseconds(50);
  return options;
}

class MasterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = records::MakeMemoryRecordStore(DesiredTables());
    users_ = std::make_unique<TestUsers>(*store_);
    Open();
    for (const char* name : {"h1", "h2"}) AddHost(name);
  }
  void Open() {
    clusters_.reset();
    master_.reset();
    auto opened = Master::Open(OptionsHere(), *store_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    master_ = std::move(*opened);
    clusters_ = std::make_unique<Clusters>(*master_, **users_);
  }
  virtual MasterOptions OptionsHere() { return Options(); }
  void AddHost(const std::string& name) {
    if (hosts_[name] == nullptr) hosts_[name] = std::make_shared<FakeHost>();
    master_->AddHost(name, hosts_[name], hosts_[name]->Statuses());
  }

  Result<ClusterView> Create(const Definition& definition) {
    return clusters_->Create(kAlice, definition, "", Ignore, CancelToken());
  }
  static Definition Spread(const std::string& name, uint32_t count) {
    Definition definition = PlainDefinition(name, "tiny", count, {});
    definition.roles[0].placement.rank = Rank::kSpread;
    return definition;
  }
  std::multiset<std::string> HostsOf(const std::string& name) {
    std::multiset<std::string> hosts;
    const auto views = clusters_->List(kAlice, name);
    for (const NodeView& node : views->at(0).nodes) hosts.insert(node.host);
    return hosts;
  }
  bool IsAsWanted(uint32_t number) {
    const auto verdict = AsWanted(master_->Find(number));
    return verdict.has_value() && verdict->ok();
  }

  std::unique_ptr<records::RecordStore> store_;
  std::unique_ptr<TestUsers> users_;
  std::map<std::string, std::shared_ptr<FakeHost>> hosts_;
  std::unique_ptr<Master> master_;
  std::unique_ptr<Clusters> clusters_;
};

TEST_F(MasterTest, NodesAreSpreadAndKnowWhereTheOthersAre) {
  const auto made = Create(Spread("s", 4));
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(HostsOf("s"), (std::multiset<std::string>{"h1", "h1", "h2", "h2"}));
  const host::v1::Part order = hosts_["h2"]->Order(1);
  EXPECT_EQ(order.nodes_size(), 2);
  EXPECT_EQ(order.peers_size(), 4);
  EXPECT_EQ(order.cluster(), "s");
}

TEST_F(MasterTest, RolesAreHeldUntilThoseBeforeThemAreReady) {
  Definition definition;
  definition.name = "spark";
  for (const char* name : {"worker", "master"}) {
    Role& role = definition.roles.emplace_back();
    role.name = name;
    role.image = "tiny";
  }
  definition.roles[0].after = {"master"};
  for (const auto& [name, host] : hosts_) host->SetState("master", host::v1::BREAKDOWN, "no luck");
  const auto made = Create(definition);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message().find("spark/master-0: no luck"), std::string::npos);
  // What could not start was never told to.
  for (const auto& [name, host] : hosts_) {
    const host::v1::Part order = host->Order(1);
    for (const host::v1::NodeOrder& node : order.nodes()) {
      EXPECT_TRUE(node.role() != "worker" || node.intent() == host::v1::HOLD);
    }
  }
  EXPECT_TRUE(clusters_->List(kAlice, "").value().empty());
}

TEST_F(MasterTest, AMasterThatTakesOverKnowsEverythingAndRemovesWhatWasHalfMade) {
  ASSERT_TRUE(Create(Spread("whole", 2)).ok());
  ASSERT_TRUE(Create(Spread("half", 2)).ok());
  master::v1::Vcluster record = master_->Find(2).vcluster->record;
  record.set_phase(master::v1::CREATING);
  Open();
  ASSERT_TRUE(store_->Put(kVclustersTable, VclusterKey(2), FormatVcluster(record)).ok());
  Open();
  for (const auto& [name, host] : hosts_) AddHost(name);
  EXPECT_TRUE(Await([&] { return clusters_->List(kAlice, "").value().size() == 1; }));
  EXPECT_TRUE(Await([&] {
    return hosts_["h1"]->Order(2).nodes().empty() && hosts_["h2"]->Order(2).nodes().empty();
  }));
  EXPECT_TRUE(Await([&] { return IsAsWanted(1); }));
  // Numbers of what is gone are not given again.
  EXPECT_TRUE(Create(Spread("next", 1)).ok());
  EXPECT_EQ(master_->Find(3).vcluster->record.name(), "next");
}

// Otherwise takeovers would cut nodes off from each other, and every host that says hello would
// change what all hosts are told.
TEST_F(MasterTest, AMasterThatTakesOverTellsHostsWhereThoseAreThatItHasNotHeardYet) {
  hosts_["h1"]->underlay_address = "192.0.2.1";
  hosts_["h2"]->underlay_address = "192.0.2.2";
  for (const auto& [name, host] : hosts_) AddHost(name);
  ASSERT_TRUE(Create(Spread("s", 2)).ok());
  const auto peers_of = [&](const host::v1::Part& order) {
    std::multiset<std::string> addresses;
    for (const host::v1::Peer& peer : order.peers()) addresses.insert(peer.host_address());
    return addresses;
  };
  const host::v1::Part before = hosts_["h1"]->Order(1);
  ASSERT_EQ(peers_of(before), (std::multiset<std::string>{"", "192.0.2.2"}));
  Open();
  AddHost("h1");
  ASSERT_TRUE(Await([&] { return hosts_["h1"]->Order(1).revision() != before.revision(); }));
  EXPECT_EQ(peers_of(hosts_["h1"]->Order(1)), peers_of(before));
  const uint64_t revision = hosts_["h1"]->Order(1).revision();
  AddHost("h2");
  ASSERT_TRUE(Await([&] { return IsAsWanted(1); }));
  EXPECT_EQ(hosts_["h1"]->Order(1).revision(), revision);
  // One that comes back elsewhere is known there.
  hosts_["h2"]->underlay_address = "192.0.2.3";
  AddHost("h2");
  ASSERT_TRUE(Await([&] {
    return peers_of(hosts_["h1"]->Order(1)) == std::multiset<std::string>{"", "192.0.2.3"};
  }));
}

TEST_F(MasterTest, WhatAHostHasOfADeletedVclusterIsRemovedAndWhatNobodyKnowsIsNot) {
  ASSERT_TRUE(Create(Spread("gone", 2)).ok());
  master_->RemoveHost("h2");
  const host::v1::Part kept = hosts_["h2"]->Order(1);
  ASSERT_TRUE(store_->Delete(kVclustersTable, VclusterKey(1)).ok());
  host::v1::Part unknown = kept;
  unknown.set_number(77);
  ASSERT_TRUE(hosts_["h2"]->Apply({unknown}).ok());
  Open();
  AddHost("h2");
  EXPECT_TRUE(Await([&] { return hosts_["h2"]->Order(1).nodes().empty(); }));
  EXPECT_FALSE(hosts_["h2"]->Order(77).nodes().empty());
}

TEST_F(MasterTest, ALateReportDoesNotHideANewerOne) {
  ASSERT_TRUE(Create(Spread("r", 2)).ok());
  const host::v1::PartStatus newer = hosts_["h1"]->Look(1).value();
  host::v1::PartStatus late = newer;
  late.set_sequence(newer.sequence() - 1);
  late.mutable_nodes(0)->set_state(host::v1::BREAKDOWN);
  master_->Report("h1", newer);
  master_->Report("h1", late);
  EXPECT_EQ(master_->Find(1).states.at(late.nodes(0).index()).state(), host::v1::READY);
}

TEST_F(MasterTest, OnlyWhatMayBeMadeAnewLeavesALostHost) {
  Definition definition = Spread("m", 2);
  definition.roles[0].host_loss = HostLoss::kRecreate;
  ASSERT_TRUE(Create(definition).ok());
  ASSERT_TRUE(Create(Spread("stays", 2)).ok());
  const host::v1::NodeOrder before = hosts_["h2"]->Order(1).nodes(0);
  EXPECT_TRUE(before.fenced());
  master_->RemoveHost("h2");
  EXPECT_TRUE(Await([&] { return HostsOf("m") == std::multiset<std::string>{"h1", "h1"}; }));
  EXPECT_EQ(HostsOf("stays"), (std::multiset<std::string>{"h1", "h2"}));
  EXPECT_TRUE(Await([&] { return IsAsWanted(1); }));
  EXPECT_GT(master_->Find(1).vcluster->FindNode(before.index())->incarnation(),
            before.incarnation());
  AddHost("h2");
  EXPECT_TRUE(Await([&] { return hosts_["h2"]->Order(1).nodes().empty(); }));
  EXPECT_TRUE(Await([&] { return IsAsWanted(2); }));
}

TEST_F(MasterTest, OldKeysAreTakenUntilAllNodesHaveTheNewOnes) {
  ASSERT_TRUE(Create(Spread("web", 2)).ok());
  const auto order = [&](const std::string& host) { return hosts_[host]->Order(1); };
  const std::string old_login = order("h1").ssh_login_seed();
  const std::string old_host = order("h1").ssh_host_seed();
  hosts_["h2"]->Refuse(Error(Code::kUnavailable, "it is away"));
  ASSERT_TRUE(clusters_->RotateKeys(kAlice, "web").ok());
  ASSERT_TRUE(Await([&] { return order("h1").ssh_login_seed() != old_login; }));
  EXPECT_NE(order("h1").ssh_host_seed(), old_host);
  EXPECT_EQ(order("h1").ssh_login_seed_before(), old_login);
  EXPECT_EQ(order("h1").ssh_host_seed_before(), old_host);
  EXPECT_FALSE(master_->Find(1).vcluster->record.ssh_login_seed_before().empty());
  hosts_["h2"]->Refuse(std::nullopt);
  EXPECT_TRUE(Await([&] {
    return order("h2").ssh_login_seed() == order("h1").ssh_login_seed() &&
           order("h1").ssh_login_seed_before().empty() &&
           order("h2").ssh_login_seed_before().empty() &&
           order("h2").ssh_host_seed_before().empty();
  }));
  EXPECT_NE(order("h2").ssh_login_seed(), old_login);
  EXPECT_TRUE(Await([&] { return IsAsWanted(1); }));
}

TEST_F(MasterTest, ARolesNameIsThatOfAllItsNodes) {
  Definition definition = Spread("web", 2);
  definition.roles[0].name = "worker";
  ASSERT_TRUE(Create(definition).ok());
  const host::v1::Part order = hosts_["h1"]->Order(1);
  ASSERT_EQ(order.peers_size(), 2);
  for (const host::v1::Peer& peer : order.peers()) {
    EXPECT_EQ(std::count(peer.aliases().begin(), peer.aliases().end(), "worker"), 1);
    EXPECT_EQ(std::count(peer.aliases().begin(), peer.aliases().end(), peer.hostname() + ".web"),
              1);
  }
}

TEST_F(MasterTest, SubnetsAreAsSmallAsTheirNodesAllowAndNeverOfWhatIsReserved) {
  Definition small = Spread("small", 2);
  small.nodes_max = 13;
  Definition smaller = small;
  smaller.name = "smaller";
  ASSERT_TRUE(Create(small).ok());
  ASSERT_TRUE(Create(Spread("large", 2)).ok());
  ASSERT_TRUE(Create(smaller).ok());
  const auto subnet = [&](const std::string& name) {
    return clusters_->List(kAlice, name)->at(0).prefix.ToString();
  };
  // 10.215.1.0/24 is reserved.
  EXPECT_EQ(subnet("small"), "10.215.2.0/28");
  EXPECT_EQ(subnet("large"), "10.215.3.0/24");
  EXPECT_EQ(subnet("smaller"), "10.215.2.16/28");
  const auto grown = clusters_->Scale(kAlice, "small", "node", 14, Ignore, {});
  ASSERT_FALSE(grown.ok());
  EXPECT_NE(grown.error().message().find("nodes-max is 13"), std::string::npos);
  const auto full = clusters_->Scale(kAlice, "small", "node", 13, Ignore, {});
  EXPECT_TRUE(full.ok()) << full.error().message();
}

TEST_F(MasterTest, ScalingAddsNodesAndTakesTheNewestAway) {
  ASSERT_TRUE(Create(Spread("web", 2)).ok());
  const auto grown = clusters_->Scale(kAlice, "web", "node", 5, Ignore, {});
  ASSERT_TRUE(grown.ok()) << grown.error().message();
  EXPECT_EQ(grown->view->nodes.size(), 5u);
  ASSERT_EQ(grown->changes.size(), 1u);
  const auto shrunk = clusters_->Scale(kAlice, "web", "node", 1, Ignore, {});
  ASSERT_TRUE(shrunk.ok()) << shrunk.error().message();
  ASSERT_EQ(shrunk->view->nodes.size(), 1u);
  EXPECT_EQ(shrunk->view->nodes[0].name, "web/0");
  EXPECT_EQ(hosts_["h1"]->Order(1).nodes_size() + hosts_["h2"]->Order(1).nodes_size(), 1);
  const auto none = clusters_->Scale(kAlice, "web", "worker", 2, Ignore, {});
  EXPECT_NE(none.error().message().find("it has: node"), std::string::npos);
}

TEST_F(MasterTest, ARoleShrinksByTheNodesThatItsFileSays) {
  const auto create = [&](const std::string& name, ScaleIn scale_in) {
    Definition definition = Spread(name, 4);
    definition.roles[0].scale_in = scale_in;
    return Create(definition).ok();
  };
  const auto scaled = [&](const std::string& name, uint32_t count) {
    std::set<std::string> nodes;
    const auto applied = clusters_->Scale(kAlice, name, "node", count, Ignore, {});
    EXPECT_TRUE(applied.ok()) << applied.error().message();
    if (!applied.ok()) return nodes;
    for (const NodeView& node : applied->view->nodes) nodes.insert(node.name);
    return nodes;
  };
  using Names = std::set<std::string>;
  ASSERT_TRUE(create("new", ScaleIn::kNewest));
  EXPECT_EQ(scaled("new", 2), (Names{"new/0", "new/1"}));
  ASSERT_TRUE(create("old", ScaleIn::kOldest));
  EXPECT_EQ(scaled("old", 2), (Names{"old/2", "old/3"}));
  // Those that take the free names are younger than those that stayed.
  EXPECT_EQ(scaled("old", 3), (Names{"old/0", "old/2", "old/3"}));
  EXPECT_EQ(scaled("old", 2), (Names{"old/0", "old/3"}));
  EXPECT_EQ(scaled("old", 1), (Names{"old/0"}));

  ASSERT_TRUE(create("idle", ScaleIn::kIdlest));
  Names busy;
  const auto idle = clusters_->List(kAlice, "idle");
  for (const NodeView& node : idle->at(0).nodes) {
    if (node.host == "h2") busy.insert(node.name);
  }
  ASSERT_EQ(busy.size(), 2u);
  // So that neither the newest nor the oldest are all on one host.
  ASSERT_NE(busy, (Names{"idle/0", "idle/1"}));
  ASSERT_NE(busy, (Names{"idle/2", "idle/3"}));
  for (const auto& [name, host] : hosts_) {
    host->SetCpus(name == "h2" ? 0.9 : 0.1);
    master_->Report(name, host->SaysOf(3));
  }
  EXPECT_EQ(scaled("idle", 2), busy);
  EXPECT_EQ(scaled("idle", 1), (Names{*busy.begin()})) << "of those that do as much, the newest";
}

TEST_F(MasterTest, AnotherImageMakesNodesAnewOnlyWhenThatIsSaid) {
  Definition definition = Spread("i", 2);
  ASSERT_TRUE(Create(definition).ok());
  definition.roles[0].image = "other";
  const auto refused = clusters_->Apply(kAlice, definition, false, false, Ignore, {});
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  const uint32_t before = master_->Find(1).vcluster->record.nodes(0).incarnation();
  const auto applied = clusters_->Apply(kAlice, definition, false, true, Ignore, {});
  ASSERT_TRUE(applied.ok()) << applied.error().message();
  EXPECT_GT(master_->Find(1).vcluster->record.nodes(0).incarnation(), before);
  const auto same = clusters_->Apply(kAlice, definition, true, false, Ignore, {});
  EXPECT_TRUE(same->changes.empty());
}

TEST_F(MasterTest, WithoutAPlaceForVolumesTheyAreRefusedAndNotLeftOut) {
  Definition definition = Spread("v", 1);
  definition.roles[0].volumes = {{"home", "/home/me"}};
  EXPECT_EQ(Create(definition).error().code(), Code::kUnsupported);
  definition.roles[0].volumes.clear();
  ASSERT_TRUE(Create(definition).ok());
  definition.roles[0].volumes = {{"home", "/home/me"}};
  EXPECT_EQ(clusters_->Apply(kAlice, definition, false, false, Ignore, {}).error().code(),
            Code::kUnsupported);
}

// A master with a directory for volumes.
class MasterVolumesTest : public MasterTest {
 protected:
  void SetUp() override {
    dir_ = std::make_unique<TemporaryDirectory>(
        TemporaryDirectory::Create("/tmp", "strata-volumes.").value());
    MasterTest::SetUp();
  }
  void TearDown() override {
    clusters_.reset();
    master_.reset();
  }
  MasterOptions OptionsHere() override {
    MasterOptions options = Options();
    options.shared = SharedDir::Open(dir_->path()).value();
    return options;
  }
  static Definition WithData(const std::string& name) {
    Definition definition = Spread(name, 2);
    definition.volumes = {{"data"}};
    definition.roles[0].volumes = {{"data", "/srv/data"}, {"home", "/home/me"}};
    return definition;
  }
  // As a host does when a node starts.
  std::string MakeVolume(uint32_t number) {
    const host::v1::Part order = hosts_["h2"]->Order(number);
    const std::string path = dir_->path() + "/" + order.nodes(0).volumes(0).directory();
    EXPECT_TRUE(MakeDirectories(path + "/files").ok());
    return path;
  }
  void Apply(const Definition& definition) {
    const auto applied = clusters_->Apply(kAlice, definition, false, false, Ignore, {});
    ASSERT_TRUE(applied.ok()) << applied.error().message();
  }
  std::unique_ptr<TemporaryDirectory> dir_;
};

TEST_F(MasterVolumesTest, AllHostsAreToldOfOneDirectoryAndItGoesWithTheVcluster) {
  ASSERT_TRUE(Create(WithData("v")).ok());
  const host::v1::Part order = hosts_["h1"]->Order(1);
  EXPECT_FALSE(order.shared_id().empty());
  EXPECT_EQ(order.nodes(0).volumes(0).directory(), "vclusters/1-1800000000000/data.1");
  EXPECT_EQ(order.nodes(0).volumes(1).directory(), "");
  EXPECT_EQ(hosts_["h2"]->Order(1).nodes(0).volumes(0).directory(),
            order.nodes(0).volumes(0).directory());
  const std::string path = MakeVolume(1);
  ASSERT_TRUE(clusters_->Delete(kAlice, "v").ok());
  EXPECT_FALSE(PathExists(path));
  EXPECT_TRUE(Await([&] { return RunChecked({"ls", dir_->path() + "/trash"}).value().empty(); }));
}

TEST_F(MasterVolumesTest, AVolumeThatIsLeftOutWaitsForAllNodesThatHaveItMounted) {
  Definition definition = WithData("v");
  ASSERT_TRUE(Create(definition).ok());
  const std::string path = MakeVolume(1);
  definition.volumes.clear();
  definition.roles[0].volumes.clear();
  Apply(definition);
  hosts_["h1"]->Restarted(1);
  Open();  // The next master knows it, too.
  for (const auto& [name, host] : hosts_) AddHost(name);
  ASSERT_TRUE(Await([&] { return IsAsWanted(1); }));
  master_->Report("h1", hosts_["h1"]->Look(1).value());
  EXPECT_TRUE(PathExists(path));
  // Named again it is another one.
  Apply(WithData("v"));
  EXPECT_EQ(hosts_["h1"]->Order(1).nodes(0).volumes(0).directory(),
            "vclusters/1-1800000000000/data.2");
  EXPECT_TRUE(PathExists(path));
  hosts_["h2"]->Restarted(1);
  master_->Report("h2", hosts_["h2"]->Look(1).value());
  EXPECT_TRUE(Await([&] { return !PathExists(path); }));
  EXPECT_TRUE(Await([&] { return master_->Find(1).vcluster->record.volumes_size() == 1; }));
}

TEST_F(MasterVolumesTest, ADirectoryThatIsNotTheOneOfTheRecordsIsNotTakenForIt) {
  ASSERT_TRUE(Create(WithData("v")).ok());
  ASSERT_TRUE(RemoveTree(dir_->path() + "/strata-shared").ok());  // As if it were not mounted.
  Open();
  for (const auto& [name, host] : hosts_) AddHost(name);
  const Status refused = Create(WithData("w")).error();
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(refused.error().message().find("mounted?"), std::string::npos)
      << refused.error().message();
  ASSERT_TRUE(Create(Spread("plain", 1)).ok()) << "others are none the worse for it";
}

TEST_F(MasterTest, AFullClusterSaysWhatIsShortAndNothingIsLeft) {
  Limits limits;
  limits.memory_bytes = uint64_t{100} << 30;
  const auto made = Create(PlainDefinition("big", "tiny", 4, limits));
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code(), Code::kResourceExhausted);
  EXPECT_NE(made.error().message().find("big/"), std::string::npos) << made.error().message();
  EXPECT_TRUE(clusters_->List(kAlice, "").value().empty());
}

TEST_F(MasterTest, ADrainedHostGetsNoNodes) {
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", true).ok());
  EXPECT_EQ(clusters_->Drain(kAlice, "h2", true).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(clusters_->Drain(kRoot, "h9", true).error().code(), Code::kNotFound);
  ASSERT_TRUE(Create(Spread("d", 2)).ok());
  EXPECT_EQ(HostsOf("d"), (std::multiset<std::string>{"h2", "h2"}));
  Open();  // It is durable.
  for (const auto& [name, host] : hosts_) AddHost(name);
  ASSERT_TRUE(Create(Spread("e", 2)).ok());
  EXPECT_EQ(HostsOf("e"), (std::multiset<std::string>{"h2", "h2"}));
  ASSERT_TRUE(clusters_->Drain(kRoot, "h1", false).ok());
  ASSERT_TRUE(Create(Spread("f", 2)).ok());
  EXPECT_EQ(HostsOf("f"), (std::multiset<std::string>{"h1", "h2"}));
}

TEST_F(MasterTest, AHostThatIsDrainedBeforeItComesGetsNoNodesWhoeverLeadsThen) {
  EXPECT_EQ(master_->Drain("h3", true).error().code(), Code::kNotFound);
  ASSERT_TRUE(master_->DrainComing("h3", true).ok());
  Open();
  for (const char* name : {"h1", "h2", "h3"}) AddHost(name);
  ASSERT_TRUE(Create(Spread("a", 4)).ok());
  EXPECT_FALSE(HostsOf("a").contains("h3"));
  ASSERT_TRUE(master_->DrainComing("h3", false).ok());
  ASSERT_TRUE(Create(Spread("b", 3)).ok());
  EXPECT_TRUE(HostsOf("b").contains("h3"));
}

TEST_F(MasterTest, AHostThatRefusesItsOrdersIsNamed) {
  hosts_["h1"]->Refuse(Error(Code::kResourceExhausted, "h1: the disk is full"));
  const auto made = Create(Spread("x", 2));
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message().find("the disk is full"), std::string::npos);
  hosts_["h1"]->Refuse(std::nullopt);
  EXPECT_TRUE(Await([&] { return clusters_->List(kAlice, "").value().empty(); }));
}

TEST(LeadershipTest, OneLeadsAnotherFollowsAndWhoWasTakenOverFromChangesNothing) {
  const auto store = records::MakeMemoryRecordStore(DesiredTables());
  std::mutex mutex;
  std::string leader;
  Master* first_master = nullptr;
  const auto start = [&](const std::string& name) {
    Leadership::Options options;
    options.master = Options(name);
    options.beat_every = milliseconds(20);
    options.takeover_after = milliseconds(100);
    return std::make_unique<Leadership>(
        options, *store,
        [&, name](Master& master) {
          const std::lock_guard lock(mutex);
          leader += name + " ";
          if (name == "m1") first_master = &master;
        },
        [](Master&) {});
  };
  const auto leads = [&](const std::string& who) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
      const std::lock_guard lock(mutex);
      if (leader == who) return true;
    }
    return false;
  };
  auto m1 = start("m1");
  ASSERT_TRUE(leads("m1 "));
  auto m2 = start("m2");
  EXPECT_EQ(m2->Leader(), "m1");
  m1.reset();  // Gives the lead up.
  ASSERT_TRUE(leads("m1 m2 "));

  // A third that takes the lead by force, as after a silence of m2 that only m3 has seen.
  auto forced = Master::Open(Options("m3"), *store);
  ASSERT_TRUE(forced.ok());
  EXPECT_EQ((*forced)->epoch(), 3u);
  EXPECT_TRUE((*forced)->Beat().ok());
  const auto stale = Master::Open(
      [&] {
        MasterOptions options = Options("m4");
        options.takes_over_from = std::optional<std::string>("what m4 saw a while ago");
        return options;
      }(),
      *store);
  EXPECT_EQ(stale.error().code(), Code::kFailedPrecondition);
}

TEST(LeadershipTest, TheRecordsOfAnEarlierLeaderCannotBeWrittenAnyMore) {
  const auto store = records::MakeMemoryRecordStore(DesiredTables());
  const auto before = Master::Open(Options("m1"), *store).value();
  const auto after = Master::Open(Options("m2"), *store).value();
  auto record = NewVcluster(PlainDefinition("a", "tiny", 1, {}), kAlice.uid, 0).value();
  EXPECT_EQ(before->Add({record}).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(before->Beat().error().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(after->Add({record}).ok());
}

}  // namespace
}  // namespace strata::vcluster
