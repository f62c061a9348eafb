// Nodes that must not run while no master is heard.
#include "common/log.h"
#include "common/parallel.h"
#include "vclusterd/host/host_nodes.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::seconds kPauseWait(5);
constexpr size_t kPauseThreads = 16;

}  // namespace

void HostNodes::PauseFenced() {
  std::vector<std::pair<PartPtr, uint32_t>> fenced;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, part] : parts_) {
      const std::lock_guard part_lock(part->mutex);
      for (const host::v1::NodeOrder& order : part->order.nodes()) {
        if (!order.fenced()) continue;
        // First of all none of them may start any more.
        const auto node = part->nodes.find(order.index());
        if (node == part->nodes.end()) continue;
        node->second->held = true;
        fenced.emplace_back(part, order.index());
      }
    }
  }
  const auto pause = [&](size_t i) -> Status {
    const auto& [part, index] = fenced[i];
    Job job;
    {
      const std::lock_guard lock(part->mutex);
      const auto found = part->nodes.find(index);
      if (found == part->nodes.end()) return Ok();
      // What is about to be made or started looks at `held` itself.
      if (!found->second->record.has_value()) return Ok();
      job = TakeJob(part, found->second, index);
    }
    // A save may hold it.
    const std::unique_lock working(job.node->work, kPauseWait);
    {
      const std::lock_guard lock(part->mutex);
      job.record = job.node->record;
      if (!job.node->held || job.node->state == host::v1::PAUSED) return Ok();
    }
    if (!job.record.has_value()) return Ok();
    if (working.owns_lock()) {
      PauseNode(job);
    } else if (const auto init = OpenProcess(job.record->init); init.ok()) {
      LOG_WARNING("node " + job.id + " is killed: no master is heard, and a save holds it");
      KillProcess(*init);
    }
    Tell(part);
    return Ok();
  };
  Status paused = ParallelFor(fenced.size(), pause, kPauseThreads);
  if (!paused.ok()) LOG_ERROR(paused.error().message());
}

Status HostNodes::CheckNotHeld(const Job& job) {
  const std::lock_guard lock(job.part->mutex);
  if (!job.node->held && job.node->state != host::v1::PAUSED) return Ok();
  return Error(Code::kUnavailable, "node " + job.id + " is paused: its host hears no master");
}

// REQUIRES: its `work` is held.
void HostNodes::PauseNode(const Job& job) {
  const Status frozen = life_->runtime().Freeze(*job.record);
  if (!frozen.ok()) {
    // It must not run on: another one may.
    LOG_ERROR("node " + job.id + " cannot be paused and is killed: " + frozen.error().message());
    if (const auto init = OpenProcess(job.record->init); init.ok()) KillProcess(*init);
    return;
  }
  LOG_WARNING("node " + job.id + " is paused: no master is heard");
  const std::lock_guard lock(job.part->mutex);
  job.node->state = host::v1::PAUSED;
  job.node->disturbed = true;
  job.node->problem = Error(Code::kUnavailable, "paused: its host heard no master");
}

}  // namespace strata::vcluster
