#include "common/digest_tree.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

// Of the reference library; its blake3_impl.h is no C++ header.
extern "C" {
void blake3_hash_many(const uint8_t* const* inputs, size_t num_inputs, size_t blocks,
                      const uint32_t key[8], uint64_t counter, bool increment_counter,
                      uint8_t flags, uint8_t flags_start, uint8_t flags_end, uint8_t* out);
void blake3_compress_in_place(uint32_t cv[8], const uint8_t block[64], uint8_t block_len,
                              uint64_t counter, uint8_t flags);
}

namespace strata {
namespace {

static_assert(std::endian::native == std::endian::little, "values are little endian words");

constexpr size_t kBlockBytes = 64;
constexpr size_t kChunkBytes = 1024;
constexpr uint64_t kChunksPerGroup = kGroupBytes / kChunkBytes;
constexpr uint8_t kChunkStart = 1;
constexpr uint8_t kChunkEnd = 2;
constexpr uint8_t kParent = 4;
constexpr uint8_t kRoot = 8;
// The paper's table 1.
constexpr std::array<uint32_t, 8> kKey = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                          0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

const uint8_t* BytesOf(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// Of a chunk that is shorter than the others.
GroupValue ValueOfShortChunk(std::string_view chunk, uint64_t counter) {
  std::array<uint32_t, 8> value = kKey;
  uint8_t flags = kChunkStart;
  while (true) {
    std::array<uint8_t, kBlockBytes> block{};
    const size_t size = std::min(chunk.size(), kBlockBytes);
    std::memcpy(block.data(), chunk.data(), size);
    chunk.remove_prefix(size);
    if (chunk.empty()) flags |= kChunkEnd;
    blake3_compress_in_place(value.data(), block.data(), static_cast<uint8_t>(size), counter,
                             flags);
    if (chunk.empty()) break;
    flags = 0;
  }
  return std::bit_cast<GroupValue>(value);
}

GroupValue ParentOf(const GroupValue& left, const GroupValue& right, uint8_t flags) {
  std::array<uint8_t, kBlockBytes> block;
  std::memcpy(block.data(), left.data(), left.size());
  std::memcpy(block.data() + left.size(), right.data(), right.size());
  std::array<uint32_t, 8> value = kKey;
  blake3_compress_in_place(value.data(), block.data(), kBlockBytes, 0, kParent | flags);
  return std::bit_cast<GroupValue>(value);
}

// The one value above all of them. A left subtree is the largest that is full, which is what
// joining neighbours level by level gives; one that is left over waits for the next level.
GroupValue Join(std::vector<GroupValue> values, uint8_t flags_of_top) {
  while (values.size() > 1) {
    const uint8_t flags = values.size() == 2 ? flags_of_top : 0;
    size_t kept = 0;
    for (size_t i = 0; i < values.size(); i += 2) {
      values[kept++] =
          i + 1 < values.size() ? ParentOf(values[i], values[i + 1], flags) : values[i];
    }
    values.resize(kept);
  }
  return values.front();
}

}  // namespace

GroupValue ValueOfGroup(std::string_view group, uint64_t index) {
  Hasher cpu_is_known;  // See its constructor.
  const size_t whole = group.size() / kChunkBytes;
  std::vector<GroupValue> values(whole);
  std::vector<const uint8_t*> chunks(whole);
  for (size_t i = 0; i < whole; ++i) chunks[i] = BytesOf(group) + i * kChunkBytes;
  const uint64_t counter = index * kChunksPerGroup;
  blake3_hash_many(chunks.data(), whole, kChunkBytes / kBlockBytes, kKey.data(), counter,
                   /*increment_counter=*/true, 0, kChunkStart, kChunkEnd,
                   reinterpret_cast<uint8_t*>(values.data()));
  group.remove_prefix(whole * kChunkBytes);
  if (!group.empty()) values.push_back(ValueOfShortChunk(group, counter + whole));
  return Join(std::move(values), 0);
}

Digest DigestOfGroups(std::span<const GroupValue> values) {
  Hasher cpu_is_known;
  return Digest(Join({values.begin(), values.end()}, kRoot));
}

}  // namespace strata
