// Single flight, without a mount.
#include "layerfs/objects/fetch_queue.h"

#include <gtest/gtest.h>

#include <future>
#include <optional>

#include "layerfs/objects/object_nodes.h"
#include "tests/unit/layerfs_objects/fake_source.h"

namespace strata::layerfs {
namespace {

class FetchQueueTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto directory = TemporaryDirectory::Create("/var/tmp", "fetch-queue.");
    ASSERT_TRUE(directory.ok());
    directory_.emplace(std::move(*directory));
    source_.emplace(directory_->path());
    queue_.emplace(*source_, 4);
  }

  // A waiter's answer.
  std::future<Code> Join(const Digest& digest, FetchQueue::Ticket* ticket = nullptr,
                         bool verify = false) {
    auto promise = std::make_shared<std::promise<Code>>();
    auto answer = promise->get_future();
    const auto joined = queue_->Join(digest, verify, [promise](const Status& status) {
      promise->set_value(status.ok() ? kFine : status.error().code());
    });
    if (ticket != nullptr) *ticket = joined;
    return answer;
  }

  static constexpr Code kFine = Code::kAlreadyExists;  // Stands for Ok in these tests.
  std::optional<TemporaryDirectory> directory_;
  std::optional<FakeSource> source_;
  std::optional<FetchQueue> queue_;
};

TEST_F(FetchQueueTest, AHundredWaitersAreOneFetch) {
  const Digest digest = source_->Add("content");
  source_->Shut();
  std::vector<std::future<Code>> answers;
  for (int i = 0; i < 100; ++i) answers.push_back(Join(digest));
  source_->AwaitFetches(1);
  source_->Open();
  for (auto& answer : answers) EXPECT_EQ(answer.get(), kFine);
  EXPECT_EQ(source_->fetches(), 1);
}

TEST_F(FetchQueueTest, AFailureIsForAllWhoWaitAndIsForgotten) {
  const Digest digest = source_->Add("content");
  source_->Lose(digest);
  source_->Shut();
  auto first = Join(digest);
  auto second = Join(digest);
  source_->Open();
  EXPECT_EQ(first.get(), Code::kNotFound);
  EXPECT_EQ(second.get(), Code::kNotFound);
  EXPECT_EQ(source_->fetches(), 1);
  source_->Add("content");
  EXPECT_EQ(Join(digest).get(), kFine);
  EXPECT_EQ(source_->fetches(), 2);
}

TEST_F(FetchQueueTest, TheLastWhoLeavesCancelsAndTheOthersGoOn) {
  const Digest digest = source_->Add("content");
  source_->Shut();
  FetchQueue::Ticket first_ticket = 0;
  FetchQueue::Ticket second_ticket = 0;
  auto first = Join(digest, &first_ticket);
  auto second = Join(digest, &second_ticket);
  source_->AwaitFetches(1);
  EXPECT_TRUE(queue_->Leave(first_ticket));
  EXPECT_FALSE(queue_->Leave(first_ticket));
  EXPECT_EQ(source_->cancelled(), 0);
  EXPECT_TRUE(queue_->Leave(second_ticket));
  source_->AwaitCancelled(1);
  source_->Open();
  // Whoever comes now does not get the answer of the cancelled fetch.
  EXPECT_EQ(Join(digest).get(), kFine);
}

TEST_F(FetchQueueTest, OneObjectDoesNotWaitForAnother) {
  const Digest slow = source_->Add("slow");
  source_->Shut();
  auto waiting = Join(slow);
  source_->AwaitFetches(1);
  source_->Open();
  EXPECT_EQ(Join(source_->Add("quick")).get(), kFine);
  EXPECT_EQ(waiting.get(), kFine);
}

TEST_F(FetchQueueTest, ACheckIsNotServedByAFlightThatDoesNotCheck) {
  const Digest digest = source_->Add("content");
  source_->Shut();
  auto plain = Join(digest);
  source_->AwaitFetches(1);
  auto checked = Join(digest, nullptr, /*verify=*/true);
  source_->AwaitFetches(2);
  source_->Open();
  EXPECT_EQ(plain.get(), kFine);
  EXPECT_EQ(checked.get(), kFine);
}

TEST_F(FetchQueueTest, TheEndOfTheQueueAnswersAllWhoWait) {
  source_->Shut();
  std::vector<std::future<Code>> answers;
  for (int i = 0; i < 10; ++i) answers.push_back(Join(source_->Add(std::to_string(i))));
  source_->AwaitFetches(4);  // The others wait for a thread.
  queue_.reset();
  for (auto& answer : answers) EXPECT_EQ(answer.get(), Code::kCancelled);
}

class ObjectNodesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto state = ServerState::Create();
    ASSERT_TRUE(state.ok()) << state.error().message();
    state_ = std::move(*state);
  }
  std::unique_ptr<ServerState> state_;
  const Digest digest_ = Hasher::Of("x");
  const uint64_t number_ = ObjectNodes::NumberOf(digest_);
};

TEST_F(ObjectNodesTest, TheNextServerKnowsNodesLookupsAndOpenFiles) {
  uint64_t first_handle, second_handle;
  {
    ObjectNodes nodes(*state_);
    const ObjectNodePtr gone = nodes.Acquire(Hasher::Of("gone"));
    const ObjectNodePtr node = nodes.Acquire(digest_);
    ASSERT_NE(node, nullptr);
    ASSERT_NE(nodes.Acquire(digest_), nullptr);
    first_handle = nodes.OpenHandle(number_);
    second_handle = nodes.OpenHandle(number_);
    const std::lock_guard lock(node->mutex);
    node->backing_id = 7;
    nodes.RecordOpen(*node);
    nodes.Forget(ObjectNodes::NumberOf(Hasher::Of("gone")), 1);
  }
  ObjectNodes nodes(*state_);
  EXPECT_EQ(nodes.size(), 1u);
  const ObjectNodePtr node = nodes.Find(number_);
  ASSERT_NE(node, nullptr);
  EXPECT_EQ(node->digest, digest_);
  EXPECT_EQ(node->backing_id, 7);
  EXPECT_EQ(node->open_count, 2u);
  EXPECT_EQ(nodes.CloseHandle(first_handle), node);
  EXPECT_EQ(nodes.CloseHandle(first_handle), nullptr);
  EXPECT_EQ(nodes.CloseHandle(second_handle), node);
  nodes.Forget(number_, 1);
  EXPECT_EQ(nodes.size(), 1u);
  nodes.Forget(number_, 1);
  EXPECT_EQ(nodes.size(), 0u);
}

TEST_F(ObjectNodesTest, ASecondDigestWithTheSameNumberIsRefusedAndNotMistaken) {
  Digest::Bytes bytes = digest_.bytes();
  bytes[31] ^= 1;
  ObjectNodes nodes(*state_);
  ASSERT_NE(nodes.Acquire(digest_), nullptr);
  EXPECT_EQ(nodes.Acquire(Digest(bytes)), nullptr);
  nodes.Forget(number_, 1);
  EXPECT_EQ(nodes.size(), 0u);
  EXPECT_NE(nodes.Acquire(Digest(bytes)), nullptr);
}

TEST_F(ObjectNodesTest, DigestsInTheRangeOfDirectoriesHaveNoNumber) {
  Digest::Bytes bytes{};
  bytes[7] = 5;
  EXPECT_EQ(ObjectNodes(*state_).Acquire(Digest(bytes)), nullptr);
}

}  // namespace
}  // namespace strata::layerfs
