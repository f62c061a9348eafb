#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <iostream>

#include "tests/unit/manifest/counting_allocator.h"
#include "tests/unit/manifest/sample_trees.h"

namespace strata::imaged {
namespace {

using namespace testing;  // NOLINT
using ::testing::ElementsAreArray;

std::vector<std::string> NamesFrom(const ErofsReader& reader, Nid directory, uint64_t first,
                                   size_t count_max) {
  std::vector<std::string> names;
  Must(reader.ReadDirectory(directory, first, [&](const ErofsDirEntry& entry) {
    names.emplace_back(entry.name);
    return names.size() < count_max;
  }));
  return names;
}

TEST(ErofsImage, GivesBackTheTreeItWasWrittenFrom) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const Tree tree = RandomTree(seed, seed * seed * 40);
    const std::string image = ImageOf(tree);
    const Tree loaded = Must(Must(ErofsReader::FromMemory(image))->LoadTree());
    ASSERT_THAT(Describe(loaded), ElementsAreArray(Describe(tree))) << "seed " << seed;
  }
}

TEST(ErofsImage, KeepsApartWhatWaitsForTheSameBlockBoundary) {
  Tree tree;  // Targets too long for their inode's block, from inodes next to each other.
  for (char name = 'a'; name < 'g'; ++name) {
    Put(&tree, std::string(1, name), Symlink(std::string(4095, name)));
  }
  const std::string image = ImageOf(tree);
  EXPECT_EQ(image.size(), 7u * 4096);
  const Tree loaded = Must(Must(ErofsReader::FromMemory(image))->LoadTree());
  EXPECT_THAT(Describe(loaded), ElementsAreArray(Describe(tree)));
}

TEST(ErofsImage, OfAnEmptyTreeIsOneBlock) {
  const std::string image = ImageOf(Tree());
  EXPECT_EQ(image.size(), 4096u);
  const Tree loaded = Must(Must(ErofsReader::FromMemory(image))->LoadTree());
  EXPECT_EQ(Describe(loaded), Describe(Tree()));
}

TEST(ErofsImage, IsTheSameWhateverTheOrderOfInsertion) {
  WrittenManifest first, second;
  const std::string image = ImageOf(RandomTree(7, 3000), &first);
  EXPECT_EQ(ImageOf(RandomTree(7, 3000, 99), &second), image);
  EXPECT_EQ(first.digest, second.digest);
  EXPECT_EQ(first.digest, Hasher::Of(image));
  EXPECT_EQ(first.size_bytes, image.size());
  EXPECT_NE(ImageOf(RandomTree(8, 3000)), image);
}

TEST(ErofsImage, IsTheSameAfterLoadingAndWritingAgain) {
  const std::string image = ImageOf(RandomTree(3, 2000));
  EXPECT_EQ(ImageOf(Must(Must(ErofsReader::FromMemory(image))->LoadTree())), image);
}

TEST(ErofsImage, LeavesOutInodesThatHaveNoName) {
  Tree tree;
  Put(&tree, "a", InlineFile("x"));
  const std::string image = ImageOf(tree);
  Put(&tree, "b/c", InlineFile("y"));
  Must(tree.Unlink(Tree::kRoot, "b"));
  EXPECT_EQ(ImageOf(tree), image);
}

TEST(ErofsImage, HasAnIdOfItsContent) {
  Tree tree;
  Put(&tree, "a", InlineFile("x"));
  const std::string one = ImageOf(tree);
  tree.mutable_inode(*tree.Find("a")).mtime_ns = 1;
  const std::string other = ImageOf(tree);
  EXPECT_NE(Must(ErofsReader::FromMemory(one))->uuid(),
            Must(ErofsReader::FromMemory(other))->uuid());
  // docs/formats.md: the first half of the digest of everything past the superblock.
  const Digest content = Hasher::Of(std::string_view(one).substr(1024 + 128));
  EXPECT_TRUE(std::equal(content.bytes().begin(), content.bytes().begin() + 16,
                         Must(ErofsReader::FromMemory(one))->uuid().begin()));
}

TEST(ErofsImage, FindsEveryNameAndNoOther) {
  const Tree tree = RandomTree(5, 4000);
  const std::string image = ImageOf(tree);
  const auto reader = Must(ErofsReader::FromMemory(image));
  std::map<std::string, Nid> nids = {{"", reader->root()}};
  Must(tree.Walk([&](const std::string& path, InodeIndex index) -> Status {
    if (path.empty()) return Ok();
    const size_t slash = path.rfind('/');
    const Nid parent = nids.at(slash == std::string::npos ? "" : path.substr(0, slash));
    const std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1);
    ASSIGN_OR_RETURN(const auto entry, reader->Lookup(parent, name));
    EXPECT_TRUE(entry && entry->name == name && entry->type == IFTODT(tree.inode(index).mode))
        << path;
    nids[path] = entry->nid;
    for (const std::string& other : {name + "\x01", name.substr(0, name.size() - 1), "~" + name}) {
      ASSIGN_OR_RETURN(const auto absent, reader->Lookup(parent, other));
      const auto shall = tree.Lookup(
          slash == std::string::npos ? Tree::kRoot : *tree.Find(path.substr(0, slash)), other);
      EXPECT_EQ(absent.has_value(), shall.has_value()) << other;
    }
    return Ok();
  }));
  EXPECT_FALSE(Must(reader->Lookup(reader->root(), ".")).has_value());
  EXPECT_FALSE(Must(reader->Lookup(reader->root(), "..")).has_value());
}

