// What has changed of a part is written to its file, and told to the listener.
#include "common/log.h"
#include "vclusterd/host/host_nodes.h"

namespace strata::vcluster {

void HostNodes::EndJob(const PartPtr& part) {
  {
    const std::lock_guard lock(part->mutex);
    --part->jobs;
  }
  Tell(part);
}

void HostNodes::Tell(const PartPtr& part) {
  SyncTasks(part);
  const std::lock_guard told(part->told);
  std::optional<host::v1::HostPart> file;
  bool gone = false;
  uint32_t number = 0;
  uint64_t changes = 0;
  {
    const std::lock_guard lock(part->mutex);
    if (part->removed) return;
    number = part->order.number();
    changes = part->changes;
    gone = part->jobs == 0 && part->nodes.empty() && part->order.nodes().empty();
    if (part->jobs == 0 && changes != part->written) file = FileOf(*part);
  }
  Status written = Ok();
  if (gone) {
    // Its bridge goes while the number is still taken.
    written = UpdateNetwork();
    if (written.ok()) written = store_.Remove(number);
  } else if (file.has_value()) {
    written = store_.Write(*file, [this] { return life_->Sync(); });  // It says what is made, too.
  }
  {
    const std::lock_guard lock(mutex_);
    const std::lock_guard part_lock(part->mutex);
    for (const auto& [index, node] : part->nodes) {
      if (node->state != host::v1::READY) continue;
      node->problem = written.ok() ? std::nullopt : std::optional<Error>(written.error());
    }
    if (!written.ok()) {
      LOG_ERROR("part " + std::to_string(number) + ": " + written.error().message());
      chores_.Push([this, part] { Tell(part); }, config_.restart_pause);
    } else if (gone) {
      part->removed = true;
      removed_[number] = part->order.revision();
      parts_.erase(number);
    } else if (file.has_value()) {
      part->written = changes;
    }
  }
  size_t output_left = kMessageOutputBytesMax;
  listener_(StatusOf(part, /*with_usage=*/false, &output_left));
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

}  // namespace strata::vcluster
