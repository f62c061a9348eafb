// The union without a kernel above it: what it writes into the upper, and how it survives.
#include "layerfs/fuse/union_fs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>

#include <filesystem>
#include <thread>

#include "common/subprocess.h"
#include "common/xattr.h"
#include "layerfs/fuse/overlay_format.h"
#include "tests/unit/layerfs/fuse_fixture.h"

namespace strata::layerfs {
namespace {

testing::TestImage MakeImage() {
  testing::TestImage image;
  image.Directory("dir", {.mode = 0750, .uid = 3, .gid = 4});
  image.File("dir/big", std::string(20'000, 'b'), {.mode = 0640, .xattrs = {{"user.k", "v"}}});
  image.File("dir/tiny", "tiny");
  image.File("dir/empty", "");
  image.Directory("dir/sub");
  image.File("dir/sub/one", std::string(4000, '1'));
  image.Directory("links");
  image.HardLink("links/two", "dir/sub/one");
  image.HardLink("dir/three", "dir/sub/one");
  image.File("dir/sub/uno", "1");
  image.HardLink("links/dos", "dir/sub/uno");
  return image;
}

class UnionFsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = FuseRoot::Create(MakeImage());
    Reopen();
  }

  void Reopen() {
    fs_.reset();
    auto fs = UnionFs::Open(root_->spec());
    ASSERT_TRUE(fs.ok()) << fs.error().message();
    fs_ = std::move(*fs);
  }

  // The entry at a path, walked name by name; inode is null when there is none.
  Entry Find(const std::string& path) {
    Entry entry{fs_->root(), {}};
    for (size_t at = 0; at < path.size() && entry.inode != nullptr;) {
      const size_t slash = std::min(path.find('/', at), path.size());
      auto next = fs_->Lookup(entry.inode, path.substr(at, slash - at));
      EXPECT_TRUE(next.ok()) << next.error().message();
      if (!next.ok()) return {};
      entry = *next;
      at = slash + 1;
    }
    return entry;
  }
  InodePtr At(const std::string& path) { return Find(path).inode; }
  bool IsEmpty(const InodePtr& dir) {
    bool empty = true;
    const Status status =
        fs_->ReadDirectory(dir, [&](const DirectoryEntry&) { return empty = false; });
    EXPECT_TRUE(status.ok()) << status.error().message();
    return empty;
  }

  std::string Content(const InodePtr& inode) {
    const std::lock_guard lock(inode->mutex);
    auto content = fs_->OpenContentLocked(*inode, O_RDONLY);
    EXPECT_TRUE(content.ok()) << content.error().message();
    if (!content.ok()) return "";
    if (!content->fd.valid()) return std::string(content->bytes);
    auto text = ReadAll(content->fd.get(), 1 << 20);
    return text.ok() ? *text : text.error().message();
  }

  void CopyUp(const std::string& path, CopyUpMode mode) {
    const InodePtr inode = At(path);
    ASSERT_NE(inode, nullptr);
    const Status status = fs_->CopyUp(inode, mode);
    ASSERT_TRUE(status.ok()) << status.error().message();
  }
  void Rename(const std::string& from_dir, const std::string& from, const std::string& to_dir,
              const std::string& to) {
    const Status status = fs_->Rename(At(from_dir), from, At(to_dir), to, 0);
    ASSERT_TRUE(status.ok()) << status.error().message();
  }
  size_t WorkEntries() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator(root_->spec().work_dir + "/work")) {
      ++count;
    }
    return count;
  }

  std::unique_ptr<FuseRoot> root_;
  std::unique_ptr<UnionFs> fs_;
};