TEST(ErofsImage, ListsADirectoryInPiecesOfAnySize) {
  Tree tree;
  std::vector<std::string> names;
  for (int i = 0; i < 3000; ++i) {  // Some sort before "." and "..", most after.
    names.push_back((i % 5 == 0 ? "-" : i % 5 == 1 ? ".a" : "f") + std::to_string(i));
    Put(&tree, names.back(), InlineFile(""));
  }
  std::sort(names.begin(), names.end());
  const std::string image = ImageOf(tree);
  const auto reader = Must(ErofsReader::FromMemory(image));
  for (const size_t piece : {1u, 7u, 100u, 5000u}) {
    std::vector<std::string> got;
    while (true) {
      const auto part = NamesFrom(*reader, reader->root(), got.size(), piece);
      if (part.empty()) break;
      got.insert(got.end(), part.begin(), part.end());
    }
    ASSERT_EQ(got, names) << piece;
  }
  std::mt19937_64 random(1);
  for (int i = 0; i < 200; ++i) {
    const size_t first = random() % (names.size() + 3);
    const auto got = NamesFrom(*reader, reader->root(), first, 3);
    for (size_t k = 0; k < got.size(); ++k) ASSERT_EQ(got[k], names[first + k]);
    ASSERT_EQ(got.size(), first >= names.size() ? 0 : std::min<size_t>(3, names.size() - first));
  }
}

TEST(ErofsImage, LooksUpAndListsWithoutAllocating) {
  Tree tree;
  for (int i = 0; i < 2000; ++i) Put(&tree, "d/f" + std::to_string(i), ObjectFile("x", 5000));
  Put(&tree, "link", Symlink("d/f1"));
  const std::string image = ImageOf(tree);
  const auto reader = Must(ErofsReader::FromMemory(image));
  const Nid directory = Must(reader->Lookup(reader->root(), "d"))->nid;
  const Nid link = Must(reader->Lookup(reader->root(), "link"))->nid;
  uint64_t seen = 0;
  auto count = [&seen](const ErofsDirEntry&) { return ++seen % 1000 != 0; };
  const std::function<bool(const ErofsDirEntry&)> visit = std::ref(count);
  const uint64_t before = strata::testing::AllocationCount();
  const auto found = reader->Lookup(directory, "f1234");
  const auto absent = reader->Lookup(directory, "g");
  const auto inode = reader->GetInode((*found)->nid);
  const auto object = reader->GetObject((*found)->nid);
  const auto target = reader->ReadLink(link);
  const auto opaque = reader->IsOpaque(directory);
  const Status one = reader->ReadDirectory(directory, 0, visit);
  const Status two = reader->ReadDirectory(directory, 1000, visit);
  const uint64_t taken = strata::testing::AllocationCount() - before;
  EXPECT_EQ(taken, 0u);
  EXPECT_EQ(seen, 2000u);
  EXPECT_TRUE(found.ok() && absent.ok() && inode.ok() && object.ok() && target.ok() &&
              opaque.ok() && one.ok() && two.ok());
}

TEST(ErofsImage, KeepsForeignOverlayAttributesUninterpreted) {
  Tree tree;
  Inode directory = Directory();
  directory.xattrs = {{"trusted.overlay.opaque", "y"}, {"trusted.overlay.overlay.x", "2"}};
  Put(&tree, "d", std::move(directory));
  const std::string image = ImageOf(tree);
  const auto reader = Must(ErofsReader::FromMemory(image));
  const Nid nid = Must(reader->Lookup(reader->root(), "d"))->nid;
  EXPECT_FALSE(Must(reader->IsOpaque(nid)));
  EXPECT_EQ(Must(reader->GetXattrs(nid)), (std::vector<Xattr>{{"trusted.overlay.opaque", "y"},
                                                              {"trusted.overlay.overlay.x", "2"}}));
  EXPECT_EQ(EscapeXattrName("trusted.overlay.opaque"), "trusted.overlay.overlay.opaque");
  EXPECT_EQ(UnescapeXattrName("trusted.overlay.overlay.opaque"), "trusted.overlay.opaque");
  EXPECT_EQ(UnescapeXattrName("trusted.overlay.opaque"), std::nullopt);
  EXPECT_EQ(EscapeXattrName("trusted.overlayed"), "trusted.overlayed");
  EXPECT_EQ(UnescapeXattrName("user.overlay.opaque"), "user.overlay.opaque");
}

