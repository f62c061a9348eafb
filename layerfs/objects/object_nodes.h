// ObjectNodes: the node numbers of the object mount. They are derived from names alone, so a server
// that takes a mount over needs no state of the one before:
//   1          the root
//   2 … 257    the directories 00 … ff
//   others     an object: the first 8 bytes of its digest, big-endian
// Digests whose first 8 bytes are below 258, and a second digest with the first 8 bytes of one that
// is in use, have no number (chance: none; an adversary who makes such a pair gets an error and
// never the other's bytes).
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

  uint64_t lookups = 0;  // The kernel's; guarded by ObjectNodes.
};
using ObjectNodePtr = std::shared_ptr<ObjectNode>;

class ObjectNodes {
 public:
  static uint64_t NumberOf(const Digest& digest);

  // The node of an object, with one more lookup of the kernel's on it; null when its number is
  // another's.
  ObjectNodePtr Acquire(const Digest& digest);
  // The kernel's numbers are unknown to a server that took over: null.
  ObjectNodePtr Find(uint64_t number) const;
  void Forget(uint64_t number, uint64_t lookups);
  size_t size() const;

 private:
  mutable std::mutex mutex_;  // Guards what follows and ObjectNode::lookups; a leaf.
  std::unordered_map<uint64_t, ObjectNodePtr> nodes_;
};

}  // namespace strata::layerfs
