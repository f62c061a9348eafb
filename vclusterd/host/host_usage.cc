// What nodes use, looked at now and then.
#include <ctime>

#include "common/log.h"
#include "vclusterd/host/host_nodes.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;

UsageTotals TotalsOf(const CgroupUsage& usage, const NetworkUsage& network) {
  return {std::chrono::duration<double>(usage.cpu).count(), usage.read_bytes, usage.written_bytes,
          network.received_bytes, network.sent_bytes};
}

}  // namespace

void HostNodes::SampleLater() {
  if (config_.usage_every.count() == 0) return;
  chores_.Push(
      [this] {
        SampleAll();
        SampleLater();
      },
      config_.usage_every);
}

std::optional<host::v1::HostLoad> HostNodes::Load() {
  const std::lock_guard lock(mutex_);
  return load_;
}

Result<host::v1::UsageHistory> HostNodes::History(uint32_t number, uint32_t index) {
  if (const PartPtr part = Find(number)) {
    const std::lock_guard lock(part->mutex);
    const auto found = part->nodes.find(index);
    if (found != part->nodes.end()) return found->second->history.Points();
  }
  return Error(Code::kNotFound, "node " + NodeId(number, index) + " is not on this host");
}

host::v1::UsageHistory HostNodes::HostHistory() {
  const std::lock_guard lock(mutex_);
  return history_.Points();
}

std::optional<UsageTotals> HostNodes::Totals() {
  const std::lock_guard lock(mutex_);
  return totals_;
}

std::vector<NodeFigures> HostNodes::Figures() {
  std::vector<PartPtr> parts;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, part] : parts_) parts.push_back(part);
  }
  std::vector<NodeFigures> figures;
  for (const PartPtr& part : parts) {
    const std::lock_guard lock(part->mutex);
    std::map<uint32_t, std::string> names;  // Of those that are not to be removed.
    for (const host::v1::NodeOrder& order : part->order.nodes()) {
      names[order.index()] = order.name();
    }
    for (const auto& [index, node] : part->nodes) {
      const auto name = names.find(index);
      const bool runs = node->record.has_value() && node->usage.has_value();
      if (name == names.end() || !runs || !node->sample.has_value()) continue;
      figures.push_back({part->order.owner(), part->order.cluster(), name->second,
                         node->sample->totals, *node->usage});
    }
  }
  return figures;
}

void HostNodes::SampleAll() {
  auto load = load_meter_.Measure();
  if (!load.ok()) LOG_DEBUG("what this host uses: " + load.error().message());
  std::vector<PartPtr> parts;
  {
    const std::lock_guard lock(mutex_);
    totals_ = load_meter_.totals();
    if (load.ok() && load->has_value()) {
      history_.Add(**load, std::time(nullptr));
      load_ = std::move(*load);
    }
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
  const auto network = NetworkUsageOf(record->init.pid);
  const auto now = Clock::now();
  if (!usage.ok() || !network.ok()) {
    // It may be ending just now.
    LOG_DEBUG("usage of node " + NodeId(number, index) + ": " +
              (usage.ok() ? network.error() : usage.error()).message());
    const std::lock_guard lock(part->mutex);
    node->usage.reset();  // What it used before says nothing of now.
    return false;
  }
  const std::lock_guard lock(part->mutex);
  const UsageTotals totals = TotalsOf(*usage, *network);
  node->sample = Sample{record->init, totals, now};
  if (!before.has_value() || before->init != record->init) {
    node->usage.reset();
    return false;
  }
  const double seconds = std::chrono::duration<double>(now - before->at).count();
  if (seconds <= 0) return false;
  host::v1::Usage& out = node->usage.emplace(UsageBetween(before->totals, totals, seconds));
  out.set_memory_bytes(usage->memory_bytes);
  out.set_cpu_pressure(usage->cpu_pressure);
  out.set_memory_pressure(usage->memory_pressure);
  out.set_io_pressure(usage->io_pressure);
  node->history.Add(out, std::time(nullptr));
  return true;
}

}  // namespace strata::vcluster
