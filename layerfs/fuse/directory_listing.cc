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
  CHECK(entry.name.size() <= kNameMax);
  const size_t needed = kHeadSize + entry.name.size();
  if (blocks_.empty() || blocks_.back().size() + needed > blocks_.back().capacity()) {
    CHECK(blocks_.size() < (1u << (32 - kOffsetBits)));
    const size_t size =
        blocks_.empty() ? kFirstBlockSize : std::min(2 * blocks_.back().capacity(), kBlockSizeMax);
    blocks_.emplace_back().reserve(size);
  }
  Block& block = blocks_.back();
  char head[kHeadSize];
  std::memcpy(head, &entry.lower_ino, sizeof(entry.lower_ino));
  head[kHeadSize - 2] = static_cast<char>(entry.type);
  head[kHeadSize - 1] = static_cast<char>(entry.name.size());
  block.insert(block.end(), head, head + kHeadSize);
  block.insert(block.end(), entry.name.begin(), entry.name.end());
  ++count_;
}

void DirectoryListing::Sort() {
  keys_.reserve(count_);
  for (uint32_t block = 0; block < blocks_.size(); ++block) {
    for (uint32_t offset = 0; offset < blocks_[block].size();) {
      const uint32_t position = block << kOffsetBits | offset;
      const std::string_view name = At(position).name;
      keys_.push_back({HashOf(name), position});
      offset += static_cast<uint32_t>(kHeadSize + name.size());
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
  const char* at = &blocks_[position >> kOffsetBits][position & (kBlockSizeMax - 1)];
  Item item;
  std::memcpy(&item.lower_ino, at, sizeof(item.lower_ino));
  item.type = static_cast<unsigned char>(at[kHeadSize - 2]);
  item.name = {at + kHeadSize, static_cast<unsigned char>(at[kHeadSize - 1])};
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
  size_t bytes = keys_.size() * sizeof(Key);
  for (const Block& block : blocks_) bytes += block.capacity();
  return bytes;
}

}  // namespace strata::layerfs
