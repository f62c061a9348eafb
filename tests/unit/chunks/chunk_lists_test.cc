// Lists of chunks are made once, kept, and go with their objects.
#include "imaged/chunks/chunk_lists.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <random>
#include <string>
#include <vector>

#include "common/file_io.h"
#include "imaged/chunks/chunk_index.h"

namespace strata::imaged {
namespace {

class ChunkListsTest : public ::testing::Test {
 protected:
  ChunkListsTest()
      : directory_(std::move(*TemporaryDirectory::Create("/dev/shm", "strata-chunks."))),
        store_(std::move(*ObjectStore::Open(directory_.path() + "/store"))),
        lists_(std::move(*ChunkLists::Open(*store_))) {}

  ChunkIndex::Held Put(uint64_t seed, size_t size) {
    std::mt19937_64 random(seed);
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const auto ingest = std::move(*store_->StartIngest());
    const Digest digest = *ingest->Add(bytes);
    EXPECT_TRUE(ingest->Commit().ok());
    return {digest, size};
  }
  // Its chunks; `fd` -1 reads no object.
  Result<std::vector<Chunk>> Read(const ChunkIndex::Held& object, int fd) {
    std::vector<Chunk> chunks;
    RETURN_IF_ERROR(lists_->Read(object.digest, fd, object.size_bytes, CancelToken(),
                                 [&](std::span<const Chunk> part) {
                                   chunks.insert(chunks.end(), part.begin(), part.end());
                                   return Ok();
                                 }));
    return chunks;
  }
  std::vector<Chunk> Made(const ChunkIndex::Held& object) {
    const auto fd = store_->OpenObject(object.digest);
    return *Read(object, fd->get());
  }
  std::string PathOf(const ChunkIndex::Held& object) {
    return store_->root() + "/chunks/" + object.digest.Hex();
  }
  static bool Same(const std::vector<Chunk>& one, const std::vector<Chunk>& other) {
    return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                      [](const Chunk& a, const Chunk& b) {
                        return a.id == b.id && a.size_bytes == b.size_bytes;
                      });
  }

  const TemporaryDirectory directory_;
  const std::unique_ptr<ObjectStore> store_;
  std::unique_ptr<ChunkLists> lists_;
};

TEST_F(ChunkListsTest, AnObjectIsCutOnce) {
  const auto object = Put(1, 5 << 20);
  EXPECT_FALSE(lists_->Has(object.digest));
  const auto made = Made(object);
  EXPECT_GT(made.size(), 20u);
  EXPECT_TRUE(lists_->Has(object.digest));
  const auto kept = Read(object, -1);
  ASSERT_TRUE(kept.ok());
  EXPECT_TRUE(Same(*kept, made));
}

TEST_F(ChunkListsTest, ADamagedListIsMadeAgain) {
  const auto object = Put(1, 5 << 20);
  const auto made = Made(object);
  const std::string good = *ReadFile(PathOf(object));
  for (const std::string& bad :
       {std::string(), good.substr(0, good.size() - 20), good.substr(0, good.size() - 3),
        "x" + good.substr(1), good + good.substr(8)}) {
    ASSERT_TRUE(WriteFileAtomically(PathOf(object), bad).ok());
    EXPECT_TRUE(Same(Made(object), made));
    EXPECT_EQ(*ReadFile(PathOf(object)), good);
  }
}

TEST_F(ChunkListsTest, ListsGoWithTheirObjects) {
  const auto stays = Put(1, 1 << 20);
  const auto goes = Put(2, 1 << 20);
  Made(stays);
  Made(goes);
  ASSERT_TRUE(WriteFileAtomically(store_->root() + "/chunks/tmp.1", "left over").ok());
  ASSERT_EQ(::unlink(store_->PathOf(goes.digest).c_str()), 0);
  lists_ = std::move(*ChunkLists::Open(*store_));
  EXPECT_TRUE(PathExists(PathOf(stays)));
  EXPECT_FALSE(PathExists(PathOf(goes)));
  EXPECT_FALSE(PathExists(store_->root() + "/chunks/tmp.1"));
}

TEST_F(ChunkListsTest, AnIndexCutsNoMoreThanItMayAndGoesOnTheNextTime) {
  const auto one = Put(1, 2 << 20);
  const auto other = Put(2, 2 << 20);
  const auto gone = Put(3, 2 << 20);
  ASSERT_EQ(::unlink(store_->PathOf(gone.digest).c_str()), 0);
  const auto load = [&] {
    ChunkIndex index(*store_, *lists_, {gone, one, other});
    EXPECT_TRUE(index.Load(uint64_t{5} << 20, CancelToken(), [] {}).ok());
    return std::pair(index.Find(Made(one)[3]), lists_->Has(other.digest));
  };
  const auto [place, other_too] = load();
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->object, 1u);
  EXPECT_GT(place->offset, 3 * kChunkBytesMin);
  EXPECT_FALSE(other_too);
  EXPECT_TRUE(load().second);
}

}  // namespace
}  // namespace strata::imaged
