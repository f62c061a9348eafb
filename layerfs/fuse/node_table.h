// NodeTable: the kernel's node numbers. A number stands for one inode in one epoch of its data:
// after the data of an open file was replaced by copy-up, the inode gets a new number (and keeps
// st_ino), because the kernel wants one backing file per number while any open of it lasts. Numbers
// are never used twice. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "layerfs/fuse/inode.h"

namespace strata::layerfs {

inline constexpr uint64_t kRootNode = 1;

struct Node {
  InodePtr inode;  // Null: no such number.
  uint32_t epoch = 0;

  bool IsCurrent() const { return inode->epoch.load(std::memory_order_acquire) == epoch; }
};

class NodeTable {
 public:
  explicit NodeTable(InodePtr root);

  Node Find(uint64_t number) const;
  // The number of `inode` as it is now, with one more lookup of the kernel's on it.
  uint64_t Acquire(const InodePtr& inode);
  // The kernel drops `lookups` of them.
  void Forget(uint64_t number, uint64_t lookups);
  size_t size() const;

 private:
  struct Slot {
    Node node;
    uint64_t lookups = 0;
  };
  mutable std::mutex mutex_;  // Guards what follows and Inode::nodeid*; a leaf.
  std::unordered_map<uint64_t, Slot> slots_;
  uint64_t next_ = kRootNode + 1;
};

}  // namespace strata::layerfs
