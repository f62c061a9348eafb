// What every RecordStore promises, on each of them: in memory, in RocksDB, in a real etcd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "common/file_io.h"
#include "imaged/catalog/record_store.h"
#include "tests/unit/catalog/catalog_fixture.h"
#include "tests/unit/catalog/etcd_server.h"

namespace strata::imaged {
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
      store_ = MakeMemoryRecordStore();
    } else if (GetParam() == Kind::kRocks) {
      auto opened = OpenRocksRecordStore(directory_->path() + "/db");
      ASSERT_OK(opened);
      store_ = std::move(*opened);
    } else {
      auto opened = EtcdRecordStore::Open(etcd_->OptionsFor("one"));
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
  EXPECT_EQ(*store_->Get(Table::kTags, "a"), std::nullopt);
  ASSERT_OK(store_->Put(Table::kTags, "a", "1"));
  EXPECT_EQ(*store_->Get(Table::kTags, "a"), "1");
  EXPECT_EQ(*store_->Get(Table::kImages, "a"), std::nullopt) << "tables are apart";
  ASSERT_OK(store_->Put(Table::kTags, "a", ""));
  EXPECT_EQ(*store_->Get(Table::kTags, "a"), "") << "an empty value is one";
  ASSERT_OK(store_->Delete(Table::kTags, "a"));
  EXPECT_EQ(*store_->Get(Table::kTags, "a"), std::nullopt);
  ASSERT_OK(store_->Delete(Table::kTags, "a"));
}

