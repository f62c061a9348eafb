// Hours are charged to who used them, once; who has nothing left is stopped.
#include "vclusterd/master/credit_charger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/single_host.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

using testing::HasSubstr;

constexpr int64_t kStartMs = 500'000 * kHourMs;
constexpr MilliCredits kInitial = 10'000;
// Two nodes of 1.5 cores each cost 3.2 credits an hour.
constexpr Prices kPrices = {.cpu_hour = 1000, .node_hour = 100};
constexpr MilliCredits kHourCost = 3200;

void Ignore(const std::string&, uint32_t, uint32_t) {}

class CreditChargerTest : public ::testing::Test {
 protected:
  void SetUp() override { Open({.prices = kPrices, .initial = kInitial, .thresholds = {8000}}); }

  void Open(CreditOptions credits) {
    charger_.reset();
    clusters_.reset();
    master_.reset();
    users_.reset();
    store_ = records::MakeMemoryRecordStore(DesiredTables());
    users_ = std::make_unique<TestUsers>(*store_, std::move(credits));
    alice_ = users_->Add("alice");
    MasterOptions options =
        MakeMasterOptions("m", net::Ipv4Prefix::Parse("10.215.0.0/16").value(), **users_);
    options.now_unix_ms = [this] { return now_ms_.load(); };
    auto opened = Master::Open(options, *store_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    master_ = std::move(*opened);
    host_ = std::make_shared<FakeHost>();
    host_->SetCpus(1.5);
    master_->AddHost("h1", host_, {});
    clusters_ = std::make_unique<Clusters>(*master_, **users_);
    charger_ = NewCharger();
    ASSERT_TRUE(Create("lab").ok());
  }
  std::unique_ptr<CreditCharger> NewCharger() {
    return std::make_unique<CreditCharger>(*store_, *master_, **users_);
  }
  Status Create(const std::string& name) {
    const auto made =
        clusters_->Create(alice_, PlainDefinition(name, "tiny", 2, {}), "", Ignore, CancelToken());
    return made.ok() ? Ok() : Status(made.error());
  }
  // Looks, as time goes on for so long.
  void Live(std::chrono::seconds time) {
    for (int64_t s = 0; s < time.count(); s += 10) {
      now_ms_ += 10 * kSecondMs;
      const Status looked = charger_->Look();
      EXPECT_TRUE(looked.ok()) << looked.error().message();
    }
  }
  MilliCredits Balance() { return (*users_)->credits().Balance(alice_.uid); }
  ClusterView Lab() { return clusters_->List(alice_, "lab").value().at(0); }
  bool LabIsWanted() {
    const VclusterView view = master_->Find(alice_.uid, "lab");
    return view.vcluster->record.nodes(0).wanted();
  }

  std::atomic<int64_t> now_ms_{kStartMs};
  std::unique_ptr<records::RecordStore> store_;
  std::unique_ptr<TestUsers> users_;
  std::shared_ptr<FakeHost> host_;
  std::unique_ptr<Master> master_;
  std::unique_ptr<Clusters> clusters_;
  std::unique_ptr<CreditCharger> charger_;
  Caller alice_;
};

TEST_F(CreditChargerTest, AnHourIsChargedWhenItIsOver) {
  ASSERT_TRUE(charger_->Look().ok());
  Live(std::chrono::minutes(59));
  EXPECT_EQ(Balance(), kInitial);
  Live(std::chrono::minutes(1));
  EXPECT_EQ(Balance(), kInitial - kHourCost);
  Live(std::chrono::minutes(60));
  EXPECT_EQ(Balance(), kInitial - 2 * kHourCost);
}

TEST_F(CreditChargerTest, ANodeWhoseCheckFailsCostsWhatItUsesAndAFrozenOneNothing) {
  ASSERT_TRUE(charger_->Look().ok());
  host_->SetState("node", host::v1::BREAKDOWN, "its check does not succeed", /*runs=*/true);
  master_->Report("h1", host_->SaysOf(1));
  Live(std::chrono::hours(1));
  EXPECT_EQ(Balance(), kInitial - kHourCost);
  host_->SetState("node", host::v1::PAUSED, "its host heard no master", /*runs=*/true);
  master_->Report("h1", host_->SaysOf(1));
  Live(std::chrono::hours(1));
  EXPECT_EQ(Balance(), kInitial - kHourCost);
}

TEST_F(CreditChargerTest, WhatIsDeletedIsChargedUntilItsEndHooksAreDone) {
  host_->hold_removals = true;
  CancelToken cancel;
  auto deleted =
      std::async(std::launch::async, [&] { return clusters_->Delete(alice_, "lab", cancel); });
  while (host_->SaysOf(1).nodes_size() != 2 ||
         host_->SaysOf(1).nodes(0).state() != host::v1::REMOVING) {
    std::this_thread::yield();
  }
  master_->Report("h1", host_->SaysOf(1));
  ASSERT_TRUE(charger_->Look().ok());
  Live(std::chrono::minutes(60));
  EXPECT_EQ(Balance(), kInitial - kHourCost);
  host_->hold_removals = false;
  master_->Report("h1", host_->SaysOf(1));
  EXPECT_TRUE(deleted.get().ok());
  Live(std::chrono::minutes(60));
  EXPECT_EQ(Balance(), kInitial - kHourCost);
}

TEST_F(CreditChargerTest, ACrashLosesWhatWasNotWrittenAndNothingIsChargedTwice) {
  ASSERT_TRUE(charger_->Look().ok());
  Live(std::chrono::minutes(30));  // The last write is at its end.
  Live(std::chrono::seconds(30));
  charger_ = NewCharger();
  ASSERT_TRUE(charger_->Look().ok());
  Live(std::chrono::minutes(29));
  const auto before = store_->Get(kLeaderTable, kCreditMeterKey).value();
  Live(std::chrono::seconds(30));
  EXPECT_EQ(Balance(), kInitial - kHourCost * 3570 / 3600);
  // A crash between the charge and the write that follows it: the hour is there again.
  ASSERT_TRUE(store_->Put(kLeaderTable, kCreditMeterKey, *before).ok());
  charger_ = NewCharger();
  ASSERT_TRUE(charger_->Look().ok());
  EXPECT_EQ(Balance(), kInitial - kHourCost * 3570 / 3600);
}

TEST_F(CreditChargerTest, WhoLeadsNoMoreChargesNothing) {
  ASSERT_TRUE(charger_->Look().ok());
  Live(std::chrono::minutes(50));
  // Another master takes the lead and the meter over; this one has not noticed yet.
  MasterOptions options =
      MakeMasterOptions("m2", net::Ipv4Prefix::Parse("10.215.0.0/16").value(), **users_);
  options.now_unix_ms = [this] { return now_ms_.load(); };
  const auto other = Master::Open(options, *store_);
  ASSERT_TRUE(other.ok());
  CreditCharger next(*store_, **other, **users_);
  ASSERT_TRUE(next.Look().ok());
  now_ms_ += 10 * kMinuteMs;
  ASSERT_TRUE(next.Look().ok());
  const MilliCredits balance = Balance();
  EXPECT_EQ(balance, kInitial - 2667) << "50 minutes";
  const Status late = charger_->Look();
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(Balance(), balance);
}

TEST_F(CreditChargerTest, WhoHasLittleLeftIsWarnedWhereHeLooks) {
  ASSERT_TRUE(charger_->Look().ok());
  EXPECT_EQ(Lab().notice, "");
  Live(std::chrono::minutes(60));
  EXPECT_THAT(Lab().notice, HasSubstr("alice has 6.800 credits left (vcluster credit apply)"));
  EXPECT_TRUE(LabIsWanted());
}

TEST_F(CreditChargerTest, WhoHasNothingLeftIsStoppedAndStartsNothingUntilHeGetsSome) {
  ASSERT_TRUE(charger_->Look().ok());
  Live(std::chrono::hours(3));
  EXPECT_TRUE(LabIsWanted());
  Live(std::chrono::hours(1));
  EXPECT_LE(Balance(), 0);
  EXPECT_FALSE(LabIsWanted());
  EXPECT_THAT(Lab().notice, HasSubstr("used up (vcluster credit apply)"));
  const auto started = clusters_->Start(alice_, "lab");
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code(), Code::kResourceExhausted);
  EXPECT_THAT(started.error().message(), HasSubstr("vcluster credit apply"));
  EXPECT_FALSE(Create("another").ok());
  const auto grown = clusters_->Scale(alice_, "lab", "node", 3, Ignore, CancelToken());
  EXPECT_FALSE(grown.ok());
  const auto shrunk = clusters_->Scale(alice_, "lab", "node", 1, Ignore, CancelToken());
  EXPECT_TRUE(shrunk.ok()) << shrunk.error().message();

