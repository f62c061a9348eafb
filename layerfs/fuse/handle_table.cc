#include "layerfs/fuse/handle_table.h"

#include "common/log.h"

namespace strata::layerfs {

HandleTable::HandleTable(ServerState& state) : slots_(state) { files_.resize(slots_.end()); }

uint64_t HandleTable::Enter(OpenFile file) {
  const std::lock_guard lock(mutex_);
  const uint64_t handle = slots_.Take(file.node);
  if (handle == 0) return 0;
  files_.resize(slots_.end());
  files_[HandleSlots::SlotOf(handle)] = std::move(file);
  return handle;
}

OpenFile HandleTable::Find(uint64_t handle) const {
  const std::lock_guard lock(mutex_);
  return slots_.NodeOf(handle) != 0 ? files_[HandleSlots::SlotOf(handle)] : OpenFile();
}

OpenFile HandleTable::Remove(uint64_t handle) {
  const std::lock_guard lock(mutex_);
  if (slots_.Free(handle) == 0) return OpenFile();
  return std::exchange(files_[HandleSlots::SlotOf(handle)], OpenFile());
}

std::vector<HandleTable::Recorded> HandleTable::RecordedHandles() const {
  const std::lock_guard lock(mutex_);
  std::vector<Recorded> handles;
  for (const uint64_t handle : slots_.InUse()) handles.push_back({handle, slots_.NodeOf(handle)});
  return handles;
}

void HandleTable::Adopt(uint64_t handle, OpenFile file) {
  const std::lock_guard lock(mutex_);
  CHECK(slots_.NodeOf(handle) != 0);
  files_[HandleSlots::SlotOf(handle)] = std::move(file);
}

}  // namespace strata::layerfs
