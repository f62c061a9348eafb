#include "layerfs/fuse/directory_listing.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "common/log.h"

namespace strata::layerfs {

int64_t DirectoryListing::PlaceOf(std::string_view name) const {
  const uint64_t hash = XXH3_64bits_withSeed(name.data(), name.size(), seed_) >> 1;
  return std::max<int64_t>(static_cast<int64_t>(hash), kFirstPlace);
}

void DirectoryListing::Append(const DirectoryEntry& entry) {
  const size_t needed = kHeadSize + entry.name.size();
  CHECK(needed <= kBlockSize);
  if (blocks_.empty() || blocks_.back()->used + needed > kBlockSize) {
    blocks_.push_back(std::make_unique<Block>());
    CHECK(blocks_.size() < (1u << kBlockBits));
  }
  Block& block = *blocks_.back();
  block.starts.push_back(static_cast<uint16_t>(block.used));
  char* at = block.bytes + block.used;
  std::memcpy(at, &entry.lower_ino, sizeof(entry.lower_ino));
  at[sizeof(entry.lower_ino)] = static_cast<char>(entry.type);
  entry.name.copy(at + kHeadSize, entry.name.size());
  block.used += static_cast<uint32_t>(needed);
  ++count_;
}

void DirectoryListing::Sort() {
  // Nearly all are told apart by the upper half of their places: half the memory.
  struct Key {
    uint32_t upper_half;
    uint32_t position;
  };
  std::vector<Key> keys;
  keys.reserve(count_);
  for (uint32_t block = 0; block < blocks_.size(); ++block) {
    for (uint32_t number = 0; number < blocks_[block]->starts.size(); ++number) {
      const uint32_t position = number << kBlockBits | block;
      keys.push_back({static_cast<uint32_t>(At(position).place >> 32), position});
    }
  }
  std::sort(keys.begin(), keys.end(), [this](const Key& a, const Key& b) {
    if (a.upper_half != b.upper_half) return a.upper_half < b.upper_half;
    return At(a.position).place < At(b.position).place;
  });
  order_.resize(keys.size());
  std::transform(keys.begin(), keys.end(), order_.begin(),
                 [](const Key& key) { return key.position; });
}

DirectoryListing::Item DirectoryListing::At(uint32_t position) const {
  const Block& block = *blocks_[position & ((1u << kBlockBits) - 1)];
  const size_t number = position >> kBlockBits;
  const uint32_t start = block.starts[number];
  const uint32_t end = number + 1 < block.starts.size() ? block.starts[number + 1] : block.used;
  const char* at = block.bytes + start;
  Item item;
  std::memcpy(&item.lower_ino, at, sizeof(item.lower_ino));
  item.type = static_cast<unsigned char>(at[sizeof(item.lower_ino)]);
  item.name = {at + kHeadSize, end - start - kHeadSize};
  item.place = PlaceOf(item.name);
  return item;
}

size_t DirectoryListing::After(int64_t place) const {
  const auto found = std::upper_bound(
      order_.begin(), order_.end(), place,
      [this](int64_t value, uint32_t position) { return value < At(position).place; });
  return static_cast<size_t>(found - order_.begin());
}

size_t DirectoryListing::bytes() const {
  return blocks_.size() * sizeof(Block) + order_.size() * (sizeof(uint32_t) + sizeof(uint16_t));
}

}  // namespace strata::layerfs
