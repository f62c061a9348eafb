#include "imaged/archive/zstd_source.h"
#include "imaged/oci/blob_stream.h"
#include "imaged/oci/layer_stream.h"
#include "tests/unit/oci/oci_fixture.h"

namespace strata::imaged::oci {
namespace {

std::string Noise(size_t size) {
  std::string noise(size, '\0');
  uint32_t state = 1;
  for (char& c : noise) {
    state = state * 1'103'515'245 + 12'345;
    c = static_cast<char>('a' + (state >> 16) % 20);
  }
  return noise;
}

std::string Compressed(Compression compression, const std::string& data, size_t threads) {
  std::string bytes;
  BlockCompressor compressor(compression, Into(&bytes), threads);
  for (size_t at = 0; at < data.size(); at += 77'777) {
    EXPECT_TRUE(compressor.Write(std::string_view(data).substr(at, 77'777)).ok());
  }
  EXPECT_TRUE(compressor.Finish().ok());
  return bytes;
}

Result<std::string> ReadLayerStream(const std::string& blob, const Sha256Digest& diff_id,
                                    uint64_t bytes_max) {
  FakeBlobSource source;
  const CancelToken cancel;
  LayerStream stream(source, source.Put(kOciLayerType, blob), diff_id, bytes_max, cancel);
  std::string all;
  while (true) {
    ASSIGN_OR_RETURN(const std::string_view data, stream.Next());
    if (data.empty()) return all;
    all += data;
  }
}

TEST(BlockCompressor, TheNumberOfThreadsDoesNotChangeTheBytes) {
  const std::string data = Noise(5 * BlockCompressor::kBlockBytes + 12'345);
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    const std::string one = Compressed(compression, data, 1);
    EXPECT_LT(one.size(), data.size());
    for (const size_t threads : {2, 7}) {
      EXPECT_TRUE(Compressed(compression, data, threads) == one) << threads;
    }
    const auto back = ReadLayerStream(one, Sha256Hasher::Of(data), data.size());
    ASSERT_TRUE(back.ok()) << back.error().message();
    EXPECT_TRUE(*back == data);
  }
}

TEST(BlockCompressor, AnErrorOfTheSinkEndsIt) {
  BlockCompressor compressor(Compression::kGzip, [](std::string_view) -> Status {
    return Error(Code::kCancelled, "enough");
  });
  Status status = compressor.Write(Noise(20 * BlockCompressor::kBlockBytes));
  if (status.ok()) status = compressor.Finish();
  EXPECT_EQ(status.error().code(), Code::kCancelled);
}

TEST(LayerStream, CutAndDamagedStreamsAreTold) {
  const std::string data = Noise(2'000'000);
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    const std::string whole = Compressed(compression, data, 1);
    for (const size_t size : {size_t{5}, whole.size() / 2, whole.size() - 1}) {
      const auto cut = ReadLayerStream(whole.substr(0, size), Sha256Hasher::Of(data), data.size());
      ASSERT_FALSE(cut.ok()) << size;
      EXPECT_EQ(cut.error().code(), Code::kCorrupt) << cut.error().message();
    }
    EXPECT_EQ(ReadLayerStream(whole, Sha256Hasher::Of(data), data.size() - 1).error().code(),
              Code::kResourceExhausted);
    EXPECT_EQ(ReadLayerStream(whole, Sha256Hasher::Of("x"), data.size()).error().code(),
              Code::kCorrupt);
  }
}

TEST(LayerStream, AnErrorStays) {
  FakeBlobSource source;
  const CancelToken cancel;
  LayerStream stream(source, source.Put(kOciLayerType, "abc"), Sha256Digest(), 100, cancel);
  ASSERT_TRUE(stream.Next().ok());
  EXPECT_FALSE(stream.Next().ok());
  EXPECT_FALSE(stream.Next().ok());
}

TEST(LayerStream, APlainLayerMayBeEmptyOrShort) {
  for (const char* text : {"", "a", "abc"}) {
    const auto read = ReadLayerStream(text, Sha256Hasher::Of(text), 100);
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(*read, text);
  }
}

TEST(BlobStream, MayBeGivenUpWhileTheSourcePushes) {
  FakeBlobSource source;
  Descriptor blob = source.Put(kOciLayerType, "x");
  source.endless.insert(blob.digest);
  blob.size = uint64_t{1} << 60;
  const CancelToken cancel;
  BlobStream stream(source, blob, cancel);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(stream.Next().ok());
}

TEST(ZstdSource, FramesFollowEachOther) {
  const std::string two = *CompressBlock(Compression::kZstd, "one ") +
                          std::string("\x50\x2a\x4d\x18\x03\0\0\0abc", 11) +  // A skippable frame.
                          *CompressBlock(Compression::kZstd, "two");
  std::string all;
  ZstdSource source(imaged::SourceOf(two, 3));
  while (true) {
    const auto data = source.Next();
    ASSERT_TRUE(data.ok()) << data.error().message();
    if (data->empty()) break;
    all += *data;
  }
  EXPECT_EQ(all, "one two");
}

}  // namespace
}  // namespace strata::imaged::oci
