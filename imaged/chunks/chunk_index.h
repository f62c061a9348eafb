// ChunkIndex: where, in objects that are held, a chunk lies. Made for one transfer, of the objects
// that its user may read.
//
// Memory: 32 bytes per chunk, of at most a million chunks (64 GB of objects). Used by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "common/cancel.h"
#include "common/digest.h"
#include "common/result.h"
#include "imaged/chunks/chunk_lists.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

class ChunkIndex {
 public:
  struct Held {
    Digest digest;
    uint64_t size_bytes = 0;
  };
  struct Place {
    uint32_t object = 0;  // For Open.
    uint64_t offset = 0;
  };

  // The objects stay while it lives: claimed by the caller. Both others must outlive it.
  ChunkIndex(const ObjectStore& store, const ChunkLists& lists, std::vector<Held> held)
      : store_(store), lists_(lists), held_(std::move(held)) {}

  // Reads the lists, in the order of `held`. Objects without one are cut, until `cut_bytes_max` of
  // them were: the next transfer goes on. `alive` is called now and then. What cannot be read is
  // passed over. kCancelled.
  Status Load(uint64_t cut_bytes_max, const CancelToken& cancel,
              const std::function<void()>& alive);

  bool empty() const { return entries_.empty(); }
  std::optional<Place> Find(const Chunk& chunk) const;
  const Held& object(uint32_t number) const { return held_[number]; }
  Result<UniqueFd> Open(uint32_t object) const { return store_.OpenObject(held_[object].digest); }

 private:
  struct Entry {
    ChunkId id;
    uint32_t object = 0;
    uint32_t size_bytes = 0;
    uint64_t offset = 0;
  };

  const ObjectStore& store_;
  const ChunkLists& lists_;
  const std::vector<Held> held_;
  std::vector<Entry> entries_;  // Sorted by id after Load.
};

}  // namespace strata::imaged
