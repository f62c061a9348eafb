// What every RecordStore promises, on each of them; and catalogs of the format before.
#include "imaged/catalog/record_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <thread>

#include "common/file_io.h"
#include "tests/unit/catalog/catalog_fixture.h"

namespace strata::imaged {
namespace {

using testing::ElementsAre;
using testing::Pair;

struct StoreKind {
  const char* name;
  bool durable;
};

class RecordStoreTest : public testing::TestWithParam<StoreKind> {
 protected:
  void SetUp() override {
    directory_.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-records.")));
    Reopen();
  }
  void Reopen() {
    store_.reset();
    if (GetParam().durable) {
      auto opened = OpenRocksRecordStore(directory_->path() + "/db");
      ASSERT_OK(opened);
      store_ = std::move(*opened);
    } else {
      store_ = MakeMemoryRecordStore();
    }
  }
  std::vector<std::pair<std::string, std::string>> All(Table table, const std::string& prefix) {
    std::vector<std::pair<std::string, std::string>> all;
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
  std::unique_ptr<RecordStore> store_;
};

TEST_P(RecordStoreTest, ACommitChangesAllOrNothing) {
  ASSERT_OK(store_->Put(Table::kTags, "a", "1"));
  const std::vector<RecordChange> changes = {{Table::kTags, "a", std::nullopt},
                                             {Table::kImages, "i", "2"},
                                             {Table::kTags, "absent", std::nullopt}};
  EXPECT_EQ(store_->Commit({{Table::kTags, "a", "other"}}, changes).error().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(store_->Commit({{Table::kTags, "a", std::nullopt}}, changes).error().code(),
            Code::kFailedPrecondition);
  EXPECT_THAT(All(Table::kTags, ""), ElementsAre(Pair("a", "1")));
  EXPECT_TRUE(All(Table::kImages, "").empty());
  ASSERT_OK(
      store_->Commit({{Table::kTags, "a", "1"}, {Table::kImages, "i", std::nullopt}}, changes));
  EXPECT_TRUE(All(Table::kTags, "").empty());
  EXPECT_THAT(All(Table::kImages, ""), ElementsAre(Pair("i", "2")));
}

TEST_P(RecordStoreTest, AScanSeesItsPrefixInOrderAndEndsWhenTold) {
  const std::string binary("b\0c", 3);
  for (const std::string& key : {std::string("b"), binary, std::string("a"), std::string("ba")}) {
    ASSERT_OK(store_->Put(Table::kLeases, key, "v"));
  }
  EXPECT_THAT(All(Table::kLeases, "b"),
              ElementsAre(Pair("b", "v"), Pair(binary, "v"), Pair("ba", "v")));
  EXPECT_TRUE(All(Table::kClasses, "").empty());
  int seen = 0;
  const Status stopped = store_->Scan(Table::kLeases, "", [&](const auto&, const auto&) -> Status {
    return ++seen == 2 ? Status(Error(Code::kCancelled, "enough")) : Ok();
  });
  EXPECT_EQ(stopped.error().code(), Code::kCancelled);
  EXPECT_EQ(seen, 2);
}

TEST_P(RecordStoreTest, ListenersHearOfEveryCommitAndOfNoFailedOne) {
  std::vector<std::string> heard;
  store_->SetListener([&](const std::vector<RecordChange>& changes) {
    for (const RecordChange& change : changes) heard.push_back(change.key);
  });
  ASSERT_OK(store_->Put(Table::kTags, "a", "1"));
  EXPECT_FALSE(store_->Commit({{Table::kTags, "a", "2"}}, {{Table::kTags, "b", "1"}}).ok());
  ASSERT_OK(store_->Delete(Table::kTags, "a"));
  EXPECT_THAT(heard, ElementsAre("a", "a"));
  store_->SetListener({});
}

TEST_P(RecordStoreTest, OfManyWhoCountOnWhatTheyReadEachCountsOnce) {
  ASSERT_OK(store_->Put(Table::kQuotas, "n", "0"));
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
}

TEST_P(RecordStoreTest, WhatWasCommittedIsThereAfterAReopen) {
  if (!GetParam().durable) return;
  ASSERT_OK(store_->Put(Table::kTags, "a", "1"));
  Reopen();
  EXPECT_EQ(*store_->Get(Table::kTags, "a"), "1");
}

INSTANTIATE_TEST_SUITE_P(Kinds, RecordStoreTest,
                         testing::Values(StoreKind{"memory", false}, StoreKind{"rocksdb", true}),
                         [](const auto& param_info) { return param_info.param.name; });

// Writes what imaged of format 1 wrote.
void MakeFormat1(const std::string& directory, const v1::Image& image) {
  ASSERT_OK(MakeDirectories(directory));
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(
      rocksdb::DB::Open(options, directory,
                        {{rocksdb::kDefaultColumnFamilyName, {}}, {"images", {}}, {"leases", {}}},
                        &handles, &db)
          .ok());
  const std::string record = image.SerializeAsString();
  ASSERT_TRUE(db->Put({}, handles[1], "1001/spark:v1", record).ok());
  ASSERT_TRUE(db->Put({}, handles[2], "node/1", "14:alice/spark:v1" + record).ok());
  for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  delete db;
}

class CatalogUpgradeTest : public CatalogTest {};

TEST_F(CatalogUpgradeTest, ACatalogOfFormat1KeepsNamesRightsAndLeases) {
  const auto directory = TemporaryDirectory::Create("/var/tmp", "strata-upgrade.");
  v1::Image image;
  *image.add_layers() = LayerOf("one");
  image.set_owner("alice");
  image.set_owner_uid(kAlice);
  image.set_name("spark");
  image.set_tag("v1");
  image.set_description("from before");
  image.set_visibility(v1::PUBLIC);
  image.set_created_unix_ms(77);
  image.set_digest(ImageDigest(image).ToString());
  MakeFormat1(CatalogDirectory(directory->path() + "/db"), image);
  for (int opening = 0; opening < 2; ++opening) {  // The second time there is nothing to do.
    auto records = OpenRocksRecordStore(directory->path() + "/db");
    ASSERT_OK(records);
    Open(std::move(*records));
    const auto found = images().Find(kBob, "alice/spark:v1");
    ASSERT_OK(found);
    EXPECT_EQ(found->digest(), image.digest());
    EXPECT_EQ(found->description(), "from before");
    EXPECT_EQ(found->created_unix_ms(), 77);
    EXPECT_EQ(found->layers(0).history().creator(), "alice");
    const auto lease = catalog_->leases().Find("node/1");
    ASSERT_OK(lease);
    EXPECT_EQ((*lease)->digest(), image.digest());
    catalog_.reset();
  }
}

TEST_F(CatalogUpgradeTest, ADamagedCatalogOfFormat1IsLeftAsItWas) {
  const auto directory = TemporaryDirectory::Create("/var/tmp", "strata-upgrade.");
  v1::Image image;
  image.set_digest("not a digest");
  MakeFormat1(CatalogDirectory(directory->path() + "/db"), image);
  for (int opening = 0; opening < 2; ++opening) {
    EXPECT_FALSE(OpenRocksRecordStore(directory->path() + "/db").ok());
  }
}

}  // namespace
}  // namespace strata::imaged
