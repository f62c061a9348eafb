// Manifests on the way: whole at any size, smaller than they are, and nothing else believed.
#include "imaged/peers/manifest_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "common/file_io.h"

namespace strata::imaged {
namespace {

constexpr size_t kMega = 1u << 20;

// Like inodes: much the same again and again, and some of it not.
std::string Content(size_t size) {
  std::mt19937_64 random(7);
  std::string content;
  while (content.size() < size) {
    content += "inode 0755 0 0 1700000000 " + std::to_string(random()) + std::string(30, '\0');
  }
  content.resize(size);
  return content;
}

std::vector<v1::ObjectChunk> Send(const std::string& content) {
  auto directory = TemporaryDirectory::Create("/var/tmp", "strata-stream.");
  const std::string path = directory->path() + "/manifest";
  EXPECT_TRUE(WriteFileAtomically(path, content).ok());
  const auto fd = Open(path, O_RDONLY);
  std::vector<v1::ObjectChunk> chunks;
  const Status sent = SendManifest(Hasher::Of(content), fd->get(), [&](const v1::ObjectChunk& c) {
    chunks.push_back(c);
    return true;
  });
  EXPECT_TRUE(sent.ok());
  return chunks;
}

TEST(ManifestStreamTest, ArrivesWholeAndIsSmallerOnTheWay) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4096}, kMega, kMega + 1, 5 * kMega / 2}) {
    const std::string content = Content(size);
    ManifestReceiver receiver;
    std::string received;
    for (const v1::ObjectChunk& chunk : Send(content)) {
      const auto plain = receiver.Take(chunk);
      ASSERT_TRUE(plain.ok()) << plain.error().message();
      received += *plain;
    }
    EXPECT_EQ(received, content) << size;
    if (size > 4096) {
      EXPECT_LT(receiver.wire_bytes(), size / 2);
    }
  }
}

TEST(ManifestStreamTest, PlainChunksOfOtherHostsAreTakenToo) {
  v1::ObjectChunk chunk;
  chunk.set_data("plain");
  ManifestReceiver receiver;
  EXPECT_EQ(*receiver.Take(chunk), "plain");
  EXPECT_EQ(receiver.wire_bytes(), 5u);
}

TEST(ManifestStreamTest, ChunksThatAreNoFramesOrLieAboutTheirSizeAreRefused) {
  const auto chunks = Send(Content(3 * kMega));
  const auto refused = [](v1::ObjectChunk chunk) {
    ManifestReceiver receiver;
    const auto taken = receiver.Take(chunk);
    return !taken.ok() && taken.error().code() == Code::kCorrupt;
  };
  v1::ObjectChunk chunk = chunks[0];
  chunk.set_plain_bytes(kMega - 1);
  EXPECT_TRUE(refused(chunk));
  chunk.set_plain_bytes(1u << 30);
  EXPECT_TRUE(refused(chunk)) << "nothing is allocated for it";
  chunk = chunks[0];
  chunk.mutable_data()->resize(chunk.data().size() / 2);
  EXPECT_TRUE(refused(chunk));
  EXPECT_TRUE(refused(chunks[1])) << "without the one before it";
}

}  // namespace
}  // namespace strata::imaged