TEST_P(RecordStoreTest, ACommitChangesAllOrNothing) {
  ASSERT_OK(store_->Put(Table::kTags, "a", "1"));
  const std::vector<RecordChange> changes = {{Table::kTags, "a", std::nullopt},
                                             {Table::kImages, "i", "2"},
                                             {Table::kTags, "absent", std::nullopt}};
  EXPECT_EQ(store_->Commit({{Table::kTags, "a", "other"}}, changes).error().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(store_->Commit({{Table::kTags, "a", std::nullopt}}, changes).error().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(store_->Commit({{Table::kTags, "none", ""}}, changes).error().code(),
            Code::kFailedPrecondition);
  EXPECT_THAT(All(Table::kTags, ""), ElementsAre(Pair("a", "1")));
  EXPECT_THAT(All(Table::kImages, ""), IsEmpty());
  ASSERT_OK(
      store_->Commit({{Table::kTags, "a", "1"}, {Table::kImages, "i", std::nullopt}}, changes));
  EXPECT_THAT(All(Table::kTags, ""), IsEmpty());
  EXPECT_THAT(All(Table::kImages, ""), ElementsAre(Pair("i", "2")));
}

TEST_P(RecordStoreTest, TheLastChangeOfARecordInACommitCounts) {
  ASSERT_OK(store_->Commit({}, {{Table::kTags, "a", "1"}, {Table::kTags, "a", "2"}}));
  EXPECT_EQ(*store_->Get(Table::kTags, "a"), "2");
  ASSERT_OK(store_->Commit({}, {{Table::kTags, "a", std::nullopt}, {Table::kTags, "a", "3"}}));
  EXPECT_EQ(*store_->Get(Table::kTags, "a"), "3");
}

TEST_P(RecordStoreTest, AScanSeesItsPrefixInOrderAndEndsWhenTold) {
  const std::string binary("b\0c", 3);
  const std::string high("b\xff");
  for (const std::string& key :
       {high, std::string("b"), binary, std::string("a"), std::string("ba"), std::string("c")}) {
    ASSERT_OK(store_->Put(Table::kLeases, key, "v"));
  }
  EXPECT_THAT(All(Table::kLeases, "b"),
              ElementsAre(Pair("b", "v"), Pair(binary, "v"), Pair("ba", "v"), Pair(high, "v")));
  EXPECT_THAT(All(Table::kClasses, ""), IsEmpty());
  int seen = 0;
  const Status stopped = store_->Scan(Table::kLeases, "", [&](const auto&, const auto&) -> Status {
    return ++seen == 2 ? Status(Error(Code::kCancelled, "enough")) : Ok();
  });
  EXPECT_EQ(stopped.error().code(), Code::kCancelled);
  EXPECT_EQ(seen, 2);
}

TEST_P(RecordStoreTest, KeysAndValuesMayHaveAnyBytes) {
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte);
  const std::string large(300'000, '\xfe');
  ASSERT_OK(store_->Commit(
      {}, {{Table::kImages, all_bytes, large}, {Table::kImages, "x/../y", all_bytes}}));
  EXPECT_EQ(*store_->Get(Table::kImages, all_bytes), large);
  ASSERT_OK(store_->Commit({{Table::kImages, all_bytes, large}},
                           {{Table::kImages, all_bytes, std::nullopt}}));
  EXPECT_THAT(All(Table::kImages, ""), ElementsAre(Pair("x/../y", all_bytes)));
}

TEST_P(RecordStoreTest, ListenersHearOfWhatIsThereOfEveryCommitAndOfNoFailedOne) {
  ASSERT_OK(store_->Put(Table::kQuotas, "before", "1"));
  std::vector<std::string> heard;
  ASSERT_OK(store_->Follow([&](const std::vector<RecordChange>& changes) {
    for (const RecordChange& change : changes) heard.push_back(change.key);
  }));
  ASSERT_OK(store_->Put(Table::kTags, "a", "1"));
  EXPECT_FALSE(store_->Commit({{Table::kTags, "a", "2"}}, {{Table::kTags, "b", "1"}}).ok());
  ASSERT_OK(store_->Delete(Table::kTags, "a"));
  EXPECT_THAT(heard, ElementsAre("before", "a", "a"));
  store_->Unfollow();
  ASSERT_OK(store_->Put(Table::kTags, "c", "1"));
  EXPECT_EQ(heard.size(), 3u);
}

TEST_P(RecordStoreTest, OfManyWhoCountOnWhatTheyReadEachCountsOnce) {
  ASSERT_OK(store_->Put(Table::kQuotas, "n", "0"));
  std::vector<int> heard;  // By one thread at a time.
  ASSERT_OK(store_->Follow([&](const std::vector<RecordChange>& changes) {
    for (const RecordChange& change : changes) heard.push_back(std::stoi(*change.value));
  }));
  const auto add = [&] {
    for (int done = 0; done < 20;) {
      const std::string before = **store_->Get(Table::kQuotas, "n");
      done += store_
                  ->Commit({{Table::kQuotas, "n", before}},
                           {{Table::kQuotas, "n", std::to_string(std::stoi(before) + 1)}})
                  .ok();
    }
  };
  std::jthread one(add), two(add), three(add);
  one.join();
  two.join();
  three.join();
  EXPECT_EQ(**store_->Get(Table::kQuotas, "n"), "60");
  store_->Unfollow();
  ASSERT_EQ(heard.size(), 61u);
  for (int i = 0; i <= 60; ++i) EXPECT_EQ(heard[static_cast<size_t>(i)], i);
}

TEST_P(RecordStoreTest, AScopeThatMovedOnSinceItsMarkRefusesTheCommit) {
  const ScopeMark first = store_->Mark("owner/1");
  ASSERT_OK(store_->Commit({}, {{Table::kTags, "a", "1"}}, {first}));
  EXPECT_EQ(store_->Commit({}, {{Table::kTags, "a", "2"}}, {first}).error().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(*store_->Get(Table::kTags, "a"), "1");
  const ScopeMark second = store_->Mark("owner/1");
  ASSERT_OK(store_->Commit({}, {{Table::kTags, "b", "1"}}, {store_->Mark("owner/2")}));
  ASSERT_OK(store_->Commit({}, {{Table::kTags, "a", "3"}}, {second}));
  ASSERT_OK(store_->Commit({}, {}, {{"owner/1", std::nullopt}}));
  EXPECT_FALSE(store_->Commit({{Table::kTags, "a", "0"}}, {}, {store_->Mark("owner/1")}).ok());
  const ScopeMark third = store_->Mark("owner/1");
  EXPECT_FALSE(store_->Commit({{Table::kTags, "a", "0"}}, {}, {third}).ok());
  // What was refused moves nothing on.
  ASSERT_OK(store_->Commit({}, {}, {third}));
}

TEST_P(RecordStoreTest, WhatWasCommittedIsThereAfterAReopen) {
  ASSERT_OK(store_->Commit({}, {{Table::kTags, "a", "1"}}, {{"owner/1", std::nullopt}}));
  if (durable()) {
    Reopen();
    EXPECT_EQ(*store_->Get(Table::kTags, "a"), "1");
  }
  ASSERT_OK(store_->Commit({}, {{Table::kTags, "a", "2"}}, {store_->Mark("owner/1")}));
}

TEST_P(RecordStoreTest, ACommitThatIsTooLargeChangesNothingAndSaysSo) {
  std::vector<RecordChange> changes;
  for (int i = 0; i < 119; ++i) changes.push_back({Table::kTags, std::to_string(i), "v"});
  ASSERT_OK(store_->Commit({}, changes));
  EXPECT_EQ(All(Table::kTags, "").size(), 119u);
  if (GetParam() != Kind::kEtcd) return;
  changes.push_back({Table::kTags, "x", "v"});
  changes.push_back({Table::kTags, "y", "v"});
  const Status many = store_->Commit({}, changes);
  ASSERT_FALSE(many.ok());
  EXPECT_EQ(many.error().code(), Code::kResourceExhausted);
  EXPECT_THAT(many.error().message(), testing::HasSubstr("121 records, at most 120"));
  const Status large = store_->Put(Table::kImages, "i", std::string(1'600'000, 'x'));
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.error().code(), Code::kResourceExhausted);
  ASSERT_OK(store_->Put(Table::kImages, "i", std::string(1'500'000, 'x')));
  EXPECT_EQ(All(Table::kTags, "").size(), 119u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, RecordStoreTest,
                         testing::Values(Kind::kMemory, Kind::kRocks, Kind::kEtcd),
                         [](const auto& param_info) -> std::string {
                           if (param_info.param == Kind::kMemory) return "memory";
                           return param_info.param == Kind::kRocks ? "rocksdb" : "etcd";
                         });

}  // namespace
}  // namespace strata::imaged
