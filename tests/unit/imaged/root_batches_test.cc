// Who asks for a root while a call for the same image is under way is asked for by the next call.
#include "imaged/client/root_batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace strata::imaged {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

// Calls of which each waits until it is let go.
class RootBatchesTest : public ::testing::Test {
 protected:
  ~RootBatchesTest() override { LetGo(1000); }

  // What it gets is in got_ after the threads have ended.
  void Ask(const std::string& reference, const std::string& lease) {
    threads_.emplace_back([this, reference, lease] {
      const auto got = batches_.Acquire(reference, 7, lease);
      const std::lock_guard lock(mutex_);
      got_[lease] = got.ok() ? got->image_digest : got.error().message();
    });
  }
  // The next call that is let go.
  void Fail(const std::string& why) {
    const std::lock_guard lock(mutex_);
    failure_ = why;
  }
  void AwaitCalls(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return calls_.size() >= count; });
  }
  void LetGo(int count) {
    const std::lock_guard lock(mutex_);
    go_ += count;
    changed_.notify_all();
  }
  // Until all that were asked wait for a call that is under way.
  void AwaitAsked(size_t count) {
    while (batches_.waiting() < count) std::this_thread::yield();
  }

  std::mutex mutex_;  // Guards the following.
  std::condition_variable changed_;
  int go_ = 0;
  std::string failure_;
  std::vector<std::vector<std::string>> calls_;
  std::map<std::string, std::string> got_;

  RootBatches batches_{[this](const std::string& reference, uint32_t uid,
                              const std::vector<std::string>& leases) -> Result<AcquiredRoot> {
    EXPECT_EQ(uid, 7u);
    std::unique_lock lock(mutex_);
    calls_.push_back(leases);
    changed_.notify_all();
    changed_.wait(lock, [&] { return go_ > 0; });
    --go_;
    if (!failure_.empty()) return Error(Code::kNotFound, std::exchange(failure_, ""));
    AcquiredRoot root;
    root.image_digest = reference + " " + std::to_string(calls_.size());
    return root;
  }};
  std::vector<std::jthread> threads_;  // End first.
};

TEST_F(RootBatchesTest, WhoComesDuringACallIsAskedForByTheNextOne) {
  Ask("x", "a");
  AwaitCalls(1);
  for (const char* lease : {"b", "c", "d"}) Ask("x", lease);
  AwaitAsked(3);
  Fail("there is no x");
  LetGo(1);  // Its failure is of those alone for whom it asked.
  AwaitCalls(2);
  LetGo(1);
  threads_.clear();
  EXPECT_THAT(calls_, ElementsAre(ElementsAre("a"), UnorderedElementsAre("b", "c", "d")));
  EXPECT_EQ(got_["a"], "there is no x");
  for (const char* lease : {"b", "c", "d"}) EXPECT_EQ(got_[lease], "x 2");
}

TEST_F(RootBatchesTest, WhenACallForSeveralFailsEachIsAskedForAlone) {
  Ask("x", "a");
  AwaitCalls(1);
  for (const char* lease : {"b", "c"}) Ask("x", lease);
  AwaitAsked(2);
  LetGo(1);
  AwaitCalls(2);
  Fail("the lease b holds another image");
  LetGo(3);
  threads_.clear();
  EXPECT_THAT(calls_, SizeIs(4));
  for (const char* lease : {"b", "c"}) {
    EXPECT_THAT(calls_, Contains(ElementsAre(lease)));
    EXPECT_THAT(got_[lease], StartsWith("x "));
  }
}

TEST_F(RootBatchesTest, AnotherImageDoesNotWait) {
  Ask("x", "a");
  Ask("y", "b");
  AwaitCalls(2);
  EXPECT_THAT(calls_, UnorderedElementsAre(ElementsAre("a"), ElementsAre("b")));
}

TEST_F(RootBatchesTest, ACallAsksForSoManyAtMost) {
  Ask("x", "first");
  AwaitCalls(1);
  for (size_t i = 0; i < RootBatches::kLeasesMax + 2; ++i) Ask("x", "l" + std::to_string(i));
  AwaitAsked(RootBatches::kLeasesMax + 2);
  LetGo(1000);
  threads_.clear();
  // The last two go together, or one after the other.
  ASSERT_GE(calls_.size(), 3u);
  EXPECT_EQ(calls_[1].size(), RootBatches::kLeasesMax);
  size_t rest = 0;
  for (size_t i = 2; i < calls_.size(); ++i) rest += calls_[i].size();
  EXPECT_EQ(rest, 2u);
}

}  // namespace
}  // namespace strata::imaged
