#include "layerfs/fuse/overlay_format.h"

#include <gtest/gtest.h>

namespace strata::layerfs {
namespace {

Uuid SomeUuid() {
  Uuid uuid;
  for (size_t i = 0; i < uuid.size(); ++i) uuid[i] = static_cast<uint8_t>(i + 1);
  return uuid;
}

TEST(OverlayOrigin, NamesTheNidItWasMadeOf) {
  for (const uint64_t nid : {uint64_t{36}, uint64_t{1} << 31, (uint64_t{1} << 40) + 5}) {
    EXPECT_EQ(DecodeOrigin(SomeUuid(), EncodeOrigin(SomeUuid(), nid)), nid);
  }
}

TEST(OverlayOrigin, OfAnotherFileSystemIsNotOurs) {
  Uuid other = SomeUuid();
  other[15] ^= 1;
  EXPECT_EQ(DecodeOrigin(other, EncodeOrigin(SomeUuid(), 36)), std::nullopt);
}

TEST(OverlayOrigin, DamagedBytesAreRefused) {
  const std::string good = EncodeOrigin(SomeUuid(), 36);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(DecodeOrigin(SomeUuid(), good.substr(0, size)), std::nullopt) << size;
  }
  EXPECT_EQ(DecodeOrigin(SomeUuid(), good + "x"), std::nullopt);
  for (const size_t at : {0, 1, 2, 4, 5}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    EXPECT_EQ(DecodeOrigin(SomeUuid(), bad), std::nullopt) << at;
  }
  std::string big_endian = good;
  big_endian[3] = 1;
  EXPECT_EQ(DecodeOrigin(SomeUuid(), big_endian), std::nullopt);
}

}  // namespace
}  // namespace strata::layerfs
