#include <gmock/gmock.h>

#include "tests/unit/store/small_disk.h"
#include "tests/unit/store/store_fixture.h"

namespace strata::imaged {
namespace {

using testing::HasSubstr;

class FullDiskTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    disk_ = SmallDisk::Mount(dir(), 16 << 20);
    ASSERT_NE(disk_, nullptr);
    small_ = std::move(*ObjectStore::Open(disk_->path() + "/store"));
  }
  void TearDown() override {
    small_.reset();
    disk_.reset();
    StoreTest::TearDown();
  }

  static void ExpectFull(const Error& error, const std::string& root) {
    EXPECT_EQ(error.code(), Code::kResourceExhausted);
    EXPECT_EQ(error.sys_errno(), ENOSPC);
    EXPECT_THAT(error.message(), HasSubstr(root));
  }

  std::unique_ptr<SmallDisk> disk_;
  std::unique_ptr<ObjectStore> small_;
};

TEST_F(FullDiskTest, SmallFilesEndWithAnErrorThatNamesTheStoreAndNothingStaysStaged) {
  auto ingest = std::move(*small_->StartIngest());
  std::string content(256 * 1024, 'f');
  Status failed = Ok();
  for (int i = 0; i < 200 && failed.ok(); ++i) {
    content[0] = static_cast<char>(i);
    if (auto added = ingest->Add(content); !added.ok()) failed = added.error();
  }
  ASSERT_FALSE(failed.ok());
  ExpectFull(failed.error(), small_->root());
  ingest.reset();
  EXPECT_EQ(FilesBelow(small_->root() + "/staging"), 0u);
  EXPECT_EQ(FilesBelow(small_->objects_dir()), 0u);

  // The room is free again.
  auto next = std::move(*small_->StartIngest());
  const Digest digest = *next->Add(content);
  ASSERT_TRUE(next->Commit().ok());
  EXPECT_TRUE(small_->Verify(digest).ok());
}

TEST_F(FullDiskTest, AStreamedFileLeavesNoPieceBehind) {
  auto ingest = std::move(*small_->StartIngest());
  auto writer = std::move(*ingest->NewWriter());
  const std::string piece(1 << 20, 's');
  Status failed = Ok();
  for (int i = 0; i < 40 && failed.ok(); ++i) failed = writer->Write(piece);
  ASSERT_FALSE(failed.ok());
  ExpectFull(failed.error(), small_->root());
  writer.reset();
  EXPECT_EQ(FilesBelow(small_->root() + "/staging"), 0u);
}

}  // namespace
}  // namespace strata::imaged
