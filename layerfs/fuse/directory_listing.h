// DirectoryListing: the entries of a directory as they were when it was read, in the order of their
// places. A name's place is its hash with the seed, so a reader goes on after a place in any later
// listing, of this server or of the next one, and sees each name once that was there all the time
// (POSIX, readdir): no listing needs to be kept for it. Places have 31 bits, because programs with
// a 32-bit off_t fail on larger ones. Of names with the same hash, which a directory of 10,000 has
// with a chance of 2 %, the later one has the next place: it moves when the other one goes, which a
// reader may notice who stopped between the two and whose listing was not kept.
//
// Entries are packed into blocks, 18 bytes and the name for each, so that a million of them take
// some 30 MB, which go back to the kernel with the listing. Built by one thread, then constant.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "layerfs/fuse/mapped_allocator.h"
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
  static constexpr uint32_t kOffsetBits = 20;
  // In front of a name: the number of the lower inode, the type, and how long the name is.
  static constexpr size_t kHeadSize = sizeof(uint64_t) + 2;
  static constexpr size_t kNameMax = 255;
  // Each block is twice as large as the one before: a small directory takes little.
  static constexpr size_t kFirstBlockSize = size_t{4} << 10;
  static constexpr size_t kBlockSizeMax = size_t{1} << kOffsetBits;
  static_assert(kHeadSize + kNameMax <= kFirstBlockSize);
  using Block = std::vector<char, MappedAllocator<char>>;

  struct Key {
    uint32_t place;
    uint32_t position;  // The block's number, and the entry's offset in it.
  };

  Item At(uint32_t position) const;  // Without its place.
  uint32_t HashOf(std::string_view name) const;

  uint64_t seed_;
  size_t count_ = 0;
  std::vector<Block> blocks_;  // Their capacity is all they get: entries do not move.
  std::vector<Key, MappedAllocator<Key>> keys_;  // In the order of places.
};

}  // namespace strata::layerfs
