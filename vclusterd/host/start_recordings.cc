#include "vclusterd/host/start_recordings.h"

#include "common/log.h"

namespace strata::vcluster {

void StartRecordings::Begin(const std::string& tree_path, const std::string& lease, int root,
                            const std::string& mountpoint) {
  if (time_.count() == 0) return;
  const std::lock_guard lock(mutex_);
  std::erase_if(recorders_, [](const auto& entry) { return entry.second->ended(); });
  if (recorders_.contains(tree_path)) return;
  auto recorder = layerfs::StartRecorder::Begin(
      root, time_, mountpoint, [this, lease](const std::vector<std::string>& paths) {
        const Status told = images_.RecordStart(lease, paths);
        // The node may be gone by now, and its lease with it.
        if (!told.ok()) LOG_DEBUG("what a start opened: " + told.error().message());
      });
  if (!recorder.ok()) {
    LOG_DEBUG(recorder.error().message());
    return;
  }
  recorders_.emplace(tree_path, std::move(*recorder));
}

}  // namespace strata::vcluster
