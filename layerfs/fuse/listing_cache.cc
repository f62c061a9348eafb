#include "layerfs/fuse/listing_cache.h"

#include <algorithm>

namespace strata::layerfs {

ListingCache::KeptList::iterator ListingCache::FindLocked(const InodePtr& dir) {
  return std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return !kept.dir.owner_before(dir) && !dir.owner_before(kept.dir);
  });
}

ListingCache::ListingPtr ListingCache::Find(const InodePtr& dir) {
  const std::lock_guard lock(mutex_);
  const auto found = FindLocked(dir);
  const Clock::time_point now = Clock::now();
  if (found == kept_.end() || now - found->used > kUnusedMax) return nullptr;
  found->used = now;
  kept_.splice(kept_.begin(), kept_, found);
  return kept_.front().listing;
}

void ListingCache::Put(const InodePtr& dir, ListingPtr listing) {
  KeptList dropped;  // After the lock: a listing may be long.
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  const auto drop = [&](KeptList::iterator at) { dropped.splice(dropped.end(), kept_, at); };
  if (const auto older = FindLocked(dir); older != kept_.end()) drop(older);
  kept_.push_front({dir, std::move(listing), now});
  size_t count = 0;
  size_t bytes = 0;
  for (auto at = kept_.begin(); at != kept_.end();) {
    const auto kept = at++;
    bytes += kept->listing->bytes();
    const bool is_newest = count++ == 0;
    const bool too_many = count > kListingsMax || bytes > kBytesMax;
    if (!is_newest && (too_many || now - kept->used > kUnusedMax)) drop(kept);
  }
}

void ListingCache::Drop(const InodePtr& dir) {
  KeptList dropped;
  const std::lock_guard lock(mutex_);
  if (const auto found = FindLocked(dir); found != kept_.end()) {
    dropped.splice(dropped.end(), kept_, found);
  }
}

}  // namespace strata::layerfs
