#include "vclusterd/host/usage_history.h"

#include <algorithm>
#include <cmath>

namespace strata::vcluster {

std::array<double, UsageHistory::kValues> UsageHistory::ValuesOf(const host::v1::HostLoad& load) {
  const host::v1::Usage& usage = load.usage();
  return {usage.cpus(),
          static_cast<double>(usage.memory_bytes()),
          static_cast<double>(usage.read_bytes_per_s()),
          static_cast<double>(usage.written_bytes_per_s()),
          static_cast<double>(usage.received_bytes_per_s()),
          static_cast<double>(usage.sent_bytes_per_s()),
          usage.cpu_pressure(),
          usage.memory_pressure(),
          usage.io_pressure(),
          static_cast<double>(load.disk_free_bytes())};
}

void UsageHistory::Add(const host::v1::Usage& usage, int64_t now_unix_s) {
  host::v1::HostLoad load;
  *load.mutable_usage() = usage;
  Add(load, now_unix_s);
}

void UsageHistory::Add(const host::v1::HostLoad& load, int64_t now_unix_s) {
  const int64_t minute = now_unix_s / kStepSeconds;
  if (points_.empty() || points_.back().minute < minute) {
    points_.push_back({minute, 0, {}});
    while (points_.size() > kPointsMax) points_.pop_front();
  }
  Point& point = points_.back();
  ++point.measured;
  const auto values = ValuesOf(load);
  for (size_t i = 0; i < kValues; ++i) {
    point.means[i] +=
        (static_cast<float>(values[i]) - point.means[i]) / static_cast<float>(point.measured);
  }
}

host::v1::UsageHistory UsageHistory::Points() const {
  host::v1::UsageHistory history;
  const auto whole = [](float value) { return static_cast<uint64_t>(std::llround(value)); };
  for (const Point& point : points_) {
    host::v1::UsagePoint* out = history.add_points();
    out->set_unix_s(point.minute * kStepSeconds);
    host::v1::Usage* usage = out->mutable_usage();
    usage->set_seconds(static_cast<double>(kStepSeconds));
    usage->set_cpus(point.means[0]);
    usage->set_memory_bytes(whole(point.means[1]));
    usage->set_read_bytes_per_s(whole(point.means[2]));
    usage->set_written_bytes_per_s(whole(point.means[3]));
    usage->set_received_bytes_per_s(whole(point.means[4]));
    usage->set_sent_bytes_per_s(whole(point.means[5]));
    usage->set_cpu_pressure(point.means[6]);
    usage->set_memory_pressure(point.means[7]);
    usage->set_io_pressure(point.means[8]);
    out->set_disk_free_bytes(whole(point.means[9]));
  }
  return history;
}

}  // namespace strata::vcluster
