// Catalogs of the format before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include "common/file_io.h"
#include "common/records/record_store.h"
#include "imaged/catalog/own_records.h"
#include "tests/unit/catalog/catalog_fixture.h"

namespace strata::imaged {
namespace {

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
  MakeFormat1(records::IndexDirectory(directory->path() + "/db"), image);
  for (int opening = 0; opening < 2; ++opening) {  // The second time there is nothing to do.
    auto records = records::OpenRocksRecordStore(directory->path() + "/db", OwnRecords());
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
  MakeFormat1(records::IndexDirectory(directory->path() + "/db"), image);
  for (int opening = 0; opening < 2; ++opening) {
    EXPECT_FALSE(records::OpenRocksRecordStore(directory->path() + "/db", OwnRecords()).ok());
  }
}

}  // namespace
}  // namespace strata::imaged
