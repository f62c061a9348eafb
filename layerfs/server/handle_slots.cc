#include "layerfs/server/handle_slots.h"

#include <algorithm>

namespace strata::layerfs {
namespace {

constexpr uint32_t kFirstSlot = 1;  // So that no handle is 0.

uint64_t HandleOf(uint32_t generation, uint32_t slot) { return uint64_t{generation} << 32 | slot; }

}  // namespace

HandleSlots::HandleSlots(ServerState& state)
    : state_(state), end_(std::max(kFirstSlot, state.header().handles_end.load())) {
  for (uint32_t slot = kFirstSlot; slot < end_; ++slot) {
    if (state_.handle(slot).node.load() == 0) free_.push_back(slot);
  }
}

uint64_t HandleSlots::Take(uint64_t node) {
  uint32_t slot;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else {
    if (end_ >= kHandlesMax) return 0;
    slot = end_++;
    state_.header().handles_end.store(end_);
  }
  HandleRecord& record = state_.handle(slot);
  record.node.store(node, std::memory_order_release);
  return HandleOf(record.generation, slot);
}

uint64_t HandleSlots::NodeOf(uint64_t handle) const {
  const uint32_t slot = SlotOf(handle);
  if (slot < kFirstSlot || slot >= end_) return 0;
  const HandleRecord& record = state_.handle(slot);
  return record.generation == handle >> 32 ? record.node.load(std::memory_order_relaxed) : 0;
}

uint64_t HandleSlots::Free(uint64_t handle) {
  const uint64_t node = NodeOf(handle);
  if (node == 0) return 0;
  HandleRecord& record = state_.handle(SlotOf(handle));
  record.node.store(0, std::memory_order_release);
  ++record.generation;
  free_.push_back(SlotOf(handle));
  return node;
}

std::vector<uint64_t> HandleSlots::InUse() const {
  std::vector<uint64_t> handles;
  for (uint32_t slot = kFirstSlot; slot < end_; ++slot) {
    const HandleRecord& record = state_.handle(slot);
    if (record.node.load() != 0) handles.push_back(HandleOf(record.generation, slot));
  }
  return handles;
}

}  // namespace strata::layerfs
