// Where files are cut: within the sizes, by content alone, and for ever in the same places.
#include "imaged/chunks/chunker.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/file_io.h"

namespace strata::imaged {
namespace {

std::string Noise(uint64_t seed, size_t size) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::vector<std::string_view> Cut(std::string_view bytes) {
  std::vector<std::string_view> chunks;
  while (!bytes.empty()) {
    chunks.push_back(bytes.substr(0, FirstChunkBytes(bytes)));
    bytes.remove_prefix(chunks.back().size());
  }
  return chunks;
}

class File {
 public:
  explicit File(std::string_view content)
      : directory_(std::move(*TemporaryDirectory::Create("/dev/shm", "strata-chunks."))) {
    const std::string path = directory_.path() + "/file";
    EXPECT_TRUE(WriteFileAtomically(path, content).ok());
    fd_ = std::move(*Open(path, O_RDONLY));
  }
  int fd() const { return fd_.get(); }

 private:
  TemporaryDirectory directory_;
  UniqueFd fd_;
};

TEST(Chunker, ChunksKeepToTheirSizes) {
  const std::string bytes = Noise(1, 64 << 20);
  const auto chunks = Cut(bytes);
  for (size_t i = 0; i + 1 < chunks.size(); ++i) {
    EXPECT_GT(chunks[i].size(), kChunkBytesMin);
    EXPECT_LE(chunks[i].size(), kChunkBytesMax);
  }
  const size_t mean = bytes.size() / chunks.size();
  EXPECT_GT(mean, kChunkBytesUsual * 3 / 4);
  EXPECT_LT(mean, kChunkBytesUsual * 3 / 2);
  EXPECT_EQ(FirstChunkBytes(std::string(1 << 20, '\0')), kChunkBytesMax);
  EXPECT_EQ(FirstChunkBytes("short"), 5u);
}

TEST(Chunker, AnInsertedByteChangesTheChunksAroundItOnly) {
  const std::string bytes = Noise(2, 16 << 20);
  std::string changed = bytes;
  changed.insert(changed.begin() + (5 << 20), 'X');
  std::set<std::string_view> before;
  for (const auto chunk : Cut(bytes)) before.insert(chunk);
  size_t fresh = 0;
  const auto after = Cut(changed);
  for (const auto chunk : after) fresh += !before.contains(chunk);
  EXPECT_GT(after.size(), 150u);
  EXPECT_GE(fresh, 1u);
  EXPECT_LE(fresh, 3u);
}

// Two hosts have to cut alike, also when one of them runs another version.
TEST(Chunker, TheCutsAreThoseOfTheProtocol) {
  std::string bytes(400'000, '\0');
  uint32_t state = 1;  // Of a linear congruential generator, written here so that it never changes.
  for (char& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  std::vector<size_t> sizes;
  for (const auto chunk : Cut(bytes)) sizes.push_back(chunk.size());
  EXPECT_EQ(sizes, (std::vector<size_t>{89919, 73280, 93024, 111677, 32100}));
}

TEST(Chunker, AFileIsCutAsItsBytesAre) {
  const std::string bytes = Noise(3, (9 << 20) + 4711);
  const File file(bytes);
  std::vector<Chunk> chunks;
  ASSERT_TRUE(ForEachChunk(file.fd(), bytes.size(), CancelToken(), [&](const Chunk& chunk) {
                chunks.push_back(chunk);
                return Ok();
              }).ok());
  const auto expected = Cut(bytes);
  ASSERT_EQ(chunks.size(), expected.size());
  for (size_t i = 0; i < chunks.size(); ++i) {
    EXPECT_EQ(chunks[i].size_bytes, expected[i].size());
    EXPECT_EQ(
        std::memcmp(chunks[i].id.data(), Hasher::Of(expected[i]).bytes().data(), sizeof(ChunkId)),
        0);
  }
}

TEST(Chunker, AFileThatIsShorterThanSaidIsAnError) {
  const File file(Noise(4, 100'000));
  const Status cut =
      ForEachChunk(file.fd(), 100'001, CancelToken(), [](const Chunk&) { return Ok(); });
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace strata::imaged
