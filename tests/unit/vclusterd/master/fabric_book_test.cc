// The encrypted network of the hosts, as a master has it: addresses, orders, new keys, and which
// hosts get nodes.
#include "vclusterd/master/fabric_book.h"

#include <gtest/gtest.h>

#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

using host::v1::FabricOrder;
using host::v1::FabricReport;

FabricOptions Options(const std::string& prefix = "10.89.0.0/16") {
  FabricOptions options;
  options.prefix = net::Ipv4Prefix::Parse(prefix).value();
  return options;
}

FabricReport Says(const std::string& key, const std::string& endpoint) {
  FabricReport report;
  report.mutable_part()->set_key(key);
  report.mutable_part()->set_endpoint(endpoint);
  return report;
}

// Hosts that carry out what they are told, and keep their keys as vnetd does.
class Hosts {
 public:
  explicit Hosts(std::optional<FabricOptions> options = Options()) : book_(options) {
    book_.Begin(7);
  }
  void Add(const std::string& name, bool behind_nat = false) {
    reports[name] = Says(name + "-key", behind_nat ? "" : "192.0.2." + name.substr(1) + ":51820");
  }
  // What it says now reaches the master, and what that answers reaches it, unless it is `deaf`.
  std::optional<FabricOrder> Report(const std::string& name, bool deaf = false) {
    auto record = book_.Heard(name, reports[name], hosts);
    EXPECT_TRUE(record.ok()) << record.error().message();
    if (!record.ok()) return std::nullopt;
    record->set_name(name);
    hosts.Put(name, *record);
    hosts.SetAddress(name, record->fabric().address());
    const auto order = book_.OrderFor(name, hosts);
    if (order && !deaf) Follow(name, *order);
    return order;
  }
  // Until nobody has anything to say.
  void Settle() {
    // What one confirms may be what another waits for.
    for (int quiet = 0; quiet < 2; ++quiet) {
      for (const auto& [name, report] : reports) {
        if (Report(name)) quiet = -1;
      }
    }
  }
  std::string AddressOf(const std::string& name) { return hosts.RecordOf(name).fabric().address(); }
  void ChangeKey(const std::string& name) {
    master::v1::Host record = hosts.RecordOf(name);
    record.mutable_fabric()->set_changes_key(true);
    hosts.Put(name, record);
  }

  std::map<std::string, FabricReport> reports;
  std::map<std::string, FabricOrder> has;
  HostBook hosts;
  FabricBook& book() { return book_; }

 private:
  void Follow(const std::string& name, const FabricOrder& order) {
    host::v1::FabricPart* part = reports[name].mutable_part();
    if (!order.use_key().empty() && order.use_key() == part->next_key()) {
      // All others that are there must know it by now.
      for (const auto& [other, had] : has) {
        if (other == name) continue;
        bool knows = false;
        for (const auto& peer : had.peers()) knows |= peer.part().next_key() == order.use_key();
        EXPECT_TRUE(knows) << other << " does not know the next key of " << name;
      }
      part->set_key(part->next_key());
      part->clear_next_key();
    }
    if (order.follow_key() == part->key() && part->next_key().empty()) {
      part->set_next_key(part->key() + "+");
    }
    reports[name].set_revision(order.revision());
    has[name] = order;
  }
  FabricBook book_;
};

TEST(FabricBook, GivesEachHostAnAddressOfItsOwnThatLasts) {
  Hosts all;
  for (const char* name : {"h1", "h2", "h3"}) all.Add(name);
  all.Settle();
  EXPECT_EQ(all.AddressOf("h1"), "10.89.0.1");
  EXPECT_EQ(all.AddressOf("h2"), "10.89.0.2");
  EXPECT_EQ(all.AddressOf("h3"), "10.89.0.3");
  // It comes again, with another key.
  all.reports["h2"] = Says("another", "192.0.2.2:51820");
  all.book().Forget("h2");
  all.Settle();
  EXPECT_EQ(all.AddressOf("h2"), "10.89.0.2");
  EXPECT_EQ(all.has["h1"].peers(0).part().key(), "another");
  // One that will not come back leaves its address to others.
  all.reports.erase("h2");
  all.hosts.Forget("h2");
  all.Settle();
  EXPECT_EQ(all.has["h1"].peers_size(), 1);
  all.Add("h4");
  all.Settle();
  EXPECT_EQ(all.AddressOf("h4"), "10.89.0.2");
  all.Add("h2");
  all.Settle();
  EXPECT_EQ(all.AddressOf("h2"), "10.89.0.4");
}

