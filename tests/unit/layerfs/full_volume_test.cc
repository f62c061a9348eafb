// Copy-up on a volume that is full, at every point at which that can be noticed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>

#include "common/mount.h"
#include "common/subprocess.h"
#include "tests/unit/layerfs/fuse_fixture.h"

namespace strata::layerfs {
namespace {

constexpr size_t kBigSize = 2'000'000;

class FullVolumeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::TestImage image;
    image.Directory("dir");
    image.File("dir/big", std::string(kBigSize, 'b'));
    image.File("dir/linked", std::string(100'000, 'l'));
    image.HardLink("dir/linked2", "dir/linked");
    root_ = FuseRoot::Create(image);
    auto directory = TemporaryDirectory::Create("/var/tmp", "layerfs-volume.");
    ASSERT_TRUE(directory.ok());
    directory_ = std::make_unique<TemporaryDirectory>(std::move(*directory));
    const std::string device = directory_->path() + "/image";
    volume_ = directory_->path() + "/volume";
    ASSERT_TRUE(MakeDirectories(volume_).ok());
    auto made = RunChecked({"mkfs.ext4", "-q", "-m", "0", "-N", "256", device, "8M"});
    ASSERT_TRUE(made.ok()) << made.error().message();
    auto mounted = RunChecked({"mount", "-o", "loop", device, volume_});
    ASSERT_TRUE(mounted.ok()) << mounted.error().message();
    root_->UseVolume(volume_);
    root_->Mount(Driver::kFuse);
  }
  void TearDown() override {
    root_.reset();
    const Status status = strata::Unmount(volume_);
    EXPECT_TRUE(status.ok()) << status.error().message();
    directory_.reset();
  }

  // Leaves `left_bytes` free, about.
  void Fill(uint64_t left_bytes) {
    struct statvfs st;
    ASSERT_EQ(::statvfs(volume_.c_str(), &st), 0);
    const uint64_t free_bytes = st.f_bavail * st.f_frsize;
    ASSERT_GT(free_bytes, left_bytes);
    const UniqueFd fd(::open((volume_ + "/filler").c_str(), O_CREAT | O_WRONLY, 0600));
    ASSERT_EQ(::fallocate(fd.get(), 0, 0, static_cast<off_t>(free_bytes - left_bytes)), 0);
  }
  void Empty() { ASSERT_EQ(::unlink((volume_ + "/filler").c_str()), 0); }

  std::unique_ptr<FuseRoot> root_;
  std::unique_ptr<TemporaryDirectory> directory_;
  std::string volume_;
};

TEST_F(FullVolumeTest, ACopyUpThatDoesNotFitLeavesTheLowerFile) {
  for (const uint64_t left : {uint64_t{8192}, uint64_t{300'000}, uint64_t{1'500'000}}) {
    SCOPED_TRACE(left);
    Fill(left);
    const UniqueFd fd(::open(root_->path("dir/big").c_str(), O_RDWR));
    EXPECT_FALSE(fd.valid());
    EXPECT_EQ(errno, ENOSPC);
    EXPECT_EQ(ReadText(root_->path("dir/big")), std::string(kBigSize, 'b'));
    EXPECT_FALSE(PathExists(root_->upper("dir/big")));
    Empty();
  }
  WriteText(root_->path("dir/big"), "fits", O_APPEND);
  EXPECT_EQ(ReadText(root_->path("dir/big")), std::string(kBigSize, 'b') + "fits");
}

TEST_F(FullVolumeTest, DataThatDoesNotFollowItsMetadataStaysBelow) {
  ASSERT_EQ(::chmod(root_->path("dir/big").c_str(), 0600), 0);
  Fill(500'000);
  const UniqueFd fd(::open(root_->path("dir/big").c_str(), O_RDWR));
  EXPECT_EQ(fd.valid() ? 0 : errno, ENOSPC);
  EXPECT_EQ(ReadText(root_->path("dir/big")), std::string(kBigSize, 'b'));
  Empty();
  root_->Unmount();
  root_->Mount(Driver::kKernel);
  EXPECT_EQ(ReadText(root_->path("dir/big")), std::string(kBigSize, 'b'));
  EXPECT_EQ(StatOf(root_->path("dir/big")).st_mode & 07777, 0600u);
}

TEST_F(FullVolumeTest, WithoutInodesNothingIsHalfDone) {
  int made = 0;
  while (true) {
    const UniqueFd fd(
        ::open((volume_ + "/i" + std::to_string(made)).c_str(), O_CREAT | O_WRONLY, 0600));
    if (!fd.valid()) break;
    ++made;
  }
  ASSERT_EQ(errno, ENOSPC);
  EXPECT_NE(::chmod(root_->path("dir/linked").c_str(), 0600), 0);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(StatOf(root_->path("dir/linked2")).st_nlink, 2u);
  EXPECT_EQ(StatOf(root_->path("dir/linked2")).st_mode & 07777, 0644u);
  EXPECT_EQ(ReadText(root_->path("dir/linked")), std::string(100'000, 'l'));
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(::unlink((volume_ + "/i" + std::to_string(i)).c_str()), 0);
  }
  ASSERT_EQ(::chmod(root_->path("dir/linked").c_str(), 0600), 0);
  EXPECT_EQ(StatOf(root_->path("dir/linked2")).st_mode & 07777, 0600u);
}

TEST_F(FullVolumeTest, AFullVolumeCanBeMountedAndEmptied) {
  WriteText(root_->path("new"), "something");
  Fill(0);
  root_->Unmount();
  root_->Mount(Driver::kFuse);
  EXPECT_EQ(ReadText(root_->path("new")), "something");
  ASSERT_EQ(::unlink(root_->path("new").c_str()), 0);
  EXPECT_FALSE(PathExists(root_->path("new")));
}

TEST_F(FullVolumeTest, APassthroughWriteFindsTheVolumeFull) {
  const UniqueFd fd(::open(root_->path("new").c_str(), O_CREAT | O_WRONLY, 0600));
  ASSERT_TRUE(fd.valid());
  const std::string block(1 << 20, 'f');
  ssize_t n = 0;
  for (int i = 0; i < 10 && n >= 0; ++i) n = ::write(fd.get(), block.data(), block.size());
  EXPECT_LT(n, 0);
  EXPECT_EQ(errno, ENOSPC);
}

// A btrfs subvolume whose qgroup is limited: the error is another one, EDQUOT.
class QuotaTest : public ::testing::TestWithParam<Driver> {
 protected:
  void SetUp() override {
    testing::TestImage image;
    image.File("big", std::string(kBigSize, 'b'));
    image.File("small", std::string(1000, 's'));
    root_ = FuseRoot::Create(image);
    auto directory = TemporaryDirectory::Create("/var/tmp", "layerfs-quota.");
    ASSERT_TRUE(directory.ok());
    directory_ = std::make_unique<TemporaryDirectory>(std::move(*directory));
    const std::string device = directory_->path() + "/image";
    volume_ = directory_->path() + "/volume";
    const std::string limited = volume_ + "/limited";
    ASSERT_TRUE(MakeDirectories(volume_).ok());
    for (const std::vector<std::string>& argv :
         {std::vector<std::string>{"truncate", "-s", "200M", device},
          {"mkfs.btrfs", "-q", device},
          {"mount", "-o", "loop", device, volume_},
          {"btrfs", "quota", "enable", volume_},
          {"btrfs", "subvolume", "create", limited},
          {"btrfs", "qgroup", "limit", "8M", limited}}) {
      const auto ran = RunChecked(argv);
      ASSERT_TRUE(ran.ok()) << ran.error().message();
    }
    root_->UseVolume(limited);
    root_->Mount(GetParam());
  }
  void TearDown() override {
    root_.reset();
    const Status status = strata::Unmount(volume_);
    EXPECT_TRUE(status.ok()) << status.error().message();
  }
  // Writes until that fails; the errno.
  int Fill(const std::string& name) {
    const UniqueFd fd(::open(root_->path(name).c_str(), O_CREAT | O_WRONLY, 0600));
    if (!fd.valid()) return errno;
    const std::string block(1 << 20, 'f');
    for (int i = 0; i < 20; ++i) {
      if (::write(fd.get(), block.data(), block.size()) < 0 || ::fsync(fd.get()) != 0) return errno;
    }
    return 0;
  }

  std::unique_ptr<FuseRoot> root_;
  std::unique_ptr<TemporaryDirectory> directory_;
  std::string volume_;
};

TEST_P(QuotaTest, TheWriterIsToldOfTheQuotaAndACopyUpLeavesTheFileWhole) {
  EXPECT_EQ(Fill("filler"), EDQUOT);
  EXPECT_EQ(Fill("more"), EDQUOT);
  const UniqueFd fd(::open(root_->path("big").c_str(), O_WRONLY));
  EXPECT_FALSE(fd.valid());
  EXPECT_EQ(errno, EDQUOT);
  EXPECT_EQ(ReadText(root_->path("big")), std::string(kBigSize, 'b'));
  ASSERT_EQ(::unlink(root_->path("filler").c_str()), 0);
  ::unlink(root_->path("more").c_str());
  const auto synced = RunChecked({"btrfs", "filesystem", "sync", volume_});
  ASSERT_TRUE(synced.ok()) << synced.error().message();
  WriteText(root_->path("small"), "written");
  EXPECT_EQ(ReadText(root_->path("small")), "written");
}

INSTANTIATE_TEST_SUITE_P(Drivers, QuotaTest, ::testing::Values(Driver::kFuse, Driver::kKernel),
                         [](const auto& parameter) {
                           return std::string(DriverName(parameter.param));
                         });

}  // namespace
}  // namespace strata::layerfs
