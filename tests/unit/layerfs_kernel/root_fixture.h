// An image, a volume and a mount point in a directory of their own; ends by proving that no mount,
// descriptor or loop device stayed behind.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "common/file_io.h"
#include "common/mount.h"
#include "layerfs/root.h"
#include "tests/conformance/test_image.h"
#include "tests/unit/layerfs_kernel/process_state.h"

namespace strata::layerfs {

class RootTest : public ::testing::Test {
 protected:
  void SetUp() override {
    descriptors_ = OpenDescriptors();
    auto directory = TemporaryDirectory::Create("/var/tmp", Prefix());
    ASSERT_TRUE(directory.ok()) << directory.error().message();
    directory_.emplace(std::move(*directory));
    image_.File("etc", "");
    image_.File("big", std::string(100000, 'b'));
    image_.File("owned", "of user 7", {.uid = 7, .gid = 7});
    image_.HardLink("big-too", "big");
    const Status written = image_.WriteImage(base());
    ASSERT_TRUE(written.ok()) << written.error().message();
    ASSERT_TRUE(MakeDirectories(mountpoint()).ok());
  }

  void TearDown() override {
    if (!directory_.has_value()) return;
    const std::string path = base();
    EXPECT_TRUE(Unmount(mountpoint()).ok());
    EXPECT_EQ(MountsNaming(path), 0u);
    EXPECT_EQ(LoopDevicesOf(path), 0u);
    directory_.reset();
    EXPECT_FALSE(PathExists(path));
    EXPECT_EQ(OpenDescriptors(), descriptors_);
  }

  // Overridden to put awkward characters into every path.
  virtual std::string Prefix() const { return "layerfs-kernel."; }

  const std::string& base() const { return directory_->path(); }
  std::string mountpoint() const { return base() + "/mnt"; }
  RootSpec Spec(const std::string& volume = "volume",
                std::optional<IdShift> shift = std::nullopt) const {
    const std::string root = base() + "/" + volume;
    EXPECT_TRUE(MakeDirectories(root).ok());
    return {.tree_path = base() + "/tree",
            .objects_dir = base() + "/objects",
            .upper_dir = root + "/upper",
            .work_dir = root + "/work",
            .id_shift = shift};
  }
  RootSpec PreparedSpec(const std::string& volume = "volume",
                        std::optional<IdShift> shift = std::nullopt) const {
    const RootSpec spec = Spec(volume, shift);
    const Status prepared = PrepareUpper(spec);
    EXPECT_TRUE(prepared.ok()) << prepared.error().message();
    return spec;
  }

  strata::testing::TestImage image_;
  std::optional<TemporaryDirectory> directory_;
  size_t descriptors_ = 0;
};

}  // namespace strata::layerfs