TEST(FabricBook, SaysWhenThereIsNoAddressLeft) {
  Hosts all(Options("10.89.0.0/30"));
  all.Add("h1");
  all.Add("h2");
  all.Settle();
  const auto third = all.book().Heard("h3", Says("k", ""), all.hosts);
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code(), Code::kResourceExhausted);
  EXPECT_NE(third.error().message().find("--fabric-subnet"), std::string::npos);
}

TEST(FabricBook, TellsEachHostAllOthersUntilItHasThem) {
  Hosts all;
  all.Add("h1");
  all.Add("h2", /*behind_nat=*/true);
  EXPECT_NE(all.book().Problem("h1", all.hosts), "");
  all.Settle();
  ASSERT_EQ(all.has["h1"].peers_size(), 1);
  EXPECT_EQ(all.has["h1"].peers(0).host(), "h2");
  EXPECT_EQ(all.has["h1"].peers(0).part().endpoint(), "");
  EXPECT_EQ(all.has["h2"].peers(0).part().endpoint(), "192.0.2.1:51820");
  EXPECT_EQ(all.has["h1"].address(), "10.89.0.1");
  EXPECT_EQ(all.book().Problem("h1", all.hosts), "");
  // An answer that is lost is given again.
  all.Add("h3");
  const auto lost = all.Report("h3", /*deaf=*/true);
  ASSERT_TRUE(lost.has_value());
  EXPECT_EQ(all.book().Problem("h3", all.hosts), "fabric: it is being made");
  EXPECT_EQ(all.Report("h3")->revision(), lost->revision());
  all.Settle();
  EXPECT_EQ(all.has["h1"].peers_size(), 2);
  EXPECT_EQ(all.book().Problem("h3", all.hosts), "");
  all.reports["h3"].set_problem("no /dev/net/tun");
  all.Report("h3");
  EXPECT_EQ(all.book().Problem("h3", all.hosts), "fabric: no /dev/net/tun");
}

TEST(FabricBook, NamesHostsThatCannotReachEachOther) {
  Hosts all;
  all.Add("h1");
  all.Add("h2", /*behind_nat=*/true);
  all.Add("h3", /*behind_nat=*/true);
  all.Settle();
  EXPECT_TRUE(all.book().UnreachableFrom("h1", all.hosts).empty());
  EXPECT_EQ(all.book().UnreachableFrom("h2", all.hosts), std::set<std::string>{"h3"});
}

TEST(FabricBook, AHostUsesItsNextKeyWhenAllOthersKnowIt) {
  Hosts all;
  for (const char* name : {"h1", "h2", "h3"}) all.Add(name);
  all.Settle();
  for (const char* name : {"h1", "h2", "h3"}) all.ChangeKey(name);
  const FabricReport away = all.reports["h3"];
  const FabricOrder had = all.has["h3"];
  all.reports.erase("h3");
  all.Settle();
  // One that is away puts it off.
  EXPECT_EQ(all.reports["h1"].part().key(), "h1-key");
  EXPECT_EQ(all.reports["h1"].part().next_key(), "h1-key+");
  EXPECT_EQ(all.has["h2"].peers(0).part().next_key(), "h1-key+");
  all.reports["h3"] = away;
  all.has["h3"] = had;
  all.Settle();
  for (const auto& [name, report] : all.reports) {
    EXPECT_EQ(report.part().key(), name + "-key+");
    EXPECT_EQ(report.part().next_key(), "");
    EXPECT_FALSE(all.hosts.RecordOf(name).fabric().changes_key());
    for (const auto& peer : all.has[name].peers()) {
      EXPECT_EQ(peer.part().key(), peer.host() + "-key+");
      EXPECT_EQ(peer.part().next_key(), "");
    }
  }
}

TEST(FabricBook, WithoutAFabricAHostThatHasOneIsToldSo) {
  Hosts all(std::nullopt);
  all.Add("h1");
  EXPECT_FALSE(all.Report("h1").has_value());
  all.reports["h1"].set_revision(12);
  const auto order = all.Report("h1");
  ASSERT_TRUE(order.has_value());
  EXPECT_EQ(order->prefix(), "");
  EXPECT_FALSE(all.Report("h1").has_value());
}

TEST(FabricBook, EspLeavesOutWhoIsBehindANat) {
  FabricOptions options = Options();
  options.esp = true;
  Hosts all(options);
  all.Add("h1");
  all.Add("h2", /*behind_nat=*/true);
  all.Settle();
  EXPECT_TRUE(all.has["h1"].esp());
  EXPECT_EQ(all.has["h1"].peers_size(), 0);
  EXPECT_NE(all.book().Problem("h2", all.hosts).find("use WireGuard"), std::string::npos);
}