// The volume may have been made in a directory that hands its ACL on.
TEST_F(UnionFsTest, ACopyHasItsOwnModeWhateverTheWorkDirectoryInherited) {
  fs_.reset();
  const std::string work = root_->spec().work_dir + "/work";
  const auto set = strata::Run({"setfacl", "-d", "-m", "u::rwx,g::---,o::---", work});
  ASSERT_TRUE(set.ok() && set->exit_code == 0);
  Reopen();
  const auto before = fs_->GetAttributes(At("dir/big"));
  ASSERT_TRUE(before.ok() && (before->st_mode & 044) != 0);
  CopyUp("dir/big", CopyUpMode::kMetadata);
  const auto after = fs_->GetAttributes(At("dir/big"));
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->st_mode, before->st_mode);
}

TEST_F(UnionFsTest, AMetadataCopyUpMovesNoData) {
  CopyUp("dir/big", CopyUpMode::kMetadata);
  const struct stat st = StatOf(root_->upper("dir/big"));
  EXPECT_EQ(st.st_size, 20'000);
  EXPECT_LE(st.st_blocks, 8);  // At most a block of attributes.
  EXPECT_EQ(st.st_mode & 07777, 0640u);
  EXPECT_EQ(XattrAt(root_->upper("dir/big"), "user.k"), "v");
  EXPECT_EQ(Content(At("dir/big")), std::string(20'000, 'b'));
  EXPECT_EQ(StatOf(root_->upper("dir")).st_uid, 3u);
}

TEST_F(UnionFsTest, ACompleteCopyUpNeedsTheTreeNoMore) {
  CopyUp("dir/big", CopyUpMode::kData);
  EXPECT_EQ(ReadText(root_->upper("dir/big")), std::string(20'000, 'b'));
  EXPECT_EQ(XattrAt(root_->upper("dir/big"), kRedirectXattr), "");
  EXPECT_EQ(StatOf(root_->upper("dir/big")).st_mtim.tv_sec, testing::TestImage::kMtime);
  EXPECT_EQ(WorkEntries(), 0u);
}

TEST_F(UnionFsTest, DataFollowsAMetadataCopyUpWithoutChangingIt) {
  CopyUp("dir/big", CopyUpMode::kMetadata);
  CopyUp("dir/big", CopyUpMode::kData);
  const UniqueFd fd(::open(root_->upper("dir/big").c_str(), O_RDONLY));
  EXPECT_FALSE(GetXattr(fd.get(), kMetacopyXattr).ok());
  EXPECT_EQ(ReadText(root_->upper("dir/big")), std::string(20'000, 'b'));
  const struct stat st = StatOf(root_->upper("dir/big"));
  EXPECT_EQ(st.st_mtim.tv_sec, testing::TestImage::kMtime);
  EXPECT_EQ(st.st_mode & 07777, 0640u);
}

TEST_F(UnionFsTest, InodeNumbersAndTheDataPlaceSurviveARemount) {
  const ino_t big = Find("dir/big").attributes.st_ino;
  const ino_t dir = Find("dir").attributes.st_ino;
  CopyUp("dir/big", CopyUpMode::kMetadata);
  EXPECT_EQ(Find("dir/big").attributes.st_ino, big);
  Rename("dir", "big", "links", "moved");
  Reopen();
  EXPECT_EQ(Find("links/moved").attributes.st_ino, big);
  EXPECT_EQ(Find("dir").attributes.st_ino, dir);
  EXPECT_EQ(Content(At("links/moved")), std::string(20'000, 'b'));
  EXPECT_EQ(XattrAt(root_->upper("links/moved"), kRedirectXattr), "/dir/big");
  EXPECT_TRUE(IsWhiteoutAt(root_->upper("dir/big")));
}

TEST_F(UnionFsTest, AllNamesOfALowerHardLinkAreCopiedUpTogether) {
  ASSERT_EQ(At("dir/sub/one"), At("links/two"));
  CopyUp("links/two", CopyUpMode::kData);
  const struct stat st = StatOf(root_->upper("dir/sub/one"));
  EXPECT_EQ(st.st_nlink, 3u);
  EXPECT_EQ(StatOf(root_->upper("links/two")).st_ino, st.st_ino);
  EXPECT_EQ(StatOf(root_->upper("dir/three")).st_ino, st.st_ino);
  EXPECT_EQ(Find("dir/three").attributes.st_nlink, 3u);
}

TEST_F(UnionFsTest, ALinkIsFoundInADirectoryThatWasMovedBeforeARemount) {
  Rename("dir", "sub", "links", "elsewhere");
  Reopen();
  CopyUp("dir/three", CopyUpMode::kMetadata);
  EXPECT_EQ(StatOf(root_->upper("links/elsewhere/one")).st_nlink, 3u);
  EXPECT_EQ(At("links/elsewhere/one"), At("dir/three"));
}

TEST_F(UnionFsTest, ALinkWhoseOtherNameWentWithAReplacedDirectoryCountsOne) {
  CopyUp("dir/three", CopyUpMode::kMetadata);  // The names of all links are known from here on.
  Rename("dir", "sub", "links", "elsewhere");
  ASSERT_TRUE(fs_->Unlink(At("links/elsewhere"), "one").ok());
  Rename("links/elsewhere", "uno", "dir", "uno");
  ASSERT_TRUE(fs_->Unlink(At("dir"), "uno").ok());
  ASSERT_TRUE(fs_->MakeNode(fs_->root(), "fresh", S_IFDIR | 0755, 0, {}).ok());
  Rename("", "fresh", "links", "elsewhere");
  EXPECT_EQ(Find("links/dos").attributes.st_nlink, 1u);
  CopyUp("links/dos", CopyUpMode::kData);
  EXPECT_EQ(Content(At("links/dos")), "1");
  EXPECT_TRUE(IsEmpty(At("links/elsewhere")));
}

TEST_F(UnionFsTest, AHiddenNameOfALinkStaysHidden) {
  ASSERT_TRUE(fs_->Unlink(At("links"), "two").ok());
  EXPECT_EQ(Find("dir/three").attributes.st_nlink, 2u);
  EXPECT_EQ(At("links/two"), nullptr);
  Reopen();
  EXPECT_EQ(At("links/two"), nullptr);
  EXPECT_EQ(Find("dir/three").attributes.st_nlink, 2u);
}

TEST_F(UnionFsTest, AMovedDirectoryKeepsWhatIsBelowIt) {
  Rename("", "dir", "links", "away");
  EXPECT_EQ(Content(At("links/away/tiny")), "tiny");
  EXPECT_EQ(At("dir"), nullptr);
  EXPECT_EQ(XattrAt(root_->upper("links/away"), kRedirectXattr), "/dir");
  Reopen();
  EXPECT_EQ(Content(At("links/away/sub/one")), std::string(4000, '1'));
  EXPECT_EQ(At("dir"), nullptr);
}

TEST_F(UnionFsTest, ADirectoryMadeAnewShowsNothingOfItsPredecessor) {
  Rename("", "dir", "", "old");
  ASSERT_TRUE(fs_->MakeNode(fs_->root(), "dir", S_IFDIR | 0755, 0, {}).ok());
  EXPECT_TRUE(IsEmpty(At("dir")));
  EXPECT_EQ(XattrAt(root_->upper("dir"), kOpaqueXattr), "y");
  Reopen();
  EXPECT_EQ(At("dir/tiny"), nullptr);
  EXPECT_EQ(WorkEntries(), 0u);
}

TEST_F(UnionFsTest, AnOpenFileBeginsANewEpochOnlyWhenItsDataIsReplaced) {
  const InodePtr inode = At("dir/big");
  inode->open = std::make_shared<OpenState>();
  inode->open->count = 1;
  ASSERT_TRUE(fs_->CopyUp(inode, CopyUpMode::kMetadata).ok());
  EXPECT_EQ(inode->epoch.load(), 0u);
  ASSERT_TRUE(fs_->CopyUp(inode, CopyUpMode::kData).ok());
  EXPECT_EQ(inode->epoch.load(), 1u);
  EXPECT_EQ(inode->open, nullptr);
}

TEST_F(UnionFsTest, AFileThatNobodyHasOpenKeepsItsEpoch) {
  const InodePtr inode = At("dir/big");
  ASSERT_TRUE(fs_->CopyUp(inode, CopyUpMode::kData).ok());
  EXPECT_EQ(inode->epoch.load(), 0u);
}

TEST_F(UnionFsTest, AnUnlinkedLowerFileCanStillBeChanged) {
  const InodePtr inode = At("dir/big");
  ASSERT_TRUE(fs_->Unlink(At("dir"), "big").ok());
  EXPECT_EQ(fs_->GetAttributes(inode)->st_nlink, 0u);
  EXPECT_EQ(Content(inode), std::string(20'000, 'b'));
  AttributeChange change;
  change.size = 3;
  ASSERT_TRUE(fs_->SetAttributes(inode, change).ok());
  EXPECT_EQ(Content(inode), "bbb");
  EXPECT_EQ(fs_->GetAttributes(inode)->st_nlink, 0u);
  EXPECT_TRUE(IsWhiteoutAt(root_->upper("dir/big")));
}

TEST_F(UnionFsTest, AnUnlinkedUpperFileStaysUntilItIsForgotten) {
  auto made = fs_->MakeNode(At("dir"), "new", S_IFREG | 0600, 0, {.uid = 9, .gid = 9});
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(fs_->Unlink(At("dir"), "new").ok());
  auto attributes = fs_->GetAttributes(made->inode);
  ASSERT_TRUE(attributes.ok()) << attributes.error().message();
  EXPECT_EQ(attributes->st_nlink, 0u);
  EXPECT_EQ(attributes->st_uid, 9u);
}

TEST_F(UnionFsTest, LeftoversOfAKilledServerAreRemoved) {
  WriteText(root_->spec().work_dir + "/work/#7", "half a copy");
  ASSERT_TRUE(MakeDirectories(root_->spec().work_dir + "/work/#8/x").ok());
  Reopen();
  EXPECT_EQ(WorkEntries(), 0u);
}

TEST_F(UnionFsTest, ForeignOverlayAttributesAreEscapedAndComeBack) {
  const InodePtr inode = At("dir/tiny");
  ASSERT_TRUE(fs_->SetXattr(inode, kOpaqueXattr, "foreign", 0).ok());
  EXPECT_EQ(*fs_->GetXattr(inode, kOpaqueXattr), "foreign");
  EXPECT_EQ(XattrAt(root_->upper("dir/tiny"), kOpaqueXattr), "");
  EXPECT_EQ(*fs_->ListXattrs(inode), std::vector<std::string>{kOpaqueXattr});
  EXPECT_EQ(fs_->GetXattr(inode, kOriginXattr).error().sys_errno(), ENODATA);
}

TEST_F(UnionFsTest, WhiteoutsCannotBeMadeByApplications) {
  const auto made = fs_->MakeNode(fs_->root(), "w", S_IFCHR | 0600, makedev(0, 0), {});
  EXPECT_EQ(made.error().sys_errno(), EPERM);
  EXPECT_EQ(fs_->Rename(fs_->root(), "dir", fs_->root(), "x", RENAME_WHITEOUT).error().sys_errno(),
            EINVAL);
}

TEST_F(UnionFsTest, ManyThreadsCopyingUpOneFileMakeOneCopy) {
  const InodePtr inode = At("dir/sub/one");
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const auto mode = i % 2 == 0 ? CopyUpMode::kData : CopyUpMode::kMetadata;
      if (!fs_->CopyUp(inode, mode).ok()) ++failures;
      if (!fs_->Lookup(At("links"), "two").ok()) ++failures;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(StatOf(root_->upper("links/two")).st_nlink, 3u);
  EXPECT_EQ(At("links/two"), inode);
}

TEST(UnionFsLinks, ALookUpWhileALinkIsCopiedUpCountsAllItsNames) {
  constexpr int kLinks = 50;
  testing::TestImage image;
  for (int i = 0; i < kLinks; ++i) {
    const std::string name = std::to_string(i);
    image.File("a" + name, "linked " + name);
    image.HardLink("b" + name, "a" + name);
    image.HardLink("c" + name, "a" + name);
  }
  const auto root = FuseRoot::Create(image);
  auto fs = UnionFs::Open(root->spec());
  ASSERT_TRUE(fs.ok()) << fs.error().message();
  std::atomic<int> current{0};  // kLinks: the end.
  std::jthread looker([&] {
    while (current < kLinks) {
      const std::string name = std::to_string(current);
      for (const char* prefix : {"a", "b", "c"}) {
        const auto entry = (*fs)->Lookup((*fs)->root(), prefix + name);
        if (current == kLinks || !entry.ok()) break;
        EXPECT_EQ(entry->attributes.st_nlink, 3u) << name;
      }
    }
  });
  for (; current < kLinks; ++current) {
    const auto entry = (*fs)->Lookup((*fs)->root(), "b" + std::to_string(current));
    ASSERT_TRUE(entry.ok());
    EXPECT_TRUE((*fs)->CopyUp(entry->inode, CopyUpMode::kMetadata).ok());
  }
}

class ShiftedUnionFsTest : public ::testing::Test {
 protected:
  void Open(uint32_t count) {
    testing::TestImage image;
    image.File("owned", std::string(1000, 'x'), {.uid = 5, .gid = 6});
    image.File("stranger", std::string(1000, 'x'), {.uid = 70'000});
    image.File("capable", std::string(1000, 'x'),
               {.xattrs = {{"security.capability",
                            std::string("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)}}});
    root_ = FuseRoot::Create(image);
    root_->spec().id_shift = IdShift{100'000, count};
    auto fs = UnionFs::Open(root_->spec());
    ASSERT_TRUE(fs.ok()) << fs.error().message();
    fs_ = std::move(*fs);
  }
  std::unique_ptr<FuseRoot> root_;
  std::unique_ptr<UnionFs> fs_;
};

TEST_F(ShiftedUnionFsTest, LowerOwnersAreShownAndStoredShifted) {
  Open(65536);
  const auto entry = fs_->Lookup(fs_->root(), "owned");
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->attributes.st_uid, 100'005u);
  ASSERT_TRUE(fs_->CopyUp(entry->inode, CopyUpMode::kMetadata).ok());
  EXPECT_EQ(StatOf(root_->upper("owned")).st_gid, 100'006u);
  EXPECT_EQ(fs_->GetAttributes(entry->inode)->st_uid, 100'005u);
}

TEST_F(ShiftedUnionFsTest, AnOwnerOutsideOfTheRangeIsShownAsNobodyAndCannotBeCopiedUp) {
  Open(65536);
  const auto entry = fs_->Lookup(fs_->root(), "stranger");
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->attributes.st_uid, 65534u);
  EXPECT_EQ(fs_->CopyUp(entry->inode, CopyUpMode::kMetadata).error().sys_errno(), EOVERFLOW);
}

TEST_F(ShiftedUnionFsTest, FileCapabilitiesBelongToTheContainersRoot) {
  Open(65536);
  const auto entry = fs_->Lookup(fs_->root(), "capable");
  ASSERT_TRUE(entry.ok());
  const auto value = fs_->GetXattr(entry->inode, "security.capability");
  ASSERT_TRUE(value.ok());
  ASSERT_EQ(value->size(), 24u);
  EXPECT_EQ(value->substr(20), std::string("\xa0\x86\x01\0", 4));  // 100,000
}

}  // namespace
}  // namespace strata::layerfs
