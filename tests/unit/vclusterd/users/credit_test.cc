// Credits: exact sums, hours that are charged once, warnings, applications and budgets.
#include "vclusterd/users/credit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/vclusterd/users/users_fixture.h"
#include "vclusterd/users/credit_book.h"

namespace strata::vcluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using users::v1::CreditEntry;

constexpr Prices kPrices = {.cpu_hour = 1000, .gib_hour = 500, .node_hour = 100};
constexpr uint32_t kAlice = 2000;
constexpr uint32_t kTeacher = 1000;
constexpr uint32_t kAdmin = 0;

HourUse Nodes(uint64_t nodes, uint64_t cpus = 1, uint64_t gib = 2) {
  return {nodes * cpus * 1000 * 3600, nodes * gib * 1024 * 3600, nodes * 3600};
}

TEST(Credit, AnHoursCostIsExactAndRoundedOnce) {
  EXPECT_EQ(CostOf(Nodes(1), kPrices), 1000 + 2 * 500 + 100);
  EXPECT_EQ(CostOf(Nodes(10), kPrices), 21'000);
  EXPECT_EQ(CostOf({}, kPrices), 0);
  EXPECT_EQ(CostOf({.node_seconds = 18}, kPrices), 1) << "0.5 is rounded up";
  EXPECT_EQ(CostOf({.node_seconds = 17}, kPrices), 0);
  // Two thirds and a third of a thousandth: one rounding, not three.
  EXPECT_EQ(CostOf({.cpu_milli_seconds = 1200, .memory_mib_seconds = 2458, .node_seconds = 0},
                   {1000, 500, 0}),
            1);
  const HourUse all{UINT64_MAX, UINT64_MAX, UINT64_MAX};
  EXPECT_EQ(CostOf(all, {kPriceMax, kPriceMax, kPriceMax}), kMilliCreditsMax);
}

TEST(Credit, SumsStayInBounds) {
  EXPECT_EQ(AddCredits(kMilliCreditsMax, kMilliCreditsMax), kMilliCreditsMax);
  EXPECT_EQ(AddCredits(-kMilliCreditsMax, INT64_MIN), -kMilliCreditsMax);
  EXPECT_EQ(AddCredits(5, -7), -2);
  EXPECT_FALSE(CheckPrices({-1, 0, 0}).ok());
  EXPECT_FALSE(CheckPrices({0, kPriceMax + 1, 0}).ok());
  EXPECT_TRUE(CheckPrices(kPrices).ok());
}

TEST(Credit, BalancesWarnBelowThresholdsAndStopAtZero) {
  const std::vector<MilliCredits> thresholds = {1000, 100};
  EXPECT_EQ(VerdictOf(1000, thresholds), CreditVerdict::kGo);
  EXPECT_EQ(VerdictOf(999, thresholds), CreditVerdict::kWarn);
  EXPECT_EQ(VerdictOf(1, {}), CreditVerdict::kGo);
  EXPECT_EQ(VerdictOf(0, thresholds), CreditVerdict::kStop);
  EXPECT_EQ(VerdictOf(-5, {}), CreditVerdict::kStop);
  EXPECT_EQ(WarningLevel(99, thresholds), 2u);
}

TEST(Credit, AmountsAndMonthsInWords) {
  EXPECT_EQ(InCredits(1250), "1.250");
  EXPECT_EQ(InCredits(-50), "-0.050");
  EXPECT_EQ(InCredits(INT64_MIN), "-9223372036854775.808");
  EXPECT_EQ(MonthOf(0), "1970-01");
  EXPECT_EQ(MonthOf(1'709'251'199'999), "2024-02");
  EXPECT_EQ(MonthOf(1'709'251'200'000), "2024-03");
}

class CreditBookTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    book_ = std::make_unique<CreditBook>(*store_, options_, clock_.clock());
    ASSERT_TRUE(store_->Follow([this](const auto& changes) { book_->Apply(changes); }).ok());
  }
  ChargeResult Charge(int64_t hour, uint64_t nodes = 1) {
    const auto charged = book_->Charge(kAlice, hour, Nodes(nodes), kPrices);
    EXPECT_TRUE(charged.ok()) << charged.error().message();
    return charged.ok() ? *charged : ChargeResult();
  }
  std::vector<std::string> History() {
    std::vector<std::string> lines;
    const auto history = book_->History(kAlice);
    EXPECT_TRUE(history.ok());
    for (const CreditEntry& entry : *history) {
      lines.push_back(users::v1::CreditKind_Name(entry.kind()) + " " +
                      InCredits(entry.amount_milli()) + " " + InCredits(entry.balance_milli()));
    }
    return lines;
  }

  FakeClock clock_;
  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(UserTables());
  CreditOptions options_{.initial = 10'000, .thresholds = {1000, 5000}};
  std::unique_ptr<CreditBook> book_;
  const int64_t hour_ = HourOf(clock_.now_ms) / 24 * 24;  // The first of a day.
};

