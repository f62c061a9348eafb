// What nodes use, looked at now and then.
#include "common/log.h"
#include "vclusterd/host/host_nodes.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t PerSecond(uint64_t before, uint64_t after, double seconds) {
  return after > before ? static_cast<uint64_t>(static_cast<double>(after - before) / seconds) : 0;
}

}  // namespace

void HostNodes::SampleLater() {
  if (config_.usage_every.count() == 0) return;
  waiters_.Push(
      [this] {
        SampleAll();
        SampleLater();
      },
      config_.usage_every);
}

void HostNodes::SampleAll() {
  std::vector<PartPtr> parts;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, part] : parts_) parts.push_back(part);
  }
  for (const PartPtr& part : parts) {
    std::map<uint32_t, NodePtr> nodes;
    {
      const std::lock_guard lock(part->mutex);
      nodes = part->nodes;
    }
    bool measured = false;
    for (const auto& [index, node] : nodes) measured |= SampleNode(part, index, node);
    if (measured) Tell(part);
  }
}

bool HostNodes::SampleNode(const PartPtr& part, uint32_t index, const NodePtr& node) {
  std::optional<NodeRecord> record;
  std::optional<Sample> before;
  uint32_t number = 0;
  {
    const std::lock_guard lock(part->mutex);
    record = node->record;
    before = node->sample;
    number = part->order.number();
    if (!record.has_value()) node->usage.reset();
  }
  if (!record.has_value() || !NodeRuntime::IsRunning(*record)) return false;
  const auto usage = UsageOf(record->init.pid);
  const auto now = Clock::now();
  if (!usage.ok()) {
    // It may be ending just now.
    LOG_DEBUG("usage of node " + NodeId(number, index) + ": " + usage.error().message());
    return false;
  }
  const std::lock_guard lock(part->mutex);
  node->sample = Sample{record->init, *usage, now};
  if (!before.has_value() || before->init != record->init) {
    node->usage.reset();
    return false;
  }
  const double seconds = std::chrono::duration<double>(now - before->at).count();
  if (seconds <= 0) return false;
  host::v1::Usage& out = node->usage.emplace();
  out.set_seconds(seconds);
  out.set_cpus(std::chrono::duration<double>(usage->cpu - before->usage.cpu).count() / seconds);
  out.set_memory_bytes(usage->memory_bytes);
  out.set_read_bytes_per_s(PerSecond(before->usage.read_bytes, usage->read_bytes, seconds));
  out.set_written_bytes_per_s(
      PerSecond(before->usage.written_bytes, usage->written_bytes, seconds));
  out.set_cpu_pressure(usage->cpu_pressure);
  out.set_memory_pressure(usage->memory_pressure);
  out.set_io_pressure(usage->io_pressure);
  return true;
}

}  // namespace strata::vcluster
