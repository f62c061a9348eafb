// DirectoryListing: the entries of a directory as they were when it was read, in the order of their
// places. A name's place is its hash with the seed, so a reader goes on after a place in any later
// listing, of this server or of the next one, and sees each name once that was there all the time
// (POSIX, readdir): no listing needs to be kept for it. Places have 31 bits, because programs with
// a 32-bit off_t fail on larger ones. Of names with the same hash, which a directory of 10,000 has
// with a chance of 2 %, the later one has the next place: it moves when the other one goes, which a
// reader may notice who stopped between the two and whose listing was not kept.
//
// Entries are packed into blocks, 19 bytes and the name for each, so that a million of them take
// some 32 MB. Built by one thread, then constant.
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
  // Places of names are above those of "." and "..".
  static constexpr int64_t kFirstPlace = 3;

  explicit DirectoryListing(uint64_t seed) : seed_(seed) {}

  void Append(const DirectoryEntry& entry);
  // After the last Append.
  void Sort();

  size_t size() const { return keys_.size(); }
  // In order. The name is valid as long as the listing.
  struct Item {
    std::string_view name;
    uint64_t lower_ino;
    uint32_t type;
    int64_t place;
  };
  Item operator[](size_t i) const;
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

  struct Key {
    uint32_t place;
    uint32_t position;
  };

  Item At(uint32_t position) const;  // Without its place.
  uint32_t HashOf(std::string_view name) const;

  uint64_t seed_;
  size_t count_ = 0;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<Key> keys_;  // In the order of places.
};

}  // namespace strata::layerfs
