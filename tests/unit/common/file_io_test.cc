#include "common/file_io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <stop_token>
#include <thread>

#include "common/mount.h"
#include "common/open_in_root.h"
#include "common/remove_tree.h"
#include "common/xattr.h"

namespace strata {
namespace {

class FileIoTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = TemporaryDirectory::Create("/var/tmp", "strata-test.");
    ASSERT_TRUE(created.ok()) << created.error().message();
    directory_.emplace(std::move(*created));
  }
  std::string Path(const std::string& name) const { return directory_->path() + "/" + name; }
  // The descriptor is gone at the end: it would keep the mount busy.
  static void MountTmpfs(const std::string& path) {
    auto mount = CreateDetachedMount({"tmpfs", {{"source", "test"}}, 0});
    ASSERT_TRUE(mount.ok()) << mount.error().message();
    ASSERT_TRUE(AttachMount(mount->get(), path).ok());
  }
  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_->path())) {
      names.insert(entry.path().filename());
    }
    return names;
  }
  std::optional<TemporaryDirectory> directory_;
};

TEST_F(FileIoTest, AWrittenFileReadsBackWithItsMode) {
  ASSERT_TRUE(WriteFileDurably(Path("f"), "hello", 0640).ok());
  struct stat st;
  ASSERT_EQ(::stat(Path("f").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640u);
  EXPECT_EQ(*ReadFile(Path("f")), "hello");
}

TEST_F(FileIoTest, AFailedReplacementLeavesTheOldFileAndNoTemporary) {
  ASSERT_TRUE(MakeDirectories(Path("d/target")).ok());  // rename(2) onto a directory fails.
  ASSERT_FALSE(WriteFileDurably(Path("d/target"), "x").ok());
  EXPECT_TRUE(PathExists(Path("d/target")));
  ASSERT_EQ(::rmdir(Path("d/target").c_str()), 0);
  EXPECT_EQ(::rmdir(Path("d").c_str()), 0) << "a temporary file stayed";
}

TEST_F(FileIoTest, OfSeveralFilesThatAreReplacedEachHasItsOwnAnswer) {
  ASSERT_TRUE(WriteFileDurably(Path("a"), "old").ok());
  ASSERT_TRUE(MakeDirectories(Path("b")).ok());  // rename(2) onto a directory fails.
  std::string seen;
  const auto written = WriteFilesDurably(
      directory_->path(), {{"a", "1"}, {"b", "2"}, {"no/c", "3"}, {"d", "4"}}, 0640, [&] {
        seen = ReadFile(Path("a")).value_or("gone") + (PathExists(Path("d")) ? " d" : "");
        return Ok();
      });
  EXPECT_EQ(seen, "old") << "a file was replaced before";
  ASSERT_EQ(written.size(), 4u);
  EXPECT_TRUE(written[0].ok() && written[3].ok());
  EXPECT_FALSE(written[1].ok());
  ASSERT_FALSE(written[2].ok());
  EXPECT_EQ(written[2].error().code(), Code::kNotFound);
  EXPECT_EQ(ReadFile(Path("a")).value_or("") + ReadFile(Path("d")).value_or(""), "14");
  EXPECT_EQ(Names(), (std::set<std::string>{"a", "b", "d"})) << "a temporary file stayed";
}

TEST_F(FileIoTest, NoneOfSeveralIsReplacedWhenWhatComesFirstFails) {
  ASSERT_TRUE(WriteFileDurably(Path("a"), "old").ok());
  const auto written = WriteFilesDurably(directory_->path(), {{"a", "1"}, {"b", "2"}}, 0640, [] {
    return Status(Error(Code::kUnavailable, "not now"));
  });
  ASSERT_EQ(written.size(), 2u);
  for (const Status& status : written) {
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), Code::kUnavailable);
  }
  EXPECT_EQ(ReadFile(Path("a")).value_or(""), "old");
  EXPECT_EQ(Names(), (std::set<std::string>{"a"}));
  EXPECT_TRUE(WriteFilesDurably(directory_->path(), {}, 0640).empty());
}

