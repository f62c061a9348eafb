#include "vclusterd/volumes/shared_dir.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "common/file_io.h"
#include "common/mount.h"
#include "common/subprocess.h"
#include "vclusterd/volumes/stored_ids.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kAlice = 64001;

class SharedDirTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::make_unique<TemporaryDirectory>(
        TemporaryDirectory::Create("/tmp", "strata-shared.").value());
    shared_ = std::make_unique<SharedDir>(SharedDir::Open(path()).value());
    id_ = shared_->Claim("").value();
  }
  const std::string& path() const { return dir_->path(); }
  struct stat StatOf(int fd, const std::string& name) {
    struct stat st = {};
    EXPECT_EQ(::fstatat(fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW), 0) << name;
    return st;
  }
  // A file as a process with these ids on the host makes it.
  static Status MakeAs(int directory, const std::string& name, uint32_t id, mode_t mode) {
    ::setfsgid(id);
    ::setfsuid(id);
    auto made = OpenAt(directory, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (made.ok() && ::fchmod(made->get(), mode) != 0) made = Errno("fchmod");
    ::setfsuid(0);
    ::setfsgid(0);
    return made.ok() ? Ok() : Status(made.error());
  }

  std::unique_ptr<TemporaryDirectory> dir_;
  std::unique_ptr<SharedDir> shared_;
  std::string id_;
};

TEST_F(SharedDirTest, IdsOnDiskDoNotDependOnTheHostsRange) {
  const std::string volume = "vclusters/7-1800000000000/data.1";
  const UniqueFd here = shared_->Mount(volume, kAlice, 3'000'000, false).value();
  const UniqueFd there = shared_->Mount(volume, kAlice, 70'000'000, false).value();
  ASSERT_TRUE(MakeAs(here.get(), "root", 3'000'000, 0644).ok());
  ASSERT_TRUE(::fchmodat(AT_FDCWD, (path() + "/" + volume).c_str(), 0777, 0) == 0);
  ASSERT_TRUE(MakeAs(here.get(), "user", 3'001'000, 0644).ok());
  EXPECT_EQ(StatOf(there.get(), "root").st_uid, 70'000'000u);
  EXPECT_EQ(StatOf(there.get(), "root").st_gid, 70'000'000u);
  EXPECT_EQ(StatOf(there.get(), "user").st_uid, 70'001'000u);
  const std::string stored = path() + "/" + volume;
  EXPECT_EQ(StatOf(AT_FDCWD, stored).st_uid, kAlice);
  EXPECT_EQ(StatOf(AT_FDCWD, stored + "/root").st_uid, kAlice);
  EXPECT_EQ(StatOf(AT_FDCWD, stored + "/root").st_gid, kStoredIdFirst);
  EXPECT_EQ(StatOf(AT_FDCWD, stored + "/user").st_uid, kStoredIdFirst + 1000);
}

TEST_F(SharedDirTest, NothingBelongsToTheHostsRootAndNoSetuidCounts) {
  const UniqueFd home = shared_->Mount(HomeDirectory(0), 0, 3'000'000, false).value();
  ASSERT_TRUE(MakeAs(home.get(), "shell", 3'000'000, 04755).ok());
  EXPECT_EQ(StatOf(AT_FDCWD, path() + "/homes/0/shell").st_uid, kStoredIdFirst);
  ASSERT_TRUE(MakeDirectories(path() + "/at").ok());
  ASSERT_TRUE(AttachMount(home.get(), path() + "/at").ok());
  const std::string mounts = ReadFile("/proc/self/mounts").value();
  const size_t line = mounts.find(path() + "/at ");
  EXPECT_NE(mounts.find("nosuid,nodev", line), std::string::npos);
  EXPECT_TRUE(Unmount(path() + "/at", /*lazy=*/true).ok());  // `home` holds it.
  EXPECT_EQ(shared_->Mount(HomeDirectory(1), kStoredIdFirst + 5, 3'000'000, false).error().code(),
            Code::kInvalidArgument);
}

