// DirectoryListing: the entries of one open directory as they were when it was read, packed into
// blocks: 11 bytes and the name for each, so that a million entries take some 25 MB while the
// directory is open. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "layerfs/fuse/union_fs.h"

namespace strata::layerfs {

class DirectoryListing {
 public:
  void Clear() {
    blocks_.clear();
    size_ = 0;
  }
  void Append(const DirectoryEntry& entry) {
    const size_t needed = kHeadSize + entry.name.size();
    if (blocks_.empty() || blocks_.back()->used + needed > kBlockSize) {
      blocks_.push_back(std::make_unique<Block>());
      blocks_.back()->first = size_;
    }
    Block& block = *blocks_.back();
    block.starts.push_back(static_cast<uint16_t>(block.used));
    char* at = block.bytes + block.used;
    std::memcpy(at, &entry.lower_ino, sizeof(entry.lower_ino));
    at[sizeof(entry.lower_ino)] = static_cast<char>(entry.type);
    entry.name.copy(at + kHeadSize, entry.name.size());
    block.used += static_cast<uint32_t>(needed);
    ++size_;
  }
  size_t size() const { return size_; }
  DirectoryEntry operator[](size_t i) const {
    const auto after = std::upper_bound(
        blocks_.begin(), blocks_.end(), i,
        [](size_t index, const std::unique_ptr<Block>& block) { return index < block->first; });
    const Block& block = **(after - 1);
    const size_t number = i - block.first;
    const uint32_t start = block.starts[number];
    const uint32_t end = number + 1 < block.starts.size() ? block.starts[number + 1] : block.used;
    const char* at = block.bytes + start;
    DirectoryEntry entry;
    std::memcpy(&entry.lower_ino, at, sizeof(entry.lower_ino));
    entry.type = static_cast<unsigned char>(at[sizeof(entry.lower_ino)]);
    entry.name.assign(at + kHeadSize, end - start - kHeadSize);
    return entry;
  }

 private:
  static constexpr size_t kHeadSize = sizeof(uint64_t) + 1;
  // A small directory takes little; holds any name.
  static constexpr size_t kBlockSize = 4000;
  struct Block {
    size_t first = 0;  // Number of its first entry.
    uint32_t used = 0;
    std::vector<uint16_t> starts;
    char bytes[kBlockSize];
  };

  std::vector<std::unique_ptr<Block>> blocks_;
  size_t size_ = 0;
};

}  // namespace strata::layerfs
