// What the master does by itself: growth by use, idleness, the end of a time.
#include "vclusterd/master/autoscale.h"

#include <gtest/gtest.h>

#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Autoscale Rule() {
  Autoscale rule;
  rule.min = 1;
  rule.max = 8;
  rule.cpu_percent = 50;
  rule.every = seconds(30);
  rule.shrink_after = seconds(300);
  return rule;
}

TEST(RoleScalerTest, GrowsAtOnceToWhereTheWorkIsAtTheTarget) {
  RoleScaler scaler;
  EXPECT_EQ(scaler.Decide(Rule(), 2, 2 * 100 / 50.0, 1'000), 4u);
  // Not again before its time.
  EXPECT_EQ(scaler.Decide(Rule(), 4, 4 * 100 / 50.0, 2'000), 4u);
  EXPECT_EQ(scaler.Decide(Rule(), 4, 4 * 100 / 50.0, 31'000), 8u);
  EXPECT_EQ(scaler.Decide(Rule(), 8, 8 * 100 / 50.0, 61'000), 8u);  // The most it may.
}

TEST(RoleScalerTest, ShrinksOnlyAfterALongTimeAndOnlyByWhatWasAlwaysTooMuch) {
  RoleScaler scaler;
  EXPECT_EQ(scaler.Decide(Rule(), 8, 8 * 10 / 50.0, 1'000), 8u);    // 2 would do.
  EXPECT_EQ(scaler.Decide(Rule(), 8, 8 * 30 / 50.0, 100'000), 8u);  // 5 would do.
  EXPECT_EQ(scaler.Decide(Rule(), 8, 8 * 10 / 50.0, 200'000), 8u);
  EXPECT_EQ(scaler.Decide(Rule(), 8, 8 * 10 / 50.0, 301'000), 5u);
  EXPECT_EQ(scaler.Decide(Rule(), 5, 5 * 5 / 50.0, 331'000), 5u);
  EXPECT_EQ(scaler.Decide(Rule(), 5, 5 * 50 / 50.0, 361'000), 5u);  // Busy: the time begins anew.
  EXPECT_EQ(scaler.Decide(Rule(), 5, 5 * 5 / 50.0, 640'000), 5u);
  EXPECT_EQ(scaler.Decide(Rule(), 5, 5 * 0 / 50.0, 941'000), 1u);  // The least it may.
}

class RulesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = records::MakeMemoryRecordStore(DesiredTables());
    users_ = std::make_unique<TestUsers>(*store_);
    MasterOptions options;
    options.name = "m";
    options.pool = net::Ipv4Prefix::Parse("10.215.0.0/16").value();
    options.user_name = [](uint32_t uid) { return std::to_string(uid); };
    options.now_unix_ms = [this] { return now_ms_.load(); };
    options.every = milliseconds(5);
    auto opened = Master::Open(options, *store_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    master_ = std::move(*opened);
    clusters_ = std::make_unique<Clusters>(*master_, **users_);
    master_->AddHost("h1", host_, {});
  }
  void Create(const Definition& definition) {
    const auto made = clusters_->Create(kAlice, definition, "",
                                        [](const std::string&, uint32_t, uint32_t) {}, {});
    ASSERT_TRUE(made.ok()) << made.error().message();
  }
  void Use(double cpus) {
    host_->SetCpus(cpus);
    master_->Report("h1", host_->Look(1).value());
  }
  ClusterView View() { return clusters_->List(kAlice, "c").value()[0]; }
  template <typename Condition>
  bool Await(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  std::atomic<int64_t> now_ms_ = 1'000'000'000;
  std::unique_ptr<records::RecordStore> store_;
  std::unique_ptr<TestUsers> users_;
  std::shared_ptr<FakeHost> host_ = std::make_shared<FakeHost>();
  std::unique_ptr<Master> master_;
  std::unique_ptr<Clusters> clusters_;
};

TEST_F(RulesTest, ARoleGrowsWhenItsNodesAreBusy) {
  Definition definition = PlainDefinition("c", "tiny", 1, {});
  definition.roles[0].autoscale = Rule();
  Create(definition);
  Use(1.0);
  EXPECT_TRUE(Await([&] { return View().nodes.size() == 2; }));
  EXPECT_NE(View().notice.find("1 -> 2 nodes"), std::string::npos) << View().notice;
  EXPECT_EQ(clusters_->Export(kAlice, "c", /*pin=*/false)->roles[0].count, 2u);
}

TEST_F(RulesTest, ARoleFollowsWhatACommandInItsFirstNodeSays) {
  Definition definition = PlainDefinition("c", "tiny", 2, {});
  Autoscale& rule = definition.roles[0].autoscale.emplace();
  rule.max = 8;
  rule.argv = {"queue-length"};
  rule.target_per_node = 10;
  rule.every = seconds(1);
  Create(definition);
  const host::v1::Part order = host_->Order(1);
  ASSERT_TRUE(order.nodes(0).has_measurement());
  EXPECT_EQ(order.nodes(0).measurement().argv(0), "queue-length");
  EXPECT_EQ(order.nodes(0).measurement().every_ms(), 1000u);
  EXPECT_FALSE(order.nodes(1).has_measurement());

  host::v1::Measured measured;
  measured.set_problem("exit code 1");
  host_->SetMeasured(measured);
  Use(0.0);
  EXPECT_TRUE(Await([&] { return View().notice.find("exit code 1") != std::string::npos; }));
  EXPECT_EQ(View().nodes.size(), 2u);

  measured.clear_problem();
  measured.set_value(41);
  host_->SetMeasured(measured);
  Use(0.0);
  EXPECT_TRUE(Await([&] { return View().nodes.size() == 5; }));
  EXPECT_NE(View().notice.find("at 41, 10 for each node: 2 -> 5 nodes"), std::string::npos)
      << View().notice;
}

TEST_F(RulesTest, AnIdleVclusterIsWarnedOfThenStoppedAndOneInUseIsNot) {
  Definition definition = PlainDefinition("c", "tiny", 2, {});
  definition.idle_stop = seconds(3600);
  Create(definition);
  // A minute passes whenever the master has looked.
  const auto passes_until = [&](const auto& condition) {
    const int64_t end_ms = now_ms_ + 24 * 3'600'000;
    const auto verdict = [&](const VclusterView& view) -> std::optional<Status> {
      if (condition(view)) return Ok();
      now_ms_ += 60'000;
      if (now_ms_ > end_ms) return Error(Code::kDeadlineExceeded, "it does not come");
      return std::nullopt;
    };
    return master_->Await({1}, verdict, {}, CancelToken()).ok();
  };
  const auto has_notice = [](const VclusterView& view) {
    return view.notice.find("nobody uses it") == 0;
  };
  const auto runs = [](const VclusterView& view) {
    const auto state = view.states.find(0);
    return state != view.states.end() && state->second.state() == host::v1::READY;
  };
  Use(0.001);
  EXPECT_TRUE(passes_until(has_notice));
  EXPECT_TRUE(runs(master_->Find(1)));
  Use(0.5);
  EXPECT_TRUE(Await([&] { return View().notice.empty(); }));
  Use(0.001);
  EXPECT_TRUE(passes_until(has_notice));
  EXPECT_TRUE(runs(master_->Find(1)));
  EXPECT_TRUE(passes_until([&](const VclusterView& view) { return !runs(view); }));
  EXPECT_TRUE(Await([&] { return View().nodes[0].condition == NodeCondition::kStopped; }));
  EXPECT_NE(View().notice.find("nobody used it"), std::string::npos) << View().notice;
  // It may be started again.
  EXPECT_TRUE(clusters_->Start(kAlice, "c").ok());
}

TEST_F(RulesTest, AVclusterWhoseTimeIsOverIsStoppedAndStartsOnlyWhenItIsExtended) {
  Definition definition = PlainDefinition("c", "tiny", 1, {});
  definition.lifetime = seconds(3600);
  Create(definition);
  now_ms_ += 3'000'000;
  EXPECT_TRUE(Await([&] { return View().notice.find("stopped in 10 min") == 0; }));
  now_ms_ += 700'000;
  EXPECT_TRUE(Await([&] { return View().nodes[0].condition == NodeCondition::kStopped; }));
  EXPECT_EQ(clusters_->Start(kAlice, "c").error().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(clusters_->Extend(kAlice, "c", 600).ok());
  EXPECT_TRUE(clusters_->Start(kAlice, "c").ok());
}

TEST_F(RulesTest, AVclusterThatIsToBeDeletedAtItsEndIs) {
  Definition definition = PlainDefinition("c", "tiny", 1, {});
  definition.lifetime = seconds(60);
  definition.on_expiry = ExpiryAction::kDelete;
  Create(definition);
  now_ms_ += 61'000;
  EXPECT_TRUE(Await([&] { return clusters_->List(kAlice, "").value().empty(); }));
}

}  // namespace
}  // namespace strata::vcluster
