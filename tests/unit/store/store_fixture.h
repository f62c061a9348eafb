// A store in a temporary directory, and looks at what it holds. Ends with a check that the test
// leaked no descriptor.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "common/file_io.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

inline size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

inline size_t FilesBelow(const std::string& directory) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) ++count;
  }
  return count;
}

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    descriptors_ = OpenDescriptors();
    auto directory = TemporaryDirectory::Create("/var/tmp", "strata-store-test.");
    ASSERT_TRUE(directory.ok());
    directory_.emplace(std::move(*directory));
    OpenStore();
  }

  void TearDown() override {
    store_.reset();
    const std::string path = directory_->path();
    directory_.reset();
    EXPECT_FALSE(PathExists(path));
    EXPECT_EQ(OpenDescriptors(), descriptors_);
  }

  void OpenStore() {
    store_.reset();
    auto store = ObjectStore::Open(root());
    ASSERT_TRUE(store.ok()) << store.error().message();
    store_ = std::move(*store);
  }

  std::unique_ptr<Ingest> Start() {
    auto ingest = store_->StartIngest();
    EXPECT_TRUE(ingest.ok());
    return std::move(*ingest);
  }

  std::string dir() const { return directory_->path(); }
  std::string root() const { return dir() + "/store"; }
  size_t ObjectCount() const { return FilesBelow(store_->objects_dir()); }
  size_t StagedCount() const { return FilesBelow(root() + "/staging"); }

  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<ObjectStore> store_;
  size_t descriptors_ = 0;
};

}  // namespace strata::imaged