TEST_F(FileIoTest, APathInARootIsFoundWhileThereAreRenamesElsewhere) {
  ASSERT_TRUE(MakeDirectories(Path("root/a/b")).ok());
  ASSERT_TRUE(MakeDirectories(Path("elsewhere")).ok());
  ASSERT_EQ(::symlink("../../../../../a/b/../../a/b", Path("root/a/link").c_str()), 0);
  ASSERT_EQ(::symlink("../../elsewhere", Path("root/out").c_str()), 0);
  const std::string names[] = {Path("elsewhere/x"), Path("elsewhere/y")};
  ASSERT_TRUE(WriteFileAtomically(names[0], "").ok());
  std::jthread renames([&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); i ^= 1) {
      ::rename(names[i].c_str(), names[i ^ 1].c_str());
    }
  });
  const UniqueFd root = Open(Path("root"), O_PATH | O_DIRECTORY).value();
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_TRUE(OpenInRoot(root.get(), "/a/link/..", O_PATH | O_DIRECTORY).valid())
        << "at " << i << ": " << ::strerror(errno);
  }
  EXPECT_FALSE(OpenInRoot(root.get(), "out", O_PATH | O_DIRECTORY).valid());
  EXPECT_EQ(errno, ENOENT) << "it led out of the root";
}

TEST_F(FileIoTest, ReadingBeyondTheLimitIsRefused) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), std::string(1001, 'x')).ok());
  const auto data = ReadFile(Path("f"), 1000);
  ASSERT_FALSE(data.ok());
  EXPECT_EQ(data.error().code(), Code::kResourceExhausted);
}

TEST_F(FileIoTest, AShortFileIsCorruptNotShort) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "1234").ok());
  auto fd = Open(Path("f"), O_RDONLY);
  ASSERT_TRUE(fd.ok());
  char buffer[8];
  EXPECT_TRUE(PReadExactly(fd->get(), buffer, 4, 0).ok());
  EXPECT_EQ(PReadExactly(fd->get(), buffer, 5, 0).error().code(), Code::kCorrupt);
}

TEST_F(FileIoTest, RemoveTreeFollowsNoSymbolicLink) {
  ASSERT_TRUE(MakeDirectories(Path("keep")).ok());
  ASSERT_TRUE(WriteFileAtomically(Path("keep/file"), "x").ok());
  ASSERT_TRUE(MakeDirectories(Path("gone/a/b")).ok());
  ASSERT_EQ(::symlink(Path("keep").c_str(), Path("gone/a/link").c_str()), 0);
  ASSERT_TRUE(RemoveTree(Path("gone")).ok());
  EXPECT_FALSE(PathExists(Path("gone")));
  EXPECT_TRUE(PathExists(Path("keep/file")));
  EXPECT_TRUE(RemoveTree(Path("gone")).ok()) << "what is not there is fine";
}

// A node's user may nest directories as deep as he likes; names of any path are not that long.
void NestDirectories(const std::string& top, int depth, int files_every) {
  ASSERT_TRUE(MakeDirectories(top).ok());
  UniqueFd at = Open(top, O_PATH | O_DIRECTORY).value();
  for (int i = 0; i < depth; ++i) {
    if (i % files_every == 0) {
      ASSERT_TRUE(OpenAt(at.get(), "file", O_WRONLY | O_CREAT, 0600).ok());
      ASSERT_EQ(::mkdirat(at.get(), "beside", 0), 0);
    }
    ASSERT_EQ(::mkdirat(at.get(), "d", 0700), 0);
    at = OpenAt(at.get(), "d", O_PATH | O_DIRECTORY).value();
  }
}