TEST_F(SharedDirTest, LinksAreNotFollowed) {
  ASSERT_TRUE(MakeDirectories(path() + "/outside").ok());
  ASSERT_TRUE(MakeDirectories(path() + "/vclusters/7-1").ok());
  ASSERT_EQ(::symlink("../../outside", (path() + "/vclusters/7-1/data.1").c_str()), 0);
  ASSERT_EQ(::symlink("../outside", (path() + "/vclusters/8-1").c_str()), 0);
  EXPECT_FALSE(shared_->Mount("vclusters/7-1/data.1", kAlice, 3'000'000, false).ok());
  EXPECT_FALSE(shared_->Mount("vclusters/8-1/data.1", kAlice, 3'000'000, false).ok());
  EXPECT_EQ(RunChecked({"ls", "-A", path() + "/outside"}).value(), "");
  EXPECT_EQ(StatOf(AT_FDCWD, path() + "/outside").st_uid, 0u);
}

TEST_F(SharedDirTest, WhatIsDiscardedIsGoneAtOnceAndDeletedLater) {
  const std::string volume = path() + "/vclusters/7-1/data.1";
  ASSERT_TRUE(MakeDirectories(volume + "/a/b/c").ok());
  ASSERT_TRUE(shared_->Discard("vclusters/7-1/data.1").ok());
  EXPECT_TRUE(shared_->Discard("vclusters/7-1/data.1").ok()) << "it may be said twice";
  EXPECT_TRUE(shared_->Discard("vclusters/9-1").ok());
  EXPECT_FALSE(PathExists(volume));
  ASSERT_TRUE(shared_->Discard("vclusters/7-1").ok());
  EXPECT_EQ(RunChecked({"ls", "-A", path() + "/vclusters"}).value(), "");
  ASSERT_TRUE(shared_->EmptyTrash({}).ok());
  EXPECT_EQ(RunChecked({"ls", "-A", path() + "/trash"}).value(), "");
}

TEST_F(SharedDirTest, AnotherDirectoryIsKnownByItsId) {
  EXPECT_EQ(shared_->Claim("").value(), id_);
  EXPECT_EQ(shared_->Claim(id_).value(), id_);
  EXPECT_TRUE(shared_->Check(id_).ok());
  EXPECT_EQ(shared_->Claim("0123456789abcdef").error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(shared_->Check("0123456789abcdef").error().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(WriteFileAtomically(path() + "/strata-shared", "something else").ok());
  EXPECT_EQ(shared_->Claim("").error().code(), Code::kCorrupt);
  EXPECT_FALSE(shared_->Check(id_).ok());
}

// As NFS is; there is no server of it on a machine of tests.
TEST(SharedDirRefusalTest, AFileSystemWithoutIdmappedMountsIsRefusedWithTheReason) {
  const auto opened = SharedDir::Open("/sys/kernel");
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), Code::kUnsupported);
  EXPECT_NE(opened.error().message().find("NFS does not"), std::string::npos)
      << opened.error().message();
}

TEST(VolumeDirectoryTest, OnlyWhatAMasterSaysIsOne) {
  EXPECT_TRUE(
      IsVolumeDirectory(VolumeDirectory(VolumesDirectory(12, 1'800'000'000'000), "a-1", 3)));
  for (const char* bad :
       {"", "vclusters", "vclusters/1-2", "vclusters/1-2/..", "vclusters/../homes/5", "homes/5",
        "vclusters/1-2/a.1/b", "/vclusters/1-2/a.1", "vclusters/1-2/a.", "vclusters/1-2/.1",
        "vclusters/1-2/a.1/", "vclusters//1-2/a.1", "trash/1-2/a.1", "vclusters/1-2/A.1"}) {
    EXPECT_FALSE(IsVolumeDirectory(bad)) << bad;
  }
}

}  // namespace
}  // namespace strata::vcluster
