// ObjectNodes: the node numbers and file handles of the object mount. Numbers are derived from
// names alone:
//   1          the root
//   2 … 257    the directories 00 … ff
//   others     an object: the first 8 bytes of its digest, big-endian
// Digests whose first 8 bytes are below 258, and a second digest with the first 8 bytes of one that
// is in use, have no number (chance: none; an adversary who makes such a pair gets an error and
// never the other's bytes).
//
// What the kernel knows is recorded in the ServerState, digests in the place of upper handles: a
// server that takes a mount over begins with the nodes and open files of the one before.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "common/digest.h"
#include "common/unique_fd.h"
#include "layerfs/server/handle_slots.h"

namespace strata::layerfs {

inline constexpr uint64_t kObjectsRoot = 1;
inline constexpr uint64_t kFirstDirectory = 2;
inline constexpr uint64_t kFirstObject = kFirstDirectory + 256;

struct ObjectNode {
  explicit ObjectNode(const Digest& name) : digest(name) {}
  const Digest digest;

  std::mutex mutex;         // Guards what follows.
  uint64_t open_count = 0;  // Files that share one backing file, while there are any.
  int32_t backing_id = 0;   // 0: reads come to us, through `fd`.
  std::shared_ptr<const UniqueFd> fd;

  uint32_t slot = 0;  // Of its record; guarded by ObjectNodes, as the number of lookups in it.
};
using ObjectNodePtr = std::shared_ptr<ObjectNode>;

class ObjectNodes {
 public:
  explicit ObjectNodes(ServerState& state);

  static uint64_t NumberOf(const Digest& digest);

  // The node of an object, with one more lookup of the kernel's on it; null when its number is
  // another's, or the kernel knows too many.
  ObjectNodePtr Acquire(const Digest& digest);
  ObjectNodePtr Find(uint64_t number) const;
  void Forget(uint64_t number, uint64_t lookups);

  // What the node's open files share, for the next server: before the first is opened, and (with
  // nothing in it) before the last one's descriptor is closed. REQUIRES: node.mutex held.
  void RecordOpen(const ObjectNode& node);
  // A file handle on the node; 0: too many.
  uint64_t OpenHandle(uint64_t number);
  // Its node; null when it was closed before (by a server that died).
  ObjectNodePtr CloseHandle(uint64_t handle);
  size_t size() const;

 private:
  void Restore();

  mutable std::mutex mutex_;  // Guards what follows and the records; a leaf.
  ServerState& state_;
  HandleSlots handles_;
  std::unordered_map<uint64_t, ObjectNodePtr> nodes_;
  std::vector<uint32_t> free_;
  uint32_t end_ = 0;
};

}  // namespace strata::layerfs
