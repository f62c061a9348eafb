// How far a transfer is, for people: counts, a moving average of the rate, the time that is left.
// Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "imaged/transfer/rate_limiter.h"

namespace strata::imaged::transfer {

struct TransferProgress {
  uint64_t objects = 0;  // Verified.
  uint64_t objects_total = 0;
  uint64_t plain_bytes = 0;  // Content that has arrived, verified or not.
  uint64_t plain_bytes_total = 0;
  uint64_t wire_bytes = 0;  // Messages of both directions.
  double plain_bytes_per_second = 0;
  double wire_bytes_per_second = 0;
  std::optional<double> seconds_left;  // Absent while nothing is known.
};

class ProgressMeter {
 public:
  ProgressMeter(uint64_t objects_total, uint64_t plain_bytes_total, Clock& clock);

  void AddObjects(uint64_t count) { now_.objects += count; }
  void AddPlain(uint64_t bytes) { now_.plain_bytes += bytes; }
  void AddWire(uint64_t bytes) { now_.wire_bytes += bytes; }
  // Content that counted as arrived and has to come again.
  void TakePlainBack(uint64_t bytes) { now_.plain_bytes -= bytes; }

  // With the rates of about the last five seconds.
  const TransferProgress& Look();

 private:
  Clock& clock_;
  TransferProgress now_;
  Clock::TimePoint looked_;
  bool has_rate_ = false;
  uint64_t plain_then_ = 0;
  uint64_t wire_then_ = 0;
};

}  // namespace strata::imaged::transfer
