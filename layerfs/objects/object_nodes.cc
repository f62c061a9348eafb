#include "layerfs/objects/object_nodes.h"

#include <algorithm>
#include <cstring>

namespace strata::layerfs {

ObjectNodes::ObjectNodes(ServerState& state)
    : state_(state), handles_(state), end_(state.header().nodes_end.load()) {
  Restore();
}

void ObjectNodes::Restore() {
  for (uint32_t slot = 0; slot < end_; ++slot) {
    const NodeRecord& record = state_.node(slot);
    if (record.use.load() == RecordUse::kFree) {
      free_.push_back(slot);
      continue;
    }
    Digest::Bytes bytes;
    std::memcpy(bytes.data(), record.handle, bytes.size());
    auto node = std::make_shared<ObjectNode>(Digest(bytes));
    node->slot = slot;
    node->backing_id = record.backing_id.load();
    if (const int fd = record.io_fd.load(); fd >= 0) {
      node->fd = std::make_shared<const UniqueFd>(fd);
    }
    nodes_[NumberOf(node->digest)] = std::move(node);
  }
  for (const uint64_t handle : handles_.InUse()) {
    const auto found = nodes_.find(handles_.NodeOf(handle));
    if (found != nodes_.end()) ++found->second->open_count;
  }
}

uint64_t ObjectNodes::NumberOf(const Digest& digest) {
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof(number); ++i) number = number << 8 | digest.bytes()[i];
  return number;
}

ObjectNodePtr ObjectNodes::Acquire(const Digest& digest) {
  const uint64_t number = NumberOf(digest);
  if (number < kFirstObject) return nullptr;
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(number);
  if (found != nodes_.end()) {
    if (found->second->digest != digest) return nullptr;
    ++state_.node(found->second->slot).lookups;
    return found->second;
  }
  if (free_.empty() && end_ == kNodesMax) return nullptr;
  auto node = std::make_shared<ObjectNode>(digest);
  if (free_.empty()) {
    node->slot = end_++;
    state_.header().nodes_end.store(end_);
  } else {
    node->slot = free_.back();
    free_.pop_back();
  }
  NodeRecord& record = state_.node(node->slot);
  static_assert(sizeof(record.handle) >= std::tuple_size_v<Digest::Bytes>);
  std::memcpy(record.handle, digest.bytes().data(), digest.bytes().size());
  record.lookups = 1;
  record.pinned_fd.store(-1, std::memory_order_relaxed);
  record.backing_id.store(0, std::memory_order_relaxed);
  record.io_fd.store(-1, std::memory_order_relaxed);
  record.use.store(RecordUse::kUsed, std::memory_order_release);
  nodes_[number] = node;
  return node;
}

ObjectNodePtr ObjectNodes::Find(uint64_t number) const {
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(number);
  return found == nodes_.end() ? nullptr : found->second;
}

void ObjectNodes::Forget(uint64_t number, uint64_t lookups) {
  ObjectNodePtr released;  // Closes its descriptor without the lock.
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(number);
  if (found == nodes_.end()) return;
  NodeRecord& record = state_.node(found->second->slot);
  record.lookups -= std::min(lookups, record.lookups);
  if (record.lookups > 0) return;
  record.use.store(RecordUse::kFree, std::memory_order_release);
  free_.push_back(found->second->slot);
  released = std::move(found->second);
  nodes_.erase(found);
}

void ObjectNodes::RecordOpen(const ObjectNode& node) {
  const std::lock_guard lock(mutex_);
  NodeRecord& record = state_.node(node.slot);
  record.backing_id.store(node.backing_id, std::memory_order_release);
  record.io_fd.store(node.fd == nullptr ? -1 : node.fd->get(), std::memory_order_release);
}

uint64_t ObjectNodes::OpenHandle(uint64_t number) {
  const std::lock_guard lock(mutex_);
  return handles_.Take(number);
}

ObjectNodePtr ObjectNodes::CloseHandle(uint64_t handle) {
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(handles_.Free(handle));
  return found == nodes_.end() ? nullptr : found->second;
}

size_t ObjectNodes::size() const {
  const std::lock_guard lock(mutex_);
  return nodes_.size();
}

}  // namespace strata::layerfs
