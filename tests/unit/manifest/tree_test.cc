#include "imaged/manifest/tree.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <iostream>

#include "tests/unit/manifest/sample_trees.h"

namespace strata::imaged {
namespace {

using namespace testing;  // NOLINT

Code CodeOf(const Status& status) { return status.ok() ? Code::kInternal : status.error().code(); }

TEST(Tree, RefusesNamesThatNoDirectoryCanHold) {
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"),
        std::string("a\0b", 3), std::string(256, 'x')}) {
    Tree tree;
    const InodeIndex file = Must(tree.AddInode(InlineFile("x")));
    EXPECT_EQ(CodeOf(tree.Link(Tree::kRoot, name, file)), Code::kInvalidArgument) << name;
    EXPECT_EQ(tree.entry_count(), 0u);
  }
  Tree tree;
  EXPECT_TRUE(
      tree.Link(Tree::kRoot, std::string(255, 'x'), Must(tree.AddInode(InlineFile("x")))).ok());
}

TEST(Tree, RefusesATakenNameAndAParentThatIsAFile) {
  Tree tree;
  const InodeIndex file = Put(&tree, "a", InlineFile("x"));
  EXPECT_EQ(CodeOf(tree.Link(Tree::kRoot, "a", file)), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf(tree.Link(file, "b", file)), Code::kInvalidArgument);
}

TEST(Tree, RefusesASecondNameOfADirectoryAndALoop) {
  Tree tree;
  const InodeIndex a = Put(&tree, "a", Directory());
  EXPECT_EQ(CodeOf(tree.Link(Tree::kRoot, "b", a)), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(tree.Link(a, "root", Tree::kRoot)), Code::kInvalidArgument);
  const InodeIndex loose = Must(tree.AddInode(Directory()));
  const InodeIndex below = Must(tree.AddInode(Directory()));
  Must(tree.Link(loose, "below", below));
  EXPECT_EQ(CodeOf(tree.Link(below, "loop", loose)), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(tree.Link(loose, "self", loose)), Code::kInvalidArgument);
}

TEST(Tree, CountsTheNamesOfAHardLink) {
  Tree tree;
  const InodeIndex file = Put(&tree, "d/a", InlineFile("x"));
  Must(tree.Link(Tree::kRoot, "b", file));
  EXPECT_EQ(tree.inode(file).nlink, 2u);
  EXPECT_EQ(tree.entry_count(), 3u);
  Must(tree.Unlink(Tree::kRoot, "d"));
  EXPECT_EQ(tree.inode(file).nlink, 1u);
  EXPECT_EQ(tree.entry_count(), 1u);
  EXPECT_EQ(tree.Find("b"), file);
  EXPECT_EQ(tree.Find("d/a"), std::nullopt);
  EXPECT_EQ(CodeOf(tree.Unlink(Tree::kRoot, "d")), Code::kNotFound);
}

TEST(Tree, RefusesAttributesThatNoManifestCanHold) {
  const auto code = [](Inode inode) {
    Tree tree;
    auto added = tree.AddInode(std::move(inode));
    return added.ok() ? Code::kInternal : added.error().code();
  };
  const auto with_xattr = [](std::string name, std::string value) {
    Inode inode = InlineFile("x");
    inode.xattrs = {{std::move(name), std::move(value)}};
    return inode;
  };
  EXPECT_EQ(code(InlineFile(std::string(kInlineSizeMax, 'x'))), Code::kInternal);
  EXPECT_EQ(code(InlineFile(std::string(kInlineSizeMax + 1, 'x'))), Code::kInvalidArgument);
  EXPECT_EQ(code(ObjectFile("empty", 0)), Code::kInvalidArgument);
  EXPECT_EQ(code(Symlink("")), Code::kInvalidArgument);
  EXPECT_EQ(code(Symlink(std::string(4096, 'x'))), Code::kInvalidArgument);
  EXPECT_EQ(code(Device(S_IFBLK, 4096, 0)), Code::kInvalidArgument);
  EXPECT_EQ(code(with_xattr("user.", "x")), Code::kInvalidArgument);
  EXPECT_EQ(code(with_xattr("btrfs.compression", "x")), Code::kInvalidArgument);
  EXPECT_EQ(code(with_xattr("user.big", std::string(65536, 'x'))), Code::kInvalidArgument);
  EXPECT_EQ(code(with_xattr("user.big", std::string(65535, 'x'))), Code::kResourceExhausted);
  EXPECT_EQ(code(with_xattr("user.big", std::string(65500, 'x'))), Code::kInternal);
  Inode twice = InlineFile("x");
  twice.xattrs = {{"user.a", "1"}, {"user.a", "2"}};
  EXPECT_EQ(code(std::move(twice)), Code::kInvalidArgument);
  Inode late = InlineFile("x");
  late.mtime_ns = 1'000'000'000;
  EXPECT_EQ(code(std::move(late)), Code::kInvalidArgument);
  EXPECT_EQ(code(Inode{}), Code::kInvalidArgument);
}

