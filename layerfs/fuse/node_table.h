// NodeTable: the kernel's node numbers. A number stands for one inode in one epoch of its data:
// after the data of an open file was replaced by copy-up, the inode gets a new number (and keeps
// st_ino), because the kernel wants one backing file per number while any open of it lasts. Numbers
// are never used twice.
//
// What the numbers stand for is kept in the ServerState too, for the next server. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "layerfs/fuse/inode.h"
#include "layerfs/server/server_state.h"

namespace strata::layerfs {

inline constexpr uint64_t kRootNode = 1;

struct Node {
  InodePtr inode;  // Null: no such number.
  uint32_t epoch = 0;

  bool IsCurrent() const { return inode->epoch.load(std::memory_order_acquire) == epoch; }
};

class NodeTable : public UpperObserver {
 public:
  // The numbers that `state` holds are empty until Adopt gives them their inodes.
  NodeTable(InodePtr root, ServerState& state);

  Node Find(uint64_t number) const;
  // The number of `inode` as it is now, with one more lookup of the kernel's on it. 0: the kernel
  // holds too many.
  uint64_t Acquire(const InodePtr& inode);
  // The number that the kernel got last for `inode`; 0: none.
  uint64_t LastNumberOf(const InodePtr& inode) const;
  // The kernel drops `lookups` of them.
  void Forget(uint64_t number, uint64_t lookups);
  size_t size() const;

  // The open files of `number`, for the next server: before the kernel is told of the first, and
  // (null) before the last one's descriptors are closed.
  void RecordOpen(uint64_t number, const OpenState* open, bool below);
  // The inode's way to its upper one has changed.
  void UpperChanged(const Inode& inode) override;

  // A number of an earlier server. REQUIRES: the state has it, and nobody else uses the table.
  void Adopt(uint64_t number, const InodePtr& inode);
  // All numbers of the state but the root's.
  std::vector<uint64_t> RecordedNumbers() const;

  static uint32_t SlotOf(uint64_t number) { return static_cast<uint32_t>(number); }

 private:
  NodeRecord* RecordLocked(uint64_t number) const;
  uint64_t NewNumberLocked();
  void FillLocked(uint64_t number, const Inode& inode, const UpperRef& upper);
  void FreeLocked(uint64_t number);

  mutable std::mutex mutex_;  // Guards what follows, the records and Inode::nodeid*; a leaf.
  ServerState& state_;
  std::vector<InodePtr> inodes_;  // By slot.
  std::vector<uint32_t> free_;
  size_t used_ = 1;
  // Numbers of earlier epochs, which open files still use.
  std::unordered_multimap<const Inode*, uint64_t> older_;
};

}  // namespace strata::layerfs
