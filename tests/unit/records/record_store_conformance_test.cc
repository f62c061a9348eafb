// What every RecordStore promises, on each of them: in memory, in RocksDB, in a real etcd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "common/file_io.h"
#include "common/records/record_store.h"
#include "tests/unit/records/etcd_server.h"
#include "tests/unit/records/test_records.h"

namespace strata::records {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

enum class Kind { kMemory, kRocks, kEtcd };

class RecordStoreTest : public testing::TestWithParam<Kind> {
 protected:
  using Records = std::vector<std::pair<std::string, std::string>>;

  void SetUp() override {
    directory_.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-records.")));
    if (GetParam() == Kind::kEtcd) etcd_.emplace();
    Reopen();
  }
  bool durable() const { return GetParam() != Kind::kMemory; }
  void Reopen() {
    store_.reset();
    if (GetParam() == Kind::kMemory) {
      store_ = MakeMemoryRecordStore(TestTables());
    } else if (GetParam() == Kind::kRocks) {
      auto opened = OpenRocksRecordStore(directory_->path() + "/db", TestOptions());
      ASSERT_OK(opened);
      store_ = std::move(*opened);
    } else {
      auto opened = EtcdRecordStore::Open(etcd_->OptionsFor(TestTables(), "one"));
      ASSERT_OK(opened);
      store_ = std::move(*opened);
    }
  }
  Records All(Table table, const std::string& prefix) {
    Records all;
    EXPECT_TRUE(store_
                    ->Scan(table, prefix,
                           [&](const auto& key, const auto& value) -> Status {
                             all.emplace_back(key, value);
                             return Ok();
                           })
                    .ok());
    return all;
  }

