#include "vclusterd/scheduler/amounts.h"

#include <cmath>
#include <cstdio>

#include "common/byte_size.h"

namespace strata::vcluster {
namespace {

// A hundredth of the smallest step: decimal fractions such as 0.1 are a little off as binary ones.
constexpr double kRounding = 1e-2;

// A part of `bytes`, at most what one host may have.
int64_t Scaled(uint64_t bytes, double factor) {
  const long double scaled = static_cast<long double>(bytes) * static_cast<long double>(factor);
  return static_cast<int64_t>(std::min(scaled, static_cast<long double>(kSchedulerBytesMax)));
}

}  // namespace

int64_t MilliCpus(double cpus) {
  if (cpus <= 0) return 0;
  return std::max<int64_t>(1, static_cast<int64_t>(std::ceil(cpus * 1000 - kRounding)));
}

Amounts AmountsOf(const ResourceRequest& request) {
  return {MilliCpus(request.cpus), static_cast<int64_t>(request.memory_bytes),
          static_cast<int64_t>(request.disk_bytes)};
}

Amounts CountedAmounts(const ResourceRequest& request, const SchedulerParameters& parameters) {
  Amounts amounts = AmountsOf(request);
  if (amounts.milli_cpus == 0) amounts.milli_cpus = MilliCpus(parameters.default_cpus);
  if (amounts.memory_bytes == 0) {
    amounts.memory_bytes = static_cast<int64_t>(parameters.default_memory_bytes);
  }
  return amounts;
}

Amounts CapacityOf(const HostOffer& host) {
  const Amounts all = {static_cast<int64_t>(std::floor(host.cpus * 1000 + kRounding)),
                       static_cast<int64_t>(host.memory_bytes),
                       static_cast<int64_t>(host.disk_bytes)};
  return (all - AmountsOf(host.system)).Positive();
}

Amounts LimitOf(const HostOffer& host) {
  const Amounts capacity = CapacityOf(host);
  return {static_cast<int64_t>(std::floor(
              static_cast<double>(capacity.milli_cpus) * host.overcommit_cpus + kRounding)),
          Scaled(static_cast<uint64_t>(capacity.memory_bytes), host.overcommit_memory),
          capacity.disk_bytes};
}

std::string DecimalText(double value) {
  char text[400];  // As long as the largest double.
  std::snprintf(text, sizeof(text), "%.2f", value);
  return text;
}

std::string CpusNumber(int64_t milli_cpus) {
  char text[40];
  std::snprintf(text, sizeof(text), "%lld.%03lld", static_cast<long long>(milli_cpus / 1000),
                static_cast<long long>(milli_cpus % 1000));
  std::string number = text;
  number.erase(number.find_last_not_of('0') + 1);
  if (number.back() == '.') number.pop_back();
  return number;
}

std::string CpusText(int64_t milli_cpus) {
  return CpusNumber(milli_cpus) + (milli_cpus == 1000 ? " CPU" : " CPUs");
}

std::string AmountsText(const Amounts& amounts, bool with_disk) {
  const Amounts shown = amounts.Positive();
  std::string text =
      CpusText(shown.milli_cpus) + ", " + HumanBytes(static_cast<uint64_t>(shown.memory_bytes));
  if (with_disk) text += ", " + HumanBytes(static_cast<uint64_t>(shown.disk_bytes)) + " of disk";
  return text;
}

}  // namespace strata::vcluster