TEST_F(FileIoTest, RemoveTreeNeedsNeitherDescriptorsNorStackForATreeThatIsDeep) {
  NestDirectories(Path("deep"), 3000, 50);
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few = {128, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const Status removed = RemoveTree(Path("deep"));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(removed.ok()) << removed.error().message();
  EXPECT_FALSE(PathExists(Path("deep")));
}

TEST_F(FileIoTest, ARemovalThatIsCancelledCanBeRepeated) {
  NestDirectories(Path("deep"), 200, 1);
  CancelToken cancel;
  cancel.Cancel();
  EXPECT_EQ(RemoveTree(Path("deep"), cancel).error().code(), Code::kCancelled);
  EXPECT_TRUE(PathExists(Path("deep/d/d/d")));
  EXPECT_TRUE(RemoveTree(Path("deep")).ok());
}

TEST_F(FileIoTest, RemoveTreeStopsAtAMount) {
  ASSERT_TRUE(MakeDirectories(Path("tree/mount")).ok());
  MountTmpfs(Path("tree/mount"));
  EXPECT_TRUE(*IsMountPoint(Path("tree/mount")));
  ASSERT_TRUE(WriteFileAtomically(Path("tree/mount/file"), "x").ok());
  const Status removed = RemoveTree(Path("tree"));
  EXPECT_FALSE(removed.ok());
  EXPECT_TRUE(PathExists(Path("tree/mount/file")));
  ASSERT_TRUE(Unmount(Path("tree/mount")).ok());
  EXPECT_TRUE(RemoveTree(Path("tree")).ok());
}

TEST_F(FileIoTest, AMountThatIsNeverAttachedLeavesNothing) {
  const std::string source = "strata-test-" + std::to_string(::getpid());
  { ASSERT_TRUE(CreateDetachedMount({"tmpfs", {{"source", source}}, 0}).ok()); }
  EXPECT_EQ(ReadFile("/proc/self/mounts")->find(source), std::string::npos);
}

TEST_F(FileIoTest, TheKernelsReasonIsInTheErrorOfAMount) {
  const auto mount = CreateDetachedMount({"overlay", {{"lowerdir", "/nonexistent"}}, 0});
  ASSERT_FALSE(mount.ok());
  EXPECT_NE(mount.error().message().find("lowerdir"), std::string::npos);
}

TEST_F(FileIoTest, AnIdShiftedCloneShowsShiftedOwners) {
  ASSERT_TRUE(MakeDirectories(Path("source")).ok());
  ASSERT_TRUE(MakeDirectories(Path("view")).ok());
  MountTmpfs(Path("source"));
  ASSERT_TRUE(WriteFileAtomically(Path("source/f"), "x").ok());
  ASSERT_EQ(::chown(Path("source/f").c_str(), 5, 6), 0);
  {
    auto clone = CloneMountIdShifted(Path("source"), 100'000, 65'536);
    ASSERT_TRUE(clone.ok()) << clone.error().message();
    ASSERT_TRUE(AttachMount(clone->get(), Path("view")).ok());
  }
  struct stat st;
  ASSERT_EQ(::stat(Path("view/f").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 100'005u);
  EXPECT_EQ(st.st_gid, 100'006u);
  EXPECT_TRUE(Unmount(Path("view")).ok());
  EXPECT_TRUE(Unmount(Path("source")).ok());
}

TEST_F(FileIoTest, AttributesRoundTripOnFilesAndSymbolicLinks) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "x").ok());
  ASSERT_EQ(::symlink("f", Path("link").c_str()), 0);
  for (const char* name : {"f", "link"}) {
    auto fd = Open(Path(name), O_PATH | O_NOFOLLOW);
    ASSERT_TRUE(fd.ok());
    ASSERT_TRUE(SetXattr(fd->get(), "trusted.b", std::string("v\0w", 3)).ok());
    ASSERT_TRUE(SetXattr(fd->get(), "trusted.a", std::string(5000 / 2, 'y')).ok());
    const auto xattrs = ReadXattrs(fd->get());
    ASSERT_TRUE(xattrs.ok()) << xattrs.error().message();
    ASSERT_EQ(xattrs->size(), 2u);
    EXPECT_EQ((*xattrs)[0].name, "trusted.a");
    EXPECT_EQ((*xattrs)[1].value, std::string("v\0w", 3));
    EXPECT_EQ(GetXattr(fd->get(), "trusted.none").error().code(), Code::kNotFound);
    EXPECT_TRUE(RemoveXattr(fd->get(), "trusted.a").ok());
    EXPECT_TRUE(RemoveXattr(fd->get(), "trusted.a").ok()) << "absent is fine";
  }
}

}  // namespace
}  // namespace strata