TEST(ErofsImage, RefusesAttributesPastWhatOneInodeCanHold) {
  TreeLimits limits;
  limits.xattr_bytes_max_per_inode = 1 << 20;
  const auto write = [&](int values) {
    Tree tree(limits);
    Inode file = InlineFile("x");
    for (int i = 0; i < values; ++i) {
      file.xattrs.push_back({"user.n" + std::to_string(i), std::string(60'000, 'v')});
    }
    Put(&tree, "f", std::move(file));
    UniqueFd fd(::memfd_create("manifest", MFD_CLOEXEC));
    auto written = WriteErofs(tree, fd.get());
    if (!written.ok()) return written.error();
    const std::string image = Must(ReadAll(fd.get(), 1u << 30));
    const Tree loaded = Must(Must(ErofsReader::FromMemory(image))->LoadTree(limits));
    EXPECT_EQ(Describe(loaded), Describe(tree));
    return Error(Code::kInternal, "fits");
  };
  EXPECT_EQ(write(4).message(), "fits");
  const Error error = write(5);
  EXPECT_EQ(error.code(), Code::kInvalidArgument);
  EXPECT_THAT(error.message(), ::testing::HasSubstr("262148"));
}

TEST(ErofsImage, RefusesWhatBecameImpossibleAfterItWasAdded) {
  Tree tree;
  tree.mutable_inode(Put(&tree, "f", InlineFile("x"))).size = 2;
  UniqueFd fd(::memfd_create("manifest", MFD_CLOEXEC));
  auto written = WriteErofs(tree, fd.get());
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Must(ReadAll(fd.get(), 4096)), "") << "nothing is written for a tree that cannot be";
}

TEST(ErofsImage, TellsThatTheDiskIsFull) {
  auto full = Must(strata::Open("/dev/full", O_RDWR));
  auto written = WriteErofs(RandomTree(1, 100), full.get());
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code(), Code::kResourceExhausted);
}

TEST(ErofsImage, IsOpenedFromAFileAndKeepsNoDescriptor) {
  const auto directory = Must(TemporaryDirectory::Create("/tmp", "strata-manifest."));
  const std::string path = directory.path() + "/m";
  const std::string image = ImageOf(RandomTree(4, 500));
  Must(WriteFileAtomically(path, image));
  const int before = ::dup(0);
  ::close(before);
  {
    const auto reader = Must(ErofsReader::Open(path));
    EXPECT_EQ(ImageOf(Must(reader->LoadTree())), image);
    const int after = ::dup(0);
    ::close(after);
    EXPECT_EQ(after, before);
  }
  auto missing = ErofsReader::Open(path + "x");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), Code::kNotFound);
  Must(WriteFileAtomically(path, ""));
  EXPECT_EQ(ErofsReader::Open(path).error().code(), Code::kCorrupt);
}

double MillisecondsOf(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

TEST(ErofsImage, HoldsADirectoryOfAMillionNamesAndATreeOfThreeHundredThousandInodes) {
  Tree wide;
  const InodeIndex file = Put(&wide, "d/first", InlineFile("x"));
  const InodeIndex directory = *wide.Find("d");
  for (int i = 1; i < 1'000'000; ++i) Must(wide.Link(directory, "name" + std::to_string(i), file));
  const std::string wide_image = ImageOf(wide);
  const auto reader = Must(ErofsReader::FromMemory(wide_image));
  const Nid nid = Must(reader->Lookup(reader->root(), "d"))->nid;
  EXPECT_TRUE(Must(reader->Lookup(nid, "name999999")).has_value());
  EXPECT_FALSE(Must(reader->Lookup(nid, "name9999999")).has_value());
  EXPECT_EQ(Must(reader->GetInode(Must(reader->Lookup(nid, "first"))->nid)).nlink, 1'000'000u);
  uint64_t listed = 0;
  const double listing = MillisecondsOf([&] {
    for (uint64_t before = ~0ull; before != listed;) {
      before = listed;
      Must(reader->ReadDirectory(nid, listed, [&](const auto&) { return ++listed % 100 != 0; }));
    }
  });
  EXPECT_EQ(listed, 1'000'000u);

  Tree tree;
  for (int i = 0; i < 300'000; ++i) {
    const std::string path = "usr/lib/d" + std::to_string(i / 1000) + "/d" +
                             std::to_string(i / 20) + "/file-" + std::to_string(i);
    Put(&tree, path, ObjectFile(path, 4096));
  }
  std::string image;
  const double writing = MillisecondsOf([&] {
    UniqueFd fd(::memfd_create("manifest", MFD_CLOEXEC));
    Must(WriteErofs(tree, fd.get()));
    image = Must(ReadAll(fd.get(), 1u << 30));
  });
  std::optional<Tree> loaded;
  const double loading =
      MillisecondsOf([&] { loaded = Must(Must(ErofsReader::FromMemory(image))->LoadTree()); });
  EXPECT_EQ(loaded->entry_count(), tree.entry_count());
  std::cout << "300k objects: " << image.size() << " bytes, write " << writing << " ms, load "
            << loading << " ms; 1M names listed in pieces of 100: " << listing << " ms\n";
}

}  // namespace
}  // namespace strata::imaged
