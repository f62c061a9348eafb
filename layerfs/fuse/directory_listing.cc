#include "layerfs/fuse/directory_listing.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "common/log.h"

namespace strata::layerfs {

uint32_t DirectoryListing::HashOf(std::string_view name) const {
  return static_cast<uint32_t>(XXH3_64bits_withSeed(name.data(), name.size(), seed_) >> 33);
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
  keys_.reserve(count_);
  for (uint32_t block = 0; block < blocks_.size(); ++block) {
    for (uint32_t number = 0; number < blocks_[block]->starts.size(); ++number) {
      const uint32_t position = number << kBlockBits | block;
      keys_.push_back({HashOf(At(position).name), position});
    }
  }
  std::sort(keys_.begin(), keys_.end(), [this](const Key& a, const Key& b) {
    if (a.place != b.place) return a.place < b.place;
    return At(a.position).name < At(b.position).name;
  });
  uint32_t next = kFirstPlace;
  for (Key& key : keys_) {
    key.place = std::max(key.place, next);
    next = key.place + 1;
  }
}

DirectoryListing::Item DirectoryListing::operator[](size_t i) const {
  Item item = At(keys_[i].position);
  item.place = keys_[i].place;
  return item;
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
  item.place = 0;
  return item;
}

size_t DirectoryListing::After(int64_t place) const {
  const auto found =
      std::upper_bound(keys_.begin(), keys_.end(), place,
                       [](int64_t value, const Key& key) { return value < key.place; });
  return static_cast<size_t>(found - keys_.begin());
}

size_t DirectoryListing::bytes() const {
  return blocks_.size() * sizeof(Block) + keys_.size() * (sizeof(Key) + sizeof(uint16_t));
}

}  // namespace strata::layerfs
