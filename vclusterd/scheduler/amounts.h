// Amounts of resources in whole numbers, so that what is added and taken away again leaves nothing
// behind, in whatever order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "vclusterd/scheduler/model.h"

namespace strata::vcluster {

struct Amounts {
  int64_t milli_cpus = 0;
  int64_t memory_bytes = 0;
  int64_t disk_bytes = 0;

  bool operator==(const Amounts&) const = default;
  Amounts& operator+=(const Amounts& other) {
    milli_cpus += other.milli_cpus;
    memory_bytes += other.memory_bytes;
    disk_bytes += other.disk_bytes;
    return *this;
  }
  Amounts& operator-=(const Amounts& other) {
    milli_cpus -= other.milli_cpus;
    memory_bytes -= other.memory_bytes;
    disk_bytes -= other.disk_bytes;
    return *this;
  }
  friend Amounts operator+(Amounts a, const Amounts& b) { return a += b; }
  friend Amounts operator-(Amounts a, const Amounts& b) { return a -= b; }

  bool FitsIn(const Amounts& room) const {
    return milli_cpus <= room.milli_cpus && memory_bytes <= room.memory_bytes &&
           disk_bytes <= room.disk_bytes;
  }
  // What of it is above 0.
  Amounts Positive() const {
    return {std::max<int64_t>(milli_cpus, 0), std::max<int64_t>(memory_bytes, 0),
            std::max<int64_t>(disk_bytes, 0)};
  }
};

// REQUIRES: all amounts below are within the limits of model.h.

// Rounded up to a thousandth of a CPU.
int64_t MilliCpus(double cpus);
// As it stands: 0 is 0.
Amounts AmountsOf(const ResourceRequest& request);
// What a node counts as: 0 CPUs and 0 memory are the defaults.
Amounts CountedAmounts(const ResourceRequest& request, const SchedulerParameters& parameters);
// What the host has for nodes before over-commit, and with it.
Amounts CapacityOf(const HostOffer& host);
Amounts LimitOf(const HostOffer& host);

// "0.26", of a score, a pressure.
std::string DecimalText(double value);
// "1.5", "4".
std::string CpusNumber(int64_t milli_cpus);
// "1.5 CPUs", "1 CPU".
std::string CpusText(int64_t milli_cpus);
// "1.5 CPUs, 2.0 GiB", and ", 10.0 GiB of disk" when `with_disk`. What is below 0 is shown as 0.
std::string AmountsText(const Amounts& amounts, bool with_disk);

}  // namespace strata::vcluster