class MasterWithFabric : public ::testing::Test {
 protected:
  Status Open(std::optional<FabricOptions> fabric) {
    clusters_.reset();
    master_.reset();
    MasterOptions options;
    options.name = "m1";
    options.pool = net::Ipv4Prefix::Parse("10.215.0.0/16").value();
    options.user_name = [](uint32_t uid) { return std::to_string(uid); };
    options.now_unix_ms = [] { return int64_t{1'800'000'000'000}; };
    options.fabric = fabric;
    options.pause = [this] { Step(); };
    auto opened = Master::Open(options, *store_);
    if (!opened.ok()) return opened.error();
    master_ = std::move(*opened);
    clusters_ = std::make_unique<Clusters>(*master_, *users_);
    return Ok();
  }
  void Step() {
    master_->Step();
    for (const Master::Dispatch& dispatch : master_->TakeOrders()) {
      master_->Answer(dispatch, dispatch.link->Apply(dispatch.orders));
    }
  }
  FakeHost& AddHost(const std::string& name, uint32_t mtu = 1500) {
    auto& host = hosts_[name];
    if (host == nullptr) host = std::make_shared<FakeHost>();
    host->underlay_address = "192.0.2." + name.substr(1);
    host->underlay_mtu = mtu;
    host->fabric = Says(name + "-key", host->underlay_address + ":51820");
    master_->AddHost(name, host, host->Statuses());
    return *host;
  }
  // The host carries out what it is told of the fabric.
  void Follow(const std::string& name) {
    FabricReport& report = hosts_[name]->fabric;
    while (const auto order = master_->ReportFabric(name, report)) {
      report.set_revision(order->revision());
    }
  }
  Master::HostView ViewOf(const std::string& name) {
    for (const Master::HostView& view : master_->Hosts()) {
      if (view.name == name) return view;
    }
    return {};
  }
  // Of two nodes on two hosts.
  Status Create(const std::string& name) {
    Definition definition = PlainDefinition(name, "tiny", 2, {});
    definition.roles[0].placement.rank = Rank::kSpread;
    const auto ignore = [](const std::string&, uint32_t, uint32_t) {};
    const auto made = clusters_->Create(kAlice, definition, "", ignore, CancelToken());
    return made.ok() ? Ok() : Status(made.error());
  }

  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(DesiredTables());
  TestUsers users_{*store_};
  std::map<std::string, std::shared_ptr<FakeHost>> hosts_;
  std::unique_ptr<Master> master_;
  std::unique_ptr<Clusters> clusters_;
};

TEST_F(MasterWithFabric, NodesReachEachOtherByFabricAddressesInPacketsThatFit) {
  ASSERT_TRUE(Open(Options()).ok());
  for (const char* name : {"h1", "h2"}) AddHost(name);
  EXPECT_FALSE(Create("early").ok()) << "hosts get nodes before they have the fabric";
  EXPECT_EQ(ViewOf("h1").notice, "fabric: it is being made");
  for (const char* name : {"h1", "h2", "h1"}) Follow(name);
  EXPECT_EQ(ViewOf("h1").notice, "");
  EXPECT_EQ(ViewOf("h2").fabric_address, "10.89.0.2");
  const Status made = Create("a");
  ASSERT_TRUE(made.ok()) << made.error().message();
  const uint32_t number = master_->Find(kAlice.uid, "a").vcluster->record.number();
  const host::v1::Part part = hosts_["h1"]->Order(number);
  EXPECT_EQ(part.host_address(), "10.89.0.1");
  EXPECT_EQ(part.underlay_mtu(), 1440u);
  std::set<std::string> others;
  for (const host::v1::Peer& peer : part.peers()) others.insert(peer.host_address());
  EXPECT_EQ(others, (std::set<std::string>{"", "10.89.0.2"}));
}

TEST_F(MasterWithFabric, AnotherMasterTellsTheSame) {
  ASSERT_TRUE(Open(Options()).ok());
  for (const char* name : {"h2", "h1"}) AddHost(name);
  for (const char* name : {"h2", "h1", "h2"}) Follow(name);
  EXPECT_EQ(ViewOf("h2").fabric_address, "10.89.0.1");
  ASSERT_TRUE(Open(Options()).ok());
  for (const char* name : {"h1", "h2"}) AddHost(name);
  Follow("h1");
  Follow("h2");
  EXPECT_EQ(ViewOf("h2").fabric_address, "10.89.0.1");
  EXPECT_EQ(ViewOf("h1").notice, "");
}

