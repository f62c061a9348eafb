// libFuzzer target: any bytes as a manifest. The superblock's checksum and size are made right, so
// that mutations reach what is behind them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

#include "tests/unit/manifest/exercise_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace strata::imaged;  // NOLINT
  std::string image(reinterpret_cast<const char*>(data), size);
  image.resize(erofs::AlignUp(size, erofs::kBlockSize), '\0');
  if (!image.empty()) {
    const auto blocks = static_cast<uint32_t>(erofs::BlocksOf(image.size()));
    std::memcpy(image.data() + erofs::kSuperOffset + offsetof(erofs::SuperBlock, blocks), &blocks,
                sizeof(blocks));
    testing::FixChecksum(&image);
  }
  const strata::Status status = testing::ReaderExercise::Run(image);
  if (!status.ok()) {
    std::cerr << "not an answer to a damaged image: " << status.error().message() << "\n";
    std::abort();
  }
  return 0;
}
