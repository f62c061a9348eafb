#include "vclusterd/master/volume_keeper.h"

#include <utility>

#include "common/log.h"

namespace strata::vcluster {

VolumeKeeper::VolumeKeeper(std::optional<SharedDir> shared, std::string id,
                           std::optional<Error> problem)
    : shared_(std::move(shared)), id_(std::move(id)), problem_(std::move(problem)) {
  if (Usable().ok()) EmptyTrash();  // Of a master before this one.
}

VolumeKeeper::~VolumeKeeper() {
  closing_.Cancel();
  discards_.Close();
  emptying_.Close();
}

Status VolumeKeeper::Usable() const {
  if (problem_.has_value()) return *problem_;
  if (shared_.has_value()) return Ok();
  return Error(Code::kUnsupported,
               "volumes: there is no place for them here: start vclusterd (on several hosts its "
               "masters and all workers) with --shared-dir");
}

void VolumeKeeper::Discard(const std::string& directory, std::function<void(const Status&)> done) {
  discards_.Push([this, directory, done = std::move(done)] {
    Status discarded = Usable();
    if (discarded.ok()) discarded = shared_->Discard(directory);
    if (discarded.ok()) EmptyTrash();
    done(discarded);
  });
}

void VolumeKeeper::EmptyTrash() {
  emptying_.Push([this] {
    const Status emptied = shared_->EmptyTrash(closing_);
    if (emptied.ok() || emptied.error().code() == Code::kCancelled) return;
    LOG_WARNING("volumes that were deleted still take space: " + emptied.error().message());
  });
}

}  // namespace strata::vcluster
