// The union is killed at every single system call of an operation. Whoever opens the upper after
// that must see the tree as it was before or as it was meant to become, with either driver.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <map>

#include "common/xattr.h"
#include "layerfs/fuse/overlay_format.h"
#include "layerfs/fuse/union_fs.h"
#include "tests/crash/kill_at_call.h"
#include "tests/unit/layerfs/fuse_fixture.h"

namespace strata::layerfs {
namespace {

testing::TestImage MakeImage() {
  testing::TestImage image;
  image.Directory("dir", {.mode = 0750, .uid = 3, .gid = 4});
  image.File("dir/big", std::string(20'000, 'b'), {.mode = 04755, .xattrs = {{"user.k", "v"}}});
  image.File("dir/other", std::string(9'000, 'o'), {.mode = 0600});
  image.Directory("dir/sub");
  image.File("dir/sub/one", std::string(4000, '1'));
  image.Directory("links");
  image.Directory("links/deep");
  image.HardLink("links/deep/two", "dir/sub/one");
  image.HardLink("dir/three", "dir/sub/one");
  image.Directory("empty");
  image.Directory("emptied");
  image.File("emptied/gone", "x");
  return image;
}

using Step = std::function<Status(UnionFs&)>;

InodePtr At(UnionFs& fs, const std::string& path) {
  InodePtr inode = fs.root();
  for (size_t at = 0; at < path.size();) {
    const size_t slash = std::min(path.find('/', at), path.size());
    auto next = fs.Lookup(inode, path.substr(at, slash - at));
    if (!next.ok() || next->inode == nullptr) return nullptr;
    inode = next->inode;
    at = slash + 1;
  }
  return inode;
}

// Runs `step` until its system call number `call`, as strata::RunUntilCall.
bool RunUntilCall(const RootSpec& spec, const Step& step, int call) {
  const auto prepare = [&]() -> std::function<Status()> {
    auto fs = UnionFs::Open(spec);
    if (!fs.ok()) return {};
    return [step, fs = std::shared_ptr(std::move(*fs))] { return step(*fs); };
  };
  return strata::RunUntilCall(prepare, call);
}

class UnionCrashTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::umask(022);
    root_ = FuseRoot::Create(MakeImage());
  }

  // A fresh upper, on which `prepare` has been done.
  void Begin(const Step& prepare) {
    for (const std::string& dir : {root_->spec().upper_dir, root_->spec().work_dir}) {
      ASSERT_TRUE(RemoveTree(dir).ok());
    }
    ASSERT_TRUE(PrepareUpper(root_->spec()).ok());
    if (!prepare) return;
    auto fs = UnionFs::Open(root_->spec());
    ASSERT_TRUE(fs.ok()) << fs.error().message();
    const Status status = prepare(**fs);
    ASSERT_TRUE(status.ok()) << status.error().message();
  }

  std::string See(Driver driver) {
    root_->Mount(driver);
    std::string seen = Describe(root_->path());
    root_->Unmount();
    return seen;
  }

  // `repaired`: the fuse driver is to open the upper before the kernel driver does.
  void Check(const Step& prepare, const Step& step, bool repaired = false) {
    Begin(prepare);
    const std::string before = See(Driver::kFuse);
    Begin(prepare);
    ASSERT_TRUE(RunUntilCall(root_->spec(), step, 1 << 20));
    const std::string after = See(Driver::kFuse);
    ASSERT_NE(before, after);
    bool ended = false;
    int call = 0;
    while (!ended) {
      Begin(prepare);
      ended = RunUntilCall(root_->spec(), step, ++call);
      const Driver first = call % 2 == 0 || repaired ? Driver::kFuse : Driver::kKernel;
      for (const Driver driver : {first, repaired ? Driver::kKernel : Driver::kFuse}) {
        const std::string seen = See(driver);
        ASSERT_TRUE(seen == before || seen == after)
            << "killed before call " << call << ", seen by " << DriverName(driver) << ":\n"
            << seen << "\nbefore:\n"
            << before << "\nafter:\n"
            << after;
      }
    }
    EXPECT_GT(call, 3);
  }

  std::unique_ptr<FuseRoot> root_;
};

Step Chmod(const std::string& path, mode_t mode) {
  return [=](UnionFs& fs) -> Status {
    const auto changed = fs.SetAttributes(At(fs, path), {.mode = mode});
    return changed.ok() ? Ok() : Status(changed.error());
  };
}

Step Resize(const std::string& path, uint64_t size) {
  return [=](UnionFs& fs) -> Status {
    const auto changed = fs.SetAttributes(At(fs, path), {.size = size});
    return changed.ok() ? Ok() : Status(changed.error());
  };
}

Step Rename(const std::string& dir, const std::string& from, const std::string& to_dir,
            const std::string& to, unsigned flags = 0) {
  return [=](UnionFs& fs) { return fs.Rename(At(fs, dir), from, At(fs, to_dir), to, flags); };
}

Step Unlink(const std::string& dir, const std::string& name) {
  return [=](UnionFs& fs) { return fs.Unlink(At(fs, dir), name); };
}

Step Mkdir(const std::string& dir, const std::string& name) {
  return [=](UnionFs& fs) -> Status {
    const auto made = fs.MakeNode(At(fs, dir), name, S_IFDIR | 0711, 0, {});
    return made.ok() ? Ok() : Status(made.error());
  };
}

TEST_F(UnionCrashTest, AChangeOfOneNameOfALinkReachesAllOrNone) {
  Check(nullptr, Chmod("links/deep/two", 0600));
}

TEST_F(UnionCrashTest, UnlinkingOneNameOfALinkLeavesTheOthersLinked) {
  Check(nullptr, Unlink("dir", "three"));
}

TEST_F(UnionCrashTest, ATruncationIsWholeOrDidNotHappen) { Check(nullptr, Resize("dir/big", 0)); }

TEST_F(UnionCrashTest, ATruncationAfterAMetadataCopyUpIsWholeOrDidNotHappen) {
  Check(Chmod("dir/big", 0600), Resize("dir/big", 0), /*repaired=*/true);
}

TEST_F(UnionCrashTest, DataThatFollowsMetadataIsWhole) {
  Check(Chmod("dir/big", 04711), Resize("dir/big", 5'000));
}

TEST_F(UnionCrashTest, ARenamedFileIsInOnePlace) {
  Check(nullptr, Rename("dir", "big", "links", "moved"));
}

TEST_F(UnionCrashTest, AFileThatIsRenamedOverAnotherReplacesIt) {
  Check(nullptr, Rename("dir", "big", "dir", "other"));
}

TEST_F(UnionCrashTest, ARenamedLinkReplacesAFile) {
  Check(nullptr, Rename("dir", "three", "dir", "other"));
}

TEST_F(UnionCrashTest, ARenamedDirectoryIsInOnePlace) {
  Check(nullptr, Rename("dir", "sub", "links", "moved"));
}

TEST_F(UnionCrashTest, ADirectoryThatIsRenamedOverAnEmptiedOneReplacesIt) {
  Check(Unlink("emptied", "gone"), Rename("", "dir", "", "emptied"));
}

TEST_F(UnionCrashTest, ADirectoryThatIsRenamedOverAWhiteoutIsInOnePlace) {
  Check(Unlink("dir", "other"), Rename("", "links", "dir", "other"));
}

TEST_F(UnionCrashTest, ExchangedDirectoriesAreBothThere) {
  Check(nullptr, Rename("dir", "sub", "", "links", RENAME_EXCHANGE));
}

TEST_F(UnionCrashTest, ADirectoryMadeOverAWhiteoutIsEmpty) {
  Check([](UnionFs& fs) { return fs.RemoveDirectory(fs.root(), "empty"); }, Mkdir("", "empty"));
}

TEST_F(UnionCrashTest, AnEmptiedDirectoryIsRemovedWhole) {
  Check(Unlink("emptied", "gone"),
        [](UnionFs& fs) { return fs.RemoveDirectory(fs.root(), "emptied"); });
}

}  // namespace
}  // namespace strata::layerfs
