#include "imaged/service/call.h"

#include <prometheus/histogram.h>

#include "common/metrics.h"

namespace strata::imaged {

void CountCall(const char* call, const Status& status, std::chrono::nanoseconds took) {
  static auto& calls = prometheus::BuildHistogram()
                           .Name("strata_rpc_seconds")
                           .Help("Calls that ended, and how long they took")
                           .Register(Metrics());
  static const prometheus::Histogram::BucketBoundaries kSeconds = {0.001, 0.005, 0.02, 0.1, 0.5,
                                                                   2,     10,    60,   600};
  const std::string outcome = status.ok() ? "ok" : std::string(CodeName(status.error().code()));
  calls.Add({{"call", call}, {"outcome", outcome}}, kSeconds)
      .Observe(std::chrono::duration<double>(took).count());
}

}  // namespace strata::imaged
