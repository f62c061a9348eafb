// UsageHistory: what a node or a whole host used, a mean for each minute of the last hours. Of
// bounded size (some 20 KiB), in memory alone. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "vclusterd/api/worker.pb.h"

namespace strata::vcluster {

class UsageHistory {
 public:
  static constexpr int64_t kStepSeconds = 60;
  static constexpr size_t kPointsMax = 360;

  // What was measured now. A clock that goes back makes it part of the last minute.
  void Add(const host::v1::Usage& usage, int64_t now_unix_s);
  void Add(const host::v1::HostLoad& load, int64_t now_unix_s);
  // The running minute is the last point.
  host::v1::UsageHistory Points() const;

 private:
  static constexpr size_t kValues = 10;
  struct Point {
    int64_t minute = 0;
    uint32_t measured = 0;
    std::array<float, kValues> means{};
  };
  static std::array<double, kValues> ValuesOf(const host::v1::HostLoad& load);

  std::deque<Point> points_;
};

}  // namespace strata::vcluster
