// HandleTable: the file handles of a root that the kernel holds. A handle stands for one open file.
// Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "layerfs/fuse/inode.h"
#include "layerfs/server/handle_slots.h"

namespace strata::layerfs {

struct OpenFile {
  InodePtr inode;  // Null: no such handle.
  std::shared_ptr<OpenState> state;
  uint64_t node = 0;  // The number that was opened.
};

class HandleTable {
 public:
  // The handles that `state` holds are empty until Adopt gives them their files.
  explicit HandleTable(ServerState& state);

  // 0: too many files are open.
  uint64_t Enter(OpenFile file);
  OpenFile Find(uint64_t handle) const;
  // Null when it is gone already: a server that died may have begun with its release.
  OpenFile Remove(uint64_t handle);

  struct Recorded {
    uint64_t handle = 0;
    uint64_t node = 0;
  };
  std::vector<Recorded> RecordedHandles() const;
  void Adopt(uint64_t handle, OpenFile file);

 private:
  mutable std::mutex mutex_;  // Guards what follows; a leaf.
  HandleSlots slots_;
  std::vector<OpenFile> files_;  // By slot.
};

}  // namespace strata::layerfs
