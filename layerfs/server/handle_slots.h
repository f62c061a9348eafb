// HandleSlots: which file handles of the kernel's are in use, by their records in the ServerState,
// so that the next server knows them. A handle is released once, though the kernel may ask for it
// again after a server died. Not thread-safe: the owner's mutex guards it and the records.
#pragma once

#include <cstdint>
#include <vector>

#include "layerfs/server/server_state.h"

namespace strata::layerfs {

class HandleSlots {
 public:
  explicit HandleSlots(ServerState& state);

  // A handle on node `node`; 0: too many are in use.
  uint64_t Take(uint64_t node);
  // The node's number; 0: the handle is not in use (any more).
  uint64_t NodeOf(uint64_t handle) const;
  // As NodeOf, and frees it.
  uint64_t Free(uint64_t handle);
  std::vector<uint64_t> InUse() const;

  // Below end().
  static uint32_t SlotOf(uint64_t handle) { return static_cast<uint32_t>(handle); }
  uint32_t end() const { return end_; }

 private:
  ServerState& state_;
  uint32_t end_;
  std::vector<uint32_t> free_;
};

}  // namespace strata::layerfs
