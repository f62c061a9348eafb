#include "layerfs/fuse/node_table.h"

#include <algorithm>
#include <cstring>

#include "common/log.h"

namespace strata::layerfs {
namespace {

uint64_t NumberOf(uint32_t generation, uint32_t slot) { return uint64_t{generation} << 32 | slot; }

void FillUpper(const UpperRef& upper, NodeRecord* record) {
  record->upper_ino.store(0, std::memory_order_release);
  record->handle_type = upper.handle_type;
  record->handle_size = upper.handle_size;
  std::memcpy(record->handle, upper.handle.data(), sizeof(record->handle));
  record->pinned_fd.store(upper.pinned == nullptr ? -1 : upper.pinned->get(),
                          std::memory_order_release);
  record->upper_ino.store(upper.ino, std::memory_order_release);
}

}  // namespace

NodeTable::NodeTable(InodePtr root, ServerState& state) : state_(state) {
  root->nodeid = kRootNode;
  inodes_.resize(kRootNode + 1);
  inodes_[kRootNode] = std::move(root);
  NodeRecord& record = state_.node(kRootNode);
  record.lookups = 1;
  record.use.store(RecordUse::kUsed, std::memory_order_release);
  const uint32_t end = state_.header().nodes_end.load();
  if (end == 0) state_.header().nodes_end.store(kRootNode + 1);
  inodes_.resize(std::max<size_t>(end, kRootNode + 1));
  for (uint32_t slot = kRootNode + 1; slot < end; ++slot) {
    if (state_.node(slot).use.load() == RecordUse::kFree) {
      free_.push_back(slot);
    } else {
      ++used_;
    }
  }
}

NodeRecord* NodeTable::RecordLocked(uint64_t number) const {
  const uint32_t slot = SlotOf(number);
  if (slot >= inodes_.size() || slot < kRootNode) return nullptr;
  NodeRecord& record = state_.node(slot);
  if (record.generation != number >> 32) return nullptr;
  return record.use.load(std::memory_order_relaxed) == RecordUse::kUsed ? &record : nullptr;
}

Node NodeTable::Find(uint64_t number) const {
  const std::lock_guard lock(mutex_);
  const NodeRecord* record = RecordLocked(number);
  return record == nullptr ? Node() : Node{inodes_[SlotOf(number)], record->epoch};
}

uint64_t NodeTable::NewNumberLocked() {
  if (!free_.empty()) {
    const uint32_t slot = free_.back();
    free_.pop_back();
    return NumberOf(state_.node(slot).generation, slot);
  }
  const auto slot = static_cast<uint32_t>(inodes_.size());
  if (slot >= kNodesMax) return 0;
  inodes_.emplace_back();
  state_.header().nodes_end.store(slot + 1);
  return NumberOf(state_.node(slot).generation, slot);
}

void NodeTable::FillLocked(uint64_t number, const Inode& inode, const UpperRef& upper) {
  NodeRecord& record = state_.node(SlotOf(number));
  record.lookups = 0;
  record.st_ino = inode.st_ino;
  record.lower = inode.lower ? *inode.lower + 1 : 0;
  record.file_type = inode.type;
  record.epoch = inode.nodeid_epoch;
  record.backing_id.store(0, std::memory_order_relaxed);
  record.io_fd.store(-1, std::memory_order_relaxed);
  record.open_below.store(0, std::memory_order_relaxed);
  FillUpper(upper, &record);
  record.use.store(RecordUse::kUsed, std::memory_order_release);
}

uint64_t NodeTable::Acquire(const InodePtr& inode) {
  // Both together: a change of the upper is recorded by whoever comes second.
  const std::lock_guard inode_lock(inode->mutex);
  const uint32_t epoch = inode->epoch.load(std::memory_order_acquire);
  const std::lock_guard lock(mutex_);
  if (inode->nodeid == 0 || (inode->nodeid_epoch != epoch && inode->nodeid != kRootNode)) {
    const uint64_t number = NewNumberLocked();
    if (number == 0) return 0;
    if (inode->nodeid != 0) older_.emplace(inode.get(), inode->nodeid);
    inode->nodeid = number;
    inode->nodeid_epoch = epoch;
    inodes_[SlotOf(number)] = inode;
    ++used_;
    FillLocked(number, *inode, inode->upper);
  }
  ++state_.node(SlotOf(inode->nodeid)).lookups;
  return inode->nodeid;
}

uint64_t NodeTable::LastNumberOf(const InodePtr& inode) const {
  const std::lock_guard lock(mutex_);
  return inode->nodeid;
}

void NodeTable::FreeLocked(uint64_t number) {
  NodeRecord& record = state_.node(SlotOf(number));
  record.use.store(RecordUse::kFree, std::memory_order_release);
  ++record.generation;
  free_.push_back(SlotOf(number));
  --used_;
}

void NodeTable::Forget(uint64_t number, uint64_t lookups) {
  if (number == kRootNode) return;
  InodePtr released;  // Its destructor takes other locks.
  const std::lock_guard lock(mutex_);
  NodeRecord* record = RecordLocked(number);
  if (record == nullptr) return;
  record->lookups -= std::min(lookups, record->lookups);
  if (record->lookups > 0) return;
  released = std::move(inodes_[SlotOf(number)]);
  FreeLocked(number);
  if (released == nullptr) return;
  if (released->nodeid == number) {
    released->nodeid = 0;
    return;
  }
  const auto [first, last] = older_.equal_range(released.get());
  const auto found =
      std::find_if(first, last, [&](const auto& entry) { return entry.second == number; });
  if (found != last) older_.erase(found);
}

size_t NodeTable::size() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

void NodeTable::RecordOpen(uint64_t number, const OpenState* open, bool below) {
  const std::lock_guard lock(mutex_);
  NodeRecord* record = RecordLocked(number);
  if (record == nullptr) return;
  record->backing_id.store(open == nullptr ? 0 : open->backing_id, std::memory_order_release);
  const bool has_fd = open != nullptr && open->fd != nullptr;
  record->io_fd.store(has_fd ? open->fd->get() : -1, std::memory_order_release);
  record->open_below.store(below ? 1 : 0, std::memory_order_release);
}

void NodeTable::UpperChanged(const Inode& inode) {
  const std::lock_guard lock(mutex_);
  if (inode.nodeid != 0 && inode.nodeid != kRootNode) {
    FillUpper(inode.upper, &state_.node(SlotOf(inode.nodeid)));
  }
  const auto [first, last] = older_.equal_range(&inode);
  for (auto entry = first; entry != last; ++entry) {
    FillUpper(inode.upper, &state_.node(SlotOf(entry->second)));
  }
}

std::vector<uint64_t> NodeTable::RecordedNumbers() const {
  const std::lock_guard lock(mutex_);
  std::vector<uint64_t> numbers;
  for (uint32_t slot = kRootNode + 1; slot < inodes_.size(); ++slot) {
    const NodeRecord& record = state_.node(slot);
    if (record.use.load() == RecordUse::kUsed) {
      numbers.push_back(NumberOf(record.generation, slot));
    }
  }
  return numbers;
}

void NodeTable::Adopt(uint64_t number, const InodePtr& inode) {
  const std::lock_guard lock(mutex_);
  NodeRecord* record = RecordLocked(number);
  CHECK(record != nullptr);
  inodes_[SlotOf(number)] = inode;
  FillUpper(inode->upper, record);
  if (inode->nodeid == 0) {
    inode->nodeid = number;
    inode->nodeid_epoch = record->epoch;
    return;
  }
  uint64_t older = number;
  if (record->epoch > inode->nodeid_epoch) {
    older = inode->nodeid;
    inode->nodeid = number;
    inode->nodeid_epoch = record->epoch;
  }
  older_.emplace(inode.get(), older);
}

}  // namespace strata::layerfs
