#include "common/metrics.h"

#include <prometheus/text_serializer.h>

namespace strata {

prometheus::Registry& Metrics() {
  static auto* const registry = new prometheus::Registry();  // Threads may count until the end.
  return *registry;
}

std::string MetricsText() { return prometheus::TextSerializer().Serialize(Metrics().Collect()); }

}  // namespace strata
