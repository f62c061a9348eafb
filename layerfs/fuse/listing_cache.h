// ListingCache: the listings of directories that are being read. The kernel does not open
// directories here (no_opendir), so nobody says when a reader has ended: the last used ones are
// kept, within limits. Losing one costs its reader another listing and nothing else.
// Thread-safe.
#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <mutex>

#include "layerfs/fuse/directory_listing.h"

namespace strata::layerfs {

class ListingCache {
 public:
  static constexpr size_t kListingsMax = 32;
  static constexpr size_t kBytesMax = size_t{256} << 20;
  static constexpr std::chrono::seconds kUnusedMax{10};
  using ListingPtr = std::shared_ptr<const DirectoryListing>;

  // Null: none is kept, or it is old.
  ListingPtr Find(const InodePtr& dir);
  // In the place of an older one.
  void Put(const InodePtr& dir, ListingPtr listing);
  void Drop(const InodePtr& dir);

 private:
  using Clock = std::chrono::steady_clock;
  struct Kept {
    std::weak_ptr<Inode> dir;
    ListingPtr listing;
    Clock::time_point used;
  };
  using KeptList = std::list<Kept>;

  KeptList::iterator FindLocked(const InodePtr& dir);

  std::mutex mutex_;  // Guards kept_; a leaf.
  KeptList kept_;     // Most recently used first.
};

}  // namespace strata::layerfs