TEST_F(CreditBookTest, AnHourIsChargedOnceWhateverHappensBetween) {
  EXPECT_EQ(book_->Balance(kAlice), 10'000);
  EXPECT_EQ(Charge(hour_).balance, 7900);
  const ChargeResult again = Charge(hour_);
  EXPECT_FALSE(again.is_new);
  EXPECT_EQ(again.balance, 7900);
  Open();  // As after a crash.
  EXPECT_FALSE(Charge(hour_).is_new);
  EXPECT_FALSE(Charge(hour_ - 5).is_new) << "before the last one";
  EXPECT_EQ(Charge(hour_ + 1).balance, 5800);
  EXPECT_EQ(book_->Balance(kAlice), 5800);
}

TEST_F(CreditBookTest, TwoMastersAtOnceChargeAnHourOnce) {
  std::atomic<int> charged = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int64_t hour = 0; hour < 24; ++hour) charged += Charge(hour_ + hour).is_new ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(charged, 24);
  const auto history = book_->History(kAlice);
  MilliCredits sum = 0;
  for (const CreditEntry& entry : *history) sum += entry.amount_milli();
  EXPECT_EQ(sum, book_->Balance(kAlice));
  EXPECT_EQ(sum, 10'000 - 2100 * charged);
}

TEST_F(CreditBookTest, EachThresholdIsWarnedOfOnceAndZeroStops) {
  EXPECT_EQ(Charge(hour_).warning, std::nullopt);
  EXPECT_EQ(Charge(hour_ + 1).warning, std::nullopt);
  const ChargeResult third = Charge(hour_ + 2);  // 3700
  EXPECT_EQ(third.warning, 5000);
  EXPECT_EQ(third.verdict, CreditVerdict::kWarn);
  EXPECT_EQ(Charge(hour_ + 3).warning, std::nullopt);  // 1600
  const ChargeResult last = Charge(hour_ + 4);         // -500
  EXPECT_EQ(last.warning, 1000);
  EXPECT_EQ(last.verdict, CreditVerdict::kStop);
  EXPECT_EQ(last.balance, -500) << "the hour was used";
  EXPECT_EQ(book_->Verdict(kAlice), CreditVerdict::kStop);
  ASSERT_TRUE(book_->Grant(kAlice, 6600, kAdmin, "goes on").ok());
  EXPECT_EQ(book_->Verdict(kAlice), CreditVerdict::kGo);
  EXPECT_EQ(Charge(hour_ + 5).warning, 5000) << "he had more meanwhile";
}

TEST_F(CreditBookTest, TheHistoryHasADaysChargesInOneAndEverythingElse) {
  Charge(hour_);
  Charge(hour_ + 1);
  Charge(hour_ + 24);
  ASSERT_TRUE(book_->Grant(kAlice, 500, kAdmin, "prize").ok());
  EXPECT_THAT(History(), ElementsAre("INITIAL 10.000 10.000", "CHARGE -4.200 5.800",
                                     "CHARGE -2.100 3.700", "GRANT 0.500 4.200"));
}

TEST_F(CreditBookTest, TheHistoryKeepsTwoYears) {
  for (int month = 0; month < 40; ++month) {
    ASSERT_TRUE(book_->Grant(kAlice, 1, kAdmin, "").ok());
    clock_.now_ms += 31 * kDayMs;
  }
  EXPECT_EQ(History().size(), kCreditMonthsKept);
  EXPECT_EQ(book_->Balance(kAlice), 10'040);
}

TEST_F(CreditBookTest, AnApplicationIsApprovedOrDeniedOnce) {
  const auto first = book_->ApplyFor(kAlice, 3000, "a course");
  const auto second = book_->ApplyFor(kAlice, 9000, "more");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(book_->Applications(std::nullopt, true).size(), 2u);
  ASSERT_TRUE(book_->Decide(kAlice, first->number(), {.approve = true, .by = kAdmin}).ok());
  EXPECT_EQ(book_->Balance(kAlice), 13'000);
  EXPECT_EQ(CodeOf(book_->Decide(kAlice, first->number(), {.approve = true, .by = kAdmin})),
            Code::kAlreadyExists);
  ASSERT_TRUE(book_->Decide(kAlice, second->number(), {.by = kAdmin, .comment = "no"}).ok());
  EXPECT_EQ(book_->Balance(kAlice), 13'000);
  EXPECT_THAT(book_->Applications(kAlice, true), IsEmpty());
  Open();
  EXPECT_EQ(book_->Applications(kAlice, false)[1].comment(), "no");
  EXPECT_EQ(CodeOf(book_->Decide(kAlice, 77, {.approve = true})), Code::kNotFound);
}

TEST_F(CreditBookTest, ATeacherApprovesWithinHisBudgetAndNotForHimself) {
  const auto application = book_->ApplyFor(kAlice, 3000, "a course");
  const CreditBook::Decision decision{.approve = true, .by = kTeacher, .from_budget = true};
  EXPECT_EQ(CodeOf(book_->Decide(kAlice, application->number(), decision)),
            Code::kResourceExhausted);
  ASSERT_TRUE(book_->SetBudget(kTeacher, 4000).ok());
  ASSERT_TRUE(book_->Decide(kAlice, application->number(), decision).ok());
  EXPECT_EQ(book_->Budget(kTeacher), 1000);
  EXPECT_EQ(book_->Balance(kAlice), 13'000);
  const auto more = book_->ApplyFor(kAlice, 1001, "more");
  EXPECT_EQ(CodeOf(book_->Decide(kAlice, more->number(), decision)), Code::kResourceExhausted);
  EXPECT_EQ(book_->Balance(kAlice), 13'000);
  const auto own = book_->ApplyFor(kTeacher, 1, "mine");
  EXPECT_EQ(CodeOf(book_->Decide(kTeacher, own->number(), decision)), Code::kPermissionDenied);
}

TEST_F(CreditBookTest, TwoDecisionsAtOnceDoNotSpendABudgetTwice) {
  ASSERT_TRUE(book_->SetBudget(kTeacher, 1000).ok());
  std::vector<std::thread> threads;
  std::atomic<int> approved = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t student = kAlice + i;
    const auto application = book_->ApplyFor(student, 1000, "x");
    ASSERT_TRUE(application.ok());
    threads.emplace_back([&, student, number = application->number()] {
      approved +=
          book_->Decide(student, number, {.approve = true, .by = kTeacher, .from_budget = true})
              .ok();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(approved, 1);
  EXPECT_EQ(book_->Budget(kTeacher), 0);
}

TEST_F(CreditBookTest, ApplicationsAreBounded) {
  for (size_t i = 0; i < kPendingApplicationsMax; ++i) {
    ASSERT_TRUE(book_->ApplyFor(kAlice, 1, "x").ok());
  }
  EXPECT_EQ(CodeOf(book_->ApplyFor(kAlice, 1, "x")), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf(book_->ApplyFor(kAlice + 1, 0, "x")), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(book_->ApplyFor(kAlice + 1, 5, "")), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(book_->ApplyFor(kAlice + 1, INT64_MAX, "x")), Code::kInvalidArgument);
  for (int i = 0; i < 70; ++i) {
    const auto application = book_->ApplyFor(kAlice + 1, 1, "x");
    ASSERT_TRUE(application.ok());
    ASSERT_TRUE(book_->Decide(kAlice + 1, application->number(), {.by = kAdmin}).ok());
  }
  EXPECT_EQ(book_->Applications(kAlice + 1, false).size(), kApplicationsKept);
}

TEST_F(CreditBookTest, WhoIsForgottenLeavesNothing) {
  Charge(hour_);
  ASSERT_TRUE(book_->ApplyFor(kAlice, 1, "x").ok());
  ASSERT_TRUE(book_->Forget(kAlice).ok());
  EXPECT_THAT(History(), IsEmpty());
  EXPECT_THAT(book_->Applications(std::nullopt, false), IsEmpty());
  EXPECT_EQ(book_->Balance(kAlice), 10'000);
}

}  // namespace
}  // namespace strata::vcluster
