#include "layerfs/fuse/node_table.h"

#include <algorithm>

namespace strata::layerfs {

NodeTable::NodeTable(InodePtr root) {
  root->nodeid = kRootNode;
  slots_[kRootNode] = {{std::move(root), 0}, 1};
}

Node NodeTable::Find(uint64_t number) const {
  const std::lock_guard lock(mutex_);
  const auto found = slots_.find(number);
  return found == slots_.end() ? Node() : found->second.node;
}

uint64_t NodeTable::Acquire(const InodePtr& inode) {
  const uint32_t epoch = inode->epoch.load(std::memory_order_acquire);
  const std::lock_guard lock(mutex_);
  if (inode->nodeid == 0 || (inode->nodeid_epoch != epoch && inode->nodeid != kRootNode)) {
    inode->nodeid = next_++;
    inode->nodeid_epoch = epoch;
    slots_[inode->nodeid].node = {inode, epoch};
  }
  ++slots_[inode->nodeid].lookups;
  return inode->nodeid;
}

void NodeTable::Forget(uint64_t number, uint64_t lookups) {
  if (number == kRootNode) return;
  InodePtr released;  // Its destructor takes other locks.
  const std::lock_guard lock(mutex_);
  const auto found = slots_.find(number);
  if (found == slots_.end()) return;
  Slot& slot = found->second;
  slot.lookups -= std::min(lookups, slot.lookups);
  if (slot.lookups > 0) return;
  if (slot.node.inode->nodeid == number) slot.node.inode->nodeid = 0;
  released = std::move(slot.node.inode);
  slots_.erase(found);
}

size_t NodeTable::size() const {
  const std::lock_guard lock(mutex_);
  return slots_.size();
}

}  // namespace strata::layerfs