  std::optional<TemporaryDirectory> directory_;
  std::optional<EtcdServer> etcd_;
  std::unique_ptr<RecordStore> store_;
};

TEST_P(RecordStoreTest, WhatWasPutIsReadUntilItIsDeleted) {
  EXPECT_EQ(*store_->Get(kTags, "a"), std::nullopt);
  ASSERT_OK(store_->Put(kTags, "a", "1"));
  EXPECT_EQ(*store_->Get(kTags, "a"), "1");
  EXPECT_EQ(*store_->Get(kImages, "a"), std::nullopt) << "tables are apart";
  ASSERT_OK(store_->Put(kTags, "a", ""));
  EXPECT_EQ(*store_->Get(kTags, "a"), "") << "an empty value is one";
  ASSERT_OK(store_->Delete(kTags, "a"));
  EXPECT_EQ(*store_->Get(kTags, "a"), std::nullopt);
  ASSERT_OK(store_->Delete(kTags, "a"));
}

TEST_P(RecordStoreTest, ACommitChangesAllOrNothing) {
  ASSERT_OK(store_->Put(kTags, "a", "1"));
  const std::vector<RecordChange> changes = {
      {kTags, "a", std::nullopt}, {kImages, "i", "2"}, {kTags, "absent", std::nullopt}};
  EXPECT_EQ(store_->Commit({{kTags, "a", "other"}}, changes).error().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(store_->Commit({{kTags, "a", std::nullopt}}, changes).error().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(store_->Commit({{kTags, "none", ""}}, changes).error().code(),
            Code::kFailedPrecondition);
  EXPECT_THAT(All(kTags, ""), ElementsAre(Pair("a", "1")));
  EXPECT_THAT(All(kImages, ""), IsEmpty());
  ASSERT_OK(store_->Commit({{kTags, "a", "1"}, {kImages, "i", std::nullopt}}, changes));
  EXPECT_THAT(All(kTags, ""), IsEmpty());
  EXPECT_THAT(All(kImages, ""), ElementsAre(Pair("i", "2")));
}

TEST_P(RecordStoreTest, TheLastChangeOfARecordInACommitCounts) {
  ASSERT_OK(store_->Commit({}, {{kTags, "a", "1"}, {kTags, "a", "2"}}));
  EXPECT_EQ(*store_->Get(kTags, "a"), "2");
  ASSERT_OK(store_->Commit({}, {{kTags, "a", std::nullopt}, {kTags, "a", "3"}}));
  EXPECT_EQ(*store_->Get(kTags, "a"), "3");
}

TEST_P(RecordStoreTest, AScanSeesItsPrefixInOrderAndEndsWhenTold) {
  const std::string binary("b\0c", 3);
  const std::string high("b\xff");
  for (const std::string& key :
       {high, std::string("b"), binary, std::string("a"), std::string("ba"), std::string("c")}) {
    ASSERT_OK(store_->Put(kLeases, key, "v"));
  }
  EXPECT_THAT(All(kLeases, "b"),
              ElementsAre(Pair("b", "v"), Pair(binary, "v"), Pair("ba", "v"), Pair(high, "v")));
  EXPECT_THAT(All(kClasses, ""), IsEmpty());
  int seen = 0;
  const Status stopped = store_->Scan(kLeases, "", [&](const auto&, const auto&) -> Status {
    return ++seen == 2 ? Status(Error(Code::kCancelled, "enough")) : Ok();
  });
  EXPECT_EQ(stopped.error().code(), Code::kCancelled);
  EXPECT_EQ(seen, 2);
}

TEST_P(RecordStoreTest, KeysAndValuesMayHaveAnyBytes) {
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte);
  const std::string large(300'000, '\xfe');
  ASSERT_OK(store_->Commit({}, {{kImages, all_bytes, large}, {kImages, "x/../y", all_bytes}}));
  EXPECT_EQ(*store_->Get(kImages, all_bytes), large);
  ASSERT_OK(store_->Commit({{kImages, all_bytes, large}}, {{kImages, all_bytes, std::nullopt}}));
  EXPECT_THAT(All(kImages, ""), ElementsAre(Pair("x/../y", all_bytes)));
}

TEST_P(RecordStoreTest, ListenersHearOfWhatIsThereOfEveryCommitAndOfNoFailedOne) {
  ASSERT_OK(store_->Put(kQuotas, "before", "1"));
  std::vector<std::string> heard;
  ASSERT_OK(store_->Follow([&](const std::vector<RecordChange>& changes) {
    for (const RecordChange& change : changes) heard.push_back(change.key);
  }));
  ASSERT_OK(store_->Put(kTags, "a", "1"));
  EXPECT_FALSE(store_->Commit({{kTags, "a", "2"}}, {{kTags, "b", "1"}}).ok());
  ASSERT_OK(store_->Delete(kTags, "a"));
  EXPECT_THAT(heard, ElementsAre("before", "a", "a"));
  store_->Unfollow();
  ASSERT_OK(store_->Put(kTags, "c", "1"));
  EXPECT_EQ(heard.size(), 3u);
}

TEST_P(RecordStoreTest, OfManyWhoCountOnWhatTheyReadEachCountsOnce) {
  ASSERT_OK(store_->Put(kQuotas, "n", "0"));
  std::vector<int> heard;  // By one thread at a time.
  ASSERT_OK(store_->Follow([&](const std::vector<RecordChange>& changes) {
    for (const RecordChange& change : changes) heard.push_back(std::stoi(*change.value));
  }));
  const auto add = [&] {
    for (int done = 0; done < 20;) {
      const std::string before = **store_->Get(kQuotas, "n");
      done += store_
                  ->Commit({{kQuotas, "n", before}},
                           {{kQuotas, "n", std::to_string(std::stoi(before) + 1)}})
                  .ok();
    }
  };
  std::jthread one(add), two(add), three(add);
  one.join();
  two.join();
  three.join();
  EXPECT_EQ(**store_->Get(kQuotas, "n"), "60");
  store_->Unfollow();
  ASSERT_EQ(heard.size(), 61u);
  for (int i = 0; i <= 60; ++i) EXPECT_EQ(heard[static_cast<size_t>(i)], i);
}

TEST_P(RecordStoreTest, AScopeThatMovedOnSinceItsMarkRefusesTheCommit) {
  const ScopeMark first = store_->Mark("owner/1");
  ASSERT_OK(store_->Commit({}, {{kTags, "a", "1"}}, {first}));
  EXPECT_EQ(store_->Commit({}, {{kTags, "a", "2"}}, {first}).error().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(*store_->Get(kTags, "a"), "1");
  const ScopeMark second = store_->Mark("owner/1");
  ASSERT_OK(store_->Commit({}, {{kTags, "b", "1"}}, {store_->Mark("owner/2")}));
  ASSERT_OK(store_->Commit({}, {{kTags, "a", "3"}}, {second}));
  ASSERT_OK(store_->Commit({}, {}, {{"owner/1", std::nullopt}}));
  EXPECT_FALSE(store_->Commit({{kTags, "a", "0"}}, {}, {store_->Mark("owner/1")}).ok());
  const ScopeMark third = store_->Mark("owner/1");
  EXPECT_FALSE(store_->Commit({{kTags, "a", "0"}}, {}, {third}).ok());
  // What was refused moves nothing on.
  ASSERT_OK(store_->Commit({}, {}, {third}));
}

TEST_P(RecordStoreTest, WhatWasCommittedIsThereAfterAReopen) {
  ASSERT_OK(store_->Commit({}, {{kTags, "a", "1"}}, {{"owner/1", std::nullopt}}));
  if (durable()) {
    Reopen();
    EXPECT_EQ(*store_->Get(kTags, "a"), "1");
  }
  ASSERT_OK(store_->Commit({}, {{kTags, "a", "2"}}, {store_->Mark("owner/1")}));
}

TEST_P(RecordStoreTest, ACommitThatIsTooLargeChangesNothingAndSaysSo) {
  std::vector<RecordChange> changes;
  for (int i = 0; i < 119; ++i) changes.push_back({kTags, std::to_string(i), "v"});
  ASSERT_OK(store_->Commit({}, changes));
  EXPECT_EQ(All(kTags, "").size(), 119u);
  if (GetParam() != Kind::kEtcd) return;
  changes.push_back({kTags, "x", "v"});
  changes.push_back({kTags, "y", "v"});
  const Status many = store_->Commit({}, changes);
  ASSERT_FALSE(many.ok());
  EXPECT_EQ(many.error().code(), Code::kResourceExhausted);
  EXPECT_THAT(many.error().message(), testing::HasSubstr("121 records, at most 120"));
  const Status large = store_->Put(kImages, "i", std::string(1'600'000, 'x'));
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.error().code(), Code::kResourceExhausted);
  ASSERT_OK(store_->Put(kImages, "i", std::string(1'500'000, 'x')));
  EXPECT_EQ(All(kTags, "").size(), 119u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, RecordStoreTest,
                         testing::Values(Kind::kMemory, Kind::kRocks, Kind::kEtcd),
                         [](const auto& param_info) -> std::string {
                           if (param_info.param == Kind::kMemory) return "memory";
                           return param_info.param == Kind::kRocks ? "rocksdb" : "etcd";
                         });

}  // namespace
}  // namespace strata::records
