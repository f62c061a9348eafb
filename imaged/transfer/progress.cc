#include "imaged/transfer/progress.h"

#include <cmath>

namespace strata::imaged::transfer {
namespace {

constexpr double kAverageSeconds = 5;
constexpr double kLookSecondsMin = 0.05;  // Below it a rate is mostly noise.

}  // namespace

ProgressMeter::ProgressMeter(uint64_t objects_total, uint64_t plain_bytes_total, Clock& clock)
    : clock_(clock), looked_(clock.Now()) {
  now_.objects_total = objects_total;
  now_.plain_bytes_total = plain_bytes_total;
}

const TransferProgress& ProgressMeter::Look() {
  const Clock::TimePoint now = clock_.Now();
  const double passed = std::chrono::duration<double>(now - looked_).count();
  if (passed < kLookSecondsMin) return now_;
  // The exponential average of unevenly spaced looks; the first look has no past to average with.
  const double weight = has_rate_ ? 1 - std::exp(-passed / kAverageSeconds) : 1;
  const auto mix = [&](double* rate, uint64_t count, uint64_t then) {
    const double latest = (static_cast<double>(count) - static_cast<double>(then)) / passed;
    *rate += weight * (latest - *rate);
  };
  mix(&now_.plain_bytes_per_second, now_.plain_bytes, plain_then_);
  mix(&now_.wire_bytes_per_second, now_.wire_bytes, wire_then_);
  has_rate_ = true;
  looked_ = now;
  plain_then_ = now_.plain_bytes;
  wire_then_ = now_.wire_bytes;
  now_.seconds_left.reset();
  if (now_.plain_bytes_per_second > 0) {
    const auto left = static_cast<double>(now_.plain_bytes_total - now_.plain_bytes);
    now_.seconds_left = left / now_.plain_bytes_per_second;
  }
  return now_;
}

}  // namespace strata::imaged::transfer
