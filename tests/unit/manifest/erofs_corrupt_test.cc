#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <iostream>
#include <random>

#include "tests/unit/manifest/exercise_reader.h"
#include "tests/unit/manifest/sample_trees.h"

namespace strata::imaged {
namespace {

using namespace testing;  // NOLINT

uint64_t PrintedSeed() {
  const char* given = std::getenv("STRATA_TEST_SEED");
  const uint64_t seed = given != nullptr
                            ? std::strtoull(given, nullptr, 10)
                            : std::chrono::steady_clock::now().time_since_epoch().count();
  std::cout << "STRATA_TEST_SEED=" << seed << "\n";
  return seed;
}

Code OpenCode(std::string_view image) {
  auto reader = ErofsReader::FromMemory(image);
  return reader.ok() ? Code::kInternal : reader.error().code();
}

Code LoadCode(std::string_view image) {
  auto reader = ErofsReader::FromMemory(image);
  if (!reader.ok()) return reader.error().code();
  auto tree = (*reader)->LoadTree();
  return tree.ok() ? Code::kInternal : tree.error().code();
}

TEST(DamagedManifest, WithFlippedBytesIsReadOrCalledCorrupt) {
  std::mt19937_64 random(PrintedSeed());
  const std::string image = ImageOf(RandomTree(random(), 400));
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = image;
    const size_t flips = 1 + random() % 8;
    const size_t start = random() % 2 == 0 ? 0 : random() % damaged.size();
    for (size_t i = 0; i < flips; ++i) {
      const size_t at = start == 0 ? random() % damaged.size()
                                   : std::min(damaged.size() - 1, start + random() % 64);
      damaged[at] = static_cast<char>(random());
    }
    if (round % 8 != 0) FixChecksum(&damaged);
    const Status status = ReaderExercise::Run(damaged);
    ASSERT_TRUE(status.ok()) << "round " << round << ": " << status.error().message();
  }
}

TEST(DamagedManifest, CutAnywhereIsCalledCorrupt) {
  std::mt19937_64 random(PrintedSeed());
  const std::string image = ImageOf(RandomTree(random(), 400));
  for (int round = 0; round < 300; ++round) {
    const size_t size = round < 8 ? round * 1024 : random() % image.size();
    ASSERT_EQ(OpenCode(std::string_view(image).substr(0, size)), Code::kCorrupt) << size;
  }
  ASSERT_EQ(OpenCode(image + std::string(4096, '\0')), Code::kCorrupt) << "extended";
}

TEST(DamagedManifest, WithAFlipInTheFirstBlockFailsItsChecksum) {
  const std::string image = ImageOf(RandomTree(1, 50));
  for (size_t at = erofs::kSuperOffset; at < erofs::kBlockSize; at += 7) {
    std::string damaged = image;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    ASSERT_EQ(OpenCode(damaged), Code::kCorrupt) << at;
  }
}

TEST(DamagedManifest, OfAnotherVersionIsUnsupported) {
  std::string image = ImageOf(RandomTree(1, 50));
  image[erofs::kSuperOffset + offsetof(erofs::SuperBlock, volume_name) + 7] = '9';
  FixChecksum(&image);
  EXPECT_EQ(OpenCode(image), Code::kUnsupported);
}

class Forged : public ::testing::Test {
 protected:
  Forged() {
    Put(&tree_, "d/e/file", ObjectFile("content", 100'000));
    Put(&tree_, "d/inline", InlineFile("text"));
    image_ = ImageOf(tree_);
    reader_ = Must(ErofsReader::FromMemory(image_));
  }
  Nid Find(const std::string& path) {
    Nid nid = reader_->root();
    std::istringstream parts(path);
    for (std::string part; std::getline(parts, part, '/');) {
      nid = (*Must(reader_->Lookup(nid, part))).nid;
    }
    return nid;
  }
  template <typename T>
  void Patch(uint64_t offset, T value) {
    std::memcpy(image_.data() + offset, &value, sizeof(value));
    FixChecksum(&image_);
  }
  // Where the entry `name` of a small directory is stored.
  uint64_t EntryOffset(Nid directory, size_t entry) {
    return directory * 32 + sizeof(erofs::ExtendedInode) + entry * sizeof(erofs::Dirent);
  }

  Tree tree_;
  std::string image_;
  std::unique_ptr<ErofsReader> reader_;
};

TEST_F(Forged, DirectoryThatContainsItsParentIsCorrupt) {
  // "d/e" holds ".", "..", "file": let "file" be the directory "d".
  const uint64_t entry = EntryOffset(Find("d/e"), 2);
  Patch<uint64_t>(entry, Find("d"));
  Patch<uint8_t>(entry + offsetof(erofs::Dirent, type), erofs::DirentType(S_IFDIR));
  EXPECT_EQ(LoadCode(image_), Code::kCorrupt);
}

TEST_F(Forged, SecondNameThatIsNotCountedIsCorrupt) {
  Patch<uint64_t>(EntryOffset(Find("d"), 3), Find("d/e/file"));  // d: . .. e inline
  EXPECT_EQ(LoadCode(image_), Code::kCorrupt);
}

TEST_F(Forged, RedirectOnAnInlineFileIsCorrupt) {
  // The kernel would follow it out of the object folder's names.
  const uint64_t format = Find("d/e/file") * 32;
  Patch<uint16_t>(format, 1);
  EXPECT_EQ(LoadCode(image_), Code::kCorrupt);
}

TEST_F(Forged, RedirectToSomethingElseThanAnObjectIsCorrupt) {
  const size_t at = image_.find("/" + Hasher::Of("content").Hex().substr(0, 2));
  ASSERT_NE(at, std::string::npos);
  Patch<uint8_t>(at + 1, '.');
  EXPECT_EQ(LoadCode(image_), Code::kCorrupt);
}

TEST_F(Forged, LinkCountThatIsWrongIsCorrupt) {
  Patch<uint32_t>(Find("d/e/file") * 32 + offsetof(erofs::ExtendedInode, nlink), 2);
  EXPECT_EQ(LoadCode(image_), Code::kCorrupt);
}

TEST_F(Forged, EntryOfAnotherTypeThanItsInodeIsCorrupt) {
  Patch<uint8_t>(EntryOffset(Find("d/e"), 2) + offsetof(erofs::Dirent, type),
                 erofs::DirentType(S_IFLNK));
  EXPECT_EQ(LoadCode(image_), Code::kCorrupt);
}

TEST_F(Forged, ContentOutsideTheImageIsCorrupt) {
  const uint64_t inode = Find("d/inline") * 32;
  Patch<uint16_t>(inode, 1);                               // Plain: the content is in a block…
  for (const uint32_t block : {1u, 1000u, 0xffffffffu}) {  // … of a one-block image.
    Patch<uint32_t>(inode + offsetof(erofs::ExtendedInode, u), block);
    EXPECT_EQ(LoadCode(image_), Code::kCorrupt) << block;
  }
}

TEST_F(Forged, WhatIsWrongIsNamedByItsPath) {
  Patch<uint8_t>(EntryOffset(Find("d/e"), 2) + offsetof(erofs::Dirent, type),
                 erofs::DirentType(S_IFLNK));
  const auto reader = ErofsReader::FromMemory(image_);
  ASSERT_TRUE(reader.ok());
  const auto tree = (*reader)->LoadTree();
  ASSERT_FALSE(tree.ok());
  EXPECT_TRUE(tree.error().message().starts_with("/d/e/file: ")) << tree.error().message();
}

TEST_F(Forged, AWrongLinkCountIsNamedByThePathOfItsFile) {
  Patch<uint32_t>(Find("d/e/file") * 32 + offsetof(erofs::ExtendedInode, nlink), 2);
  const auto reader = ErofsReader::FromMemory(image_);
  ASSERT_TRUE(reader.ok());
  const auto tree = (*reader)->LoadTree();
  ASSERT_FALSE(tree.ok());
  EXPECT_TRUE(tree.error().message().starts_with("/d/e/file: ")) << tree.error().message();
}

TEST_F(Forged, UntouchedImageLoads) { EXPECT_EQ(LoadCode(image_), Code::kInternal); }

}  // namespace
}  // namespace strata::imaged