TEST_F(MasterWithFabric, VclustersThatWereMadeWithoutItAreInTheWay) {
  ASSERT_TRUE(Open(std::nullopt).ok());
  for (const char* name : {"h1", "h2"}) AddHost(name);
  ASSERT_TRUE(Create("plain").ok());
  const Status opened = Open(Options());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(opened.error().message().find("Vcluster plain"), std::string::npos);
}

TEST_F(MasterWithFabric, AHostWithASmallerMtuGetsNoNodesOfLargerNetworks) {
  ASSERT_TRUE(Open(std::nullopt).ok());
  AddHost("h1", 9000);
  AddHost("h2", 4000);
  ASSERT_TRUE(Create("a").ok());
  const uint32_t number = master_->Find(kAlice.uid, "a").vcluster->record.number();
  EXPECT_EQ(hosts_["h1"]->Order(number).underlay_mtu(), 4000u);
  EXPECT_EQ(hosts_["h2"]->Order(number).underlay_mtu(), 4000u);
  AddHost("h3", 1500);
  EXPECT_NE(ViewOf("h3").notice.find("1500 bytes, and Vclusters here were made for 4000"),
            std::string::npos)
      << ViewOf("h3").notice;
  ASSERT_TRUE(Create("b").ok());
  const uint32_t other = master_->Find(kAlice.uid, "b").vcluster->record.number();
  EXPECT_TRUE(hosts_["h3"]->Order(other).nodes().empty());
  EXPECT_EQ(hosts_["h1"]->Order(other).underlay_mtu(), 4000u);
  for (const char* name : {"a", "b"}) {
    EXPECT_TRUE(clusters_->Delete(kAlice, name).ok());
  }
  EXPECT_EQ(ViewOf("h3").notice, "");
  for (const char* name : {"h1", "h2"}) master_->RemoveHost(name);
  AddHost("h1", 1500);
  ASSERT_TRUE(Create("c").ok());
  const uint32_t last = master_->Find(kAlice.uid, "c").vcluster->record.number();
  EXPECT_EQ(hosts_["h3"]->Order(last).nodes_size(), 1);
  EXPECT_EQ(hosts_["h3"]->Order(last).underlay_mtu(), 1500u);
}

TEST_F(MasterWithFabric, NewKeysAreRootsToAskFor) {
  ASSERT_TRUE(Open(std::nullopt).ok());
  EXPECT_EQ(clusters_->RotateFabricKeys(kRoot).error().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(Open(Options()).ok());
  for (const char* name : {"h1", "h2"}) AddHost(name);
  for (const char* name : {"h1", "h2", "h1"}) Follow(name);
  EXPECT_EQ(clusters_->RotateFabricKeys(kAlice).error().code(), Code::kPermissionDenied);
  ASSERT_TRUE(clusters_->RotateFabricKeys(kRoot).ok());
  const auto order = master_->ReportFabric("h1", hosts_["h1"]->fabric);
  ASSERT_TRUE(order.has_value());
  EXPECT_EQ(order->follow_key(), "h1-key");
}

TEST_F(MasterWithFabric, CallsAHostBehindANatThroughItOnceItHasIt) {
  ASSERT_TRUE(Open(Options()).ok());
  EXPECT_EQ(master_->ReachInFabric("h1", Says("k", "192.0.2.1:51820")).address, "");
  EXPECT_EQ(master_->ReachInFabric("h3", Says("", "")).address, "");
  FabricReport report = Says("l", "");
  const Master::InFabric before = master_->ReachInFabric("h2", report);
  EXPECT_EQ(before.address, "10.89.0.1");
  ASSERT_TRUE(before.first.has_value());
  EXPECT_EQ(before.first->address(), "10.89.0.1");
  AddHost("h1");
  const auto order = master_->ReportFabric("h1", hosts_["h1"]->fabric);
  ASSERT_TRUE(order.has_value());
  ASSERT_EQ(order->peers_size(), 1) << "the others do not hear of it";
  for (auto next = before; next.first; next = master_->ReachInFabric("h2", report)) {
    EXPECT_EQ(next.address, "10.89.0.1");
    report.set_revision(next.first->revision());
  }
  EXPECT_EQ(master_->ReachInFabric("h2", report).address, "10.89.0.1");
}

}  // namespace
}  // namespace strata::vcluster
