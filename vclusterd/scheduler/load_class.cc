#include "vclusterd/scheduler/load_class.h"

#include "vclusterd/scheduler/checks.h"

namespace strata::vcluster {

Result<LoadClass> ClassifyLoad(const NodeUsage& usage, double memory_pressure,
                               const HostOffer& host, LoadClass before,
                               const LoadThresholds& thresholds) {
  RETURN_IF_ERROR(CheckUsage(usage));
  RETURN_IF_ERROR(CheckRange("memory pressure", memory_pressure, 1));
  RETURN_IF_ERROR(CheckHost(host));
  // Compared as products: a host may have no CPUs.
  const auto reaches = [&](double value, double threshold, bool was) {
    return value > 0 && value >= threshold * (was ? thresholds.stay : 1);
  };
  LoadClass load;
  load.cpu = reaches(usage.cpus, thresholds.share * host.cpus, before.cpu);
  load.memory = reaches(static_cast<double>(usage.memory_bytes),
                        thresholds.share * static_cast<double>(host.memory_bytes), before.memory) ||
                reaches(memory_pressure, thresholds.memory_pressure, before.memory);
  load.io = reaches(usage.io, thresholds.share, before.io);
  return load;
}

}  // namespace strata::vcluster