TEST(Tree, HoldsEachOfItsLimits) {
  TreeLimits limits;
  limits.entries_max = 3;
  limits.depth_max = 2;
  limits.metadata_bytes_max = 100;
  Tree tree(limits);
  const InodeIndex a = Put(&tree, "a", Directory());
  const InodeIndex b = Must(tree.AddInode(Directory()));
  const InodeIndex c = Must(tree.AddInode(Directory()));
  Must(tree.Link(b, "c", c));
  EXPECT_EQ(CodeOf(tree.Link(a, "b", b)), Code::kResourceExhausted) << "depth, from below";
  Must(tree.Link(Tree::kRoot, "b", b));
  const InodeIndex file = Must(tree.AddInode(InlineFile("x")));
  EXPECT_EQ(CodeOf(tree.Link(a, "file", file)), Code::kResourceExhausted) << "entries";
  EXPECT_FALSE(tree.AddInode(Symlink(std::string(101, 'x'))).ok()) << "bytes";
  Must(tree.Unlink(Tree::kRoot, "b"));
  EXPECT_TRUE(tree.Link(a, "file", file).ok());
}

TEST(Tree, IsWalkedInByteOrderWithParentsFirst) {
  Tree tree;
  for (const char* path : {"b/z", "b/a", "a", "b-", "b/\xc3\xa9", "b/B"}) {
    Put(&tree, path, InlineFile("x"));
  }
  std::vector<std::string> paths;
  Must(tree.Walk([&](const std::string& path, InodeIndex) -> Status {
    paths.push_back(path);
    return Ok();
  }));
  EXPECT_EQ(paths,
            (std::vector<std::string>{"", "a", "b", "b/B", "b/a", "b/z", "b/\xc3\xa9", "b-"}));
}

TEST(Tree, HoldsTwoMillionEntriesInAboutThreeHundredBytesEach) {
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  Tree tree;
  const uint64_t count = tree.limits().entries_max;
  for (uint64_t i = 0; i < count / 1000; ++i) {
    const InodeIndex directory = Put(&tree, "directory" + std::to_string(i), Directory());
    for (int file = 1; file < 1000; ++file) {
      Must(tree.Link(directory, "libstrata-file-" + std::to_string(file) + ".so",
                     Must(tree.AddInode(ObjectFile("x", 4096)))));
    }
  }
  EXPECT_EQ(tree.entry_count(), count);
  const size_t used = mallinfo2().uordblks + mallinfo2().hblkhd - before;
  std::cout << "bytes per entry: " << used / count << "\n";
  RecordProperty("bytes_per_entry", static_cast<int>(used / count));
#if !defined(__SANITIZE_ADDRESS__)  // Its allocator is not the one measured.
  EXPECT_LT(used / count, 360u);
#endif
  EXPECT_EQ(CodeOf(tree.Link(Tree::kRoot, "more", Must(tree.AddInode(Directory())))),
            Code::kResourceExhausted);
}

}  // namespace
}  // namespace strata::imaged
