// What is kept of operations that have ended, and how they are listed.
#include "vclusterd/rest/operation_book.h"

#include <gtest/gtest.h>

#include "common/file_io.h"

namespace strata::vcluster::rest {
namespace {

constexpr std::chrono::seconds kSoon(20);

class OperationBookTest : public ::testing::Test {
 protected:
  void Open(OperationLimits limits) {
    book_ = std::make_unique<OperationBook>(
        limits, [this] { return now_ms_.load(); }, nullptr);
  }
  static Caller Of(uint32_t uid) { return {uid, "test", "", nullptr}; }

  // One that has ended, and made a text of so many bytes.
  OperationView Do(uint32_t uid, size_t bytes) {
    const auto begun =
        book_->Start(Of(uid), {Operation::kVclusterCreate,
                               {uid, "x", ""},
                               true,
                               [bytes](const auto&, const CancelToken&) -> Result<Json> {
                                 return Json(std::string(bytes - 2, 'x'));  // And its quotes.
                               }});
    EXPECT_TRUE(begun.ok()) << begun.error().message();
    const auto ended = book_->Await(begun->id, kSoon);
    EXPECT_TRUE(ended.has_value() && ended->ended());
    return ended.value_or(OperationView());
  }
  bool Has(const OperationView& view) const { return book_->Find(view.id).has_value(); }

  std::atomic<int64_t> now_ms_ = 1000;
  std::unique_ptr<OperationBook> book_;
};

TEST_F(OperationBookTest, ResultsOfAUserAreKeptUntilTheyAreTooManyBytes) {
  Open({.result_bytes = 900, .kept_bytes_of_user = 1000, .kept_bytes = 1u << 20});
  const OperationView first = Do(1, 400);
  const OperationView second = Do(1, 400);
  const OperationView others = Do(2, 400);
  EXPECT_TRUE(Has(first) && Has(second));
  const OperationView third = Do(1, 400);
  EXPECT_FALSE(Has(first)) << "who ended first goes first";
  EXPECT_TRUE(Has(second) && Has(third));
  EXPECT_TRUE(Has(others)) << "what another has is no matter of his";
  EXPECT_EQ(third.result->size(), 400u) << "who waited for it has it";
}

TEST_F(OperationBookTest, ResultsOfAllTogetherAreBounded) {
  Open({.result_bytes = 900, .kept_bytes_of_user = 1000, .kept_bytes = 1000});
  const OperationView first = Do(1, 400);
  const OperationView second = Do(2, 400);
  const OperationView third = Do(3, 400);
  EXPECT_FALSE(Has(first));
  EXPECT_TRUE(Has(second) && Has(third));
}

TEST_F(OperationBookTest, AResultThatIsTooLargeIsLeftOut) {
  Open({.result_bytes = 100});
  const OperationView large = Do(1, 101);
  EXPECT_EQ(large.state, OperationState::kSucceeded);
  EXPECT_EQ(large.result, nullptr);
  EXPECT_TRUE(ToJson(large, true).value("result_left_out", false));
  const OperationView fits = Do(1, 100);
  EXPECT_EQ(ToJson(fits, true)["result"], std::string(98, 'x'));
  EXPECT_FALSE(ToJson(fits, false).contains("result"));
}

TEST_F(OperationBookTest, WhoEndedLastIsKeptHoweverLongItTook) {
  Open({.threads = 2, .kept_of_user = 1});
  CancelToken go;
  const auto slow = book_->Start(Of(1), {Operation::kVclusterCreate,
                                         {1, "x", ""},
                                         true,
                                         [&](const auto&, const CancelToken&) -> Result<Json> {
                                           EXPECT_FALSE(go.WaitFor(kSoon).ok());
                                           return Json();
                                         }});
  ASSERT_TRUE(slow.ok());
  const OperationView quick = Do(1, 10);
  EXPECT_TRUE(Has(quick));
  go.Cancel();
  book_->Await(slow->id, kSoon);
  EXPECT_TRUE(Has(*slow));
  EXPECT_FALSE(Has(quick));
}

TEST_F(OperationBookTest, APageBeginsBehindAnOperationThatIsGone) {
  Open({.kept_of_user = 3});
  std::vector<OperationView> views;
  for (int i = 0; i < 3; ++i) {
    now_ms_ += 1;
    views.push_back(Do(1, 10));
  }
  const auto all = [](const OperationView&) { return true; };
  const auto first = book_->Page({}, 1, all);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0]->id, views[0].id);
  EXPECT_EQ(first[0]->result, book_->Page({}, 1, all)[0]->result) << "the text is there once";
  const auto cursor =
      OperationCursor::Parse(OperationCursor{first[0]->created_unix_ms, first[0]->id}.ToString());
  ASSERT_TRUE(cursor.ok()) << cursor.error().message();
  now_ms_ += 1;
  Do(1, 10);
  ASSERT_FALSE(Has(views[0]));
  const auto second = book_->Page(*cursor, 1, all);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0]->id, views[1].id);
  const auto wanted =
      book_->Page({}, 9, [&](const OperationView& view) { return view.id == views[2].id; });
  EXPECT_EQ(wanted.size(), 1u);
  for (const char* text : {"", "-", "x", "7", "7x"}) {
    EXPECT_FALSE(OperationCursor::Parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace strata::vcluster::rest
