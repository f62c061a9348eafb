#include "layerfs/fuse/handle_table.h"

#include "common/log.h"

namespace strata::layerfs {
namespace {

constexpr uint32_t kFirstSlot = 1;  // So that no handle is 0.

uint32_t SlotOf(uint64_t handle) { return static_cast<uint32_t>(handle); }
uint64_t HandleOf(uint32_t generation, uint32_t slot) { return uint64_t{generation} << 32 | slot; }

}  // namespace

HandleTable::HandleTable(ServerState& state) : state_(state) {
  uint32_t end = state_.header().handles_end.load();
  if (end < kFirstSlot) state_.header().handles_end.store(end = kFirstSlot);
  files_.resize(end);
  for (uint32_t slot = kFirstSlot; slot < end; ++slot) {
    if (state_.handle(slot).node.load() == 0) free_.push_back(slot);
  }
}

bool HandleTable::IsLiveLocked(uint64_t handle) const {
  const uint32_t slot = SlotOf(handle);
  if (slot < kFirstSlot || slot >= files_.size()) return false;
  const HandleRecord& record = state_.handle(slot);
  return record.node.load(std::memory_order_relaxed) != 0 && record.generation == handle >> 32;
}

uint64_t HandleTable::Enter(OpenFile file) {
  const std::lock_guard lock(mutex_);
  uint32_t slot;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else {
    slot = static_cast<uint32_t>(files_.size());
    if (slot >= kHandlesMax) return 0;
    files_.emplace_back();
    state_.header().handles_end.store(slot + 1);
  }
  HandleRecord& record = state_.handle(slot);
  record.node.store(file.node, std::memory_order_release);
  files_[slot] = std::move(file);
  return HandleOf(record.generation, slot);
}

OpenFile HandleTable::Find(uint64_t handle) const {
  const std::lock_guard lock(mutex_);
  return IsLiveLocked(handle) ? files_[SlotOf(handle)] : OpenFile();
}

OpenFile HandleTable::Remove(uint64_t handle) {
  const std::lock_guard lock(mutex_);
  if (!IsLiveLocked(handle)) return OpenFile();
  const uint32_t slot = SlotOf(handle);
  OpenFile file = std::move(files_[slot]);
  files_[slot] = OpenFile();
  HandleRecord& record = state_.handle(slot);
  record.node.store(0, std::memory_order_release);
  ++record.generation;
  free_.push_back(slot);
  return file;
}

std::vector<HandleTable::Recorded> HandleTable::RecordedHandles() const {
  const std::lock_guard lock(mutex_);
  std::vector<Recorded> handles;
  for (uint32_t slot = kFirstSlot; slot < files_.size(); ++slot) {
    const HandleRecord& record = state_.handle(slot);
    const uint64_t node = record.node.load();
    if (node != 0) handles.push_back({HandleOf(record.generation, slot), node});
  }
  return handles;
}

void HandleTable::Adopt(uint64_t handle, OpenFile file) {
  const std::lock_guard lock(mutex_);
  CHECK(IsLiveLocked(handle));
  files_[SlotOf(handle)] = std::move(file);
}

}  // namespace strata::layerfs
