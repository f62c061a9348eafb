// DirectoryListing: the entries of a directory as they were when it was read, in the order of their
// places. A name's place depends on the name and the seed alone, so a reader goes on after a place
// in any later listing, of this server or of the next one, and sees each name once that was there
// all the time: no listing needs to be kept for it (POSIX, readdir). Names with the same place
// belong into one answer.
//
// Entries are packed into blocks, 15 bytes and the name for each, so that a million of them take
// some 26 MB. Built by one thread, then constant.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "layerfs/fuse/union_fs.h"

namespace strata::layerfs {

class DirectoryListing {
 public:
  // Places of names are above these of "." and "..", and positive offsets for the kernel.
  static constexpr int64_t kFirstPlace = 3;

  explicit DirectoryListing(uint64_t seed) : seed_(seed) {}

  void Append(const DirectoryEntry& entry);
  // After the last Append.
  void Sort();

  size_t size() const { return order_.size(); }
  // In order. The name is valid as long as the listing.
  struct Item {
    std::string_view name;
    uint64_t lower_ino;
    uint32_t type;
    int64_t place;
  };
  Item operator[](size_t i) const { return At(order_[i]); }
  // The first entry with a place above `place`; size() when there is none.
  size_t After(int64_t place) const;
  size_t bytes() const;

 private:
  static constexpr size_t kHeadSize = sizeof(uint64_t) + 1;
  // A small directory takes little; holds any name.
  static constexpr size_t kBlockSize = 4000;
  struct Block {
    uint32_t used = 0;
    std::vector<uint16_t> starts;
    char bytes[kBlockSize];
  };
  // Where an entry is: the block's number and the entry's in it.
  static constexpr uint32_t kBlockBits = 23;
  static_assert(kBlockSize / kHeadSize < (1u << (32 - kBlockBits)));

  Item At(uint32_t position) const;
  int64_t PlaceOf(std::string_view name) const;

  uint64_t seed_;
  size_t count_ = 0;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<uint32_t> order_;
};

}  // namespace strata::layerfs
