#include "layerfs/objects/object_nodes.h"

#include <algorithm>

namespace strata::layerfs {

uint64_t ObjectNodes::NumberOf(const Digest& digest) {
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof(number); ++i) number = number << 8 | digest.bytes()[i];
  return number;
}

ObjectNodePtr ObjectNodes::Acquire(const Digest& digest) {
  const uint64_t number = NumberOf(digest);
  if (number < kFirstObject) return nullptr;
  const std::lock_guard lock(mutex_);
  ObjectNodePtr& node = nodes_[number];
  if (node == nullptr) node = std::make_shared<ObjectNode>(digest);
  if (node->digest != digest) return nullptr;
  ++node->lookups;
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
  found->second->lookups -= std::min(lookups, found->second->lookups);
  if (found->second->lookups > 0) return;
  released = std::move(found->second);
  nodes_.erase(found);
}

size_t ObjectNodes::size() const {
  const std::lock_guard lock(mutex_);
  return nodes_.size();
}

}  // namespace strata::layerfs