  ASSERT_TRUE((*users_)->GrantCredits(kRoot, alice_.uid, 20'000, "").ok());
  const auto again = clusters_->Start(alice_, "lab");
  EXPECT_TRUE(again.ok()) << again.error().message();
  Live(std::chrono::minutes(1));
  EXPECT_TRUE(LabIsWanted());
}

TEST_F(CreditChargerTest, RootIsNotCharged) {
  const auto made = clusters_->Create(kRoot, PlainDefinition("of-root", "tiny", 1, {}), "", Ignore,
                                      CancelToken());
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(charger_->Look().ok());
  Live(std::chrono::hours(1));
  EXPECT_EQ((*users_)->credits().Balance(0), kInitial);
}

TEST_F(CreditChargerTest, ADamagedMeterDoesNotStopTheNextHours) {
  ASSERT_TRUE(store_->Put(kLeaderTable, kCreditMeterKey, "\xff\xff").ok());
  ASSERT_TRUE(charger_->Look().ok());
  Live(std::chrono::hours(1));
  EXPECT_EQ(Balance(), kInitial - kHourCost);
}

TEST_F(CreditChargerTest, WithoutPricesABalanceOfNothingStopsNobody) {
  Open({});
  EXPECT_EQ(Balance(), 0);
  EXPECT_EQ(Lab().notice, "");
  EXPECT_TRUE(clusters_->Start(alice_, "lab").ok());
}

}  // namespace
}  // namespace strata::vcluster
