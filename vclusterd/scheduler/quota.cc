#include "vclusterd/scheduler/quota.h"

#include <string_view>

#include "common/byte_size.h"

namespace strata::vcluster {
namespace {

Amounts Sum(const VclusterDemand& vcluster, const SchedulerParameters& parameters) {
  Amounts sum;
  for (const NodeDemand& node : vcluster.nodes) sum += CountedAmounts(node.request, parameters);
  return sum;
}

std::string_view KindName(QuotaKind kind) {
  switch (kind) {
    case QuotaKind::kNodes:
      return "nodes";
    case QuotaKind::kCpus:
      return "CPUs";
    case QuotaKind::kMemory:
      return "memory";
    case QuotaKind::kDisk:
      return "disk";
    case QuotaKind::kPorts:
      return "ports";
  }
  return "";
}

std::string ValueText(QuotaKind kind, uint64_t value) {
  if (kind == QuotaKind::kCpus) return CpusNumber(static_cast<int64_t>(value));
  if (kind == QuotaKind::kMemory || kind == QuotaKind::kDisk) return HumanBytes(value);
  return std::to_string(value);
}

// What is in use may be counted by a caller who does not add up exactly.
uint64_t Saturated(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

}  // namespace

std::string QuotaText(const QuotaLine& line) {
  return std::string(KindName(line.kind)) + ": " + ValueText(line.kind, line.used) +
         " in use and " + ValueText(line.kind, line.asked) + " asked for, of " +
         ValueText(line.kind, line.limit);
}

std::vector<QuotaLine> QuotaAccount::Lines(const VclusterDemand& vcluster,
                                           const SchedulerParameters& parameters) const {
  const Amounts sum = Sum(vcluster, parameters);
  std::vector<QuotaLine> lines;
  const auto add = [&lines](QuotaKind kind, const Allowance<uint64_t>& allowance, uint64_t asked) {
    if (allowance.limit) lines.push_back({kind, *allowance.limit, allowance.used, asked});
  };
  add(QuotaKind::kNodes, quota_.nodes, vcluster.nodes.size());
  if (quota_.cpus.limit) {
    lines.push_back({QuotaKind::kCpus, static_cast<uint64_t>(MilliCpus(*quota_.cpus.limit)),
                     static_cast<uint64_t>(MilliCpus(quota_.cpus.used)),
                     static_cast<uint64_t>(sum.milli_cpus)});
  }
  add(QuotaKind::kMemory, quota_.memory_bytes, static_cast<uint64_t>(sum.memory_bytes));
  add(QuotaKind::kDisk, quota_.disk_bytes, static_cast<uint64_t>(sum.disk_bytes));
  add(QuotaKind::kPorts, quota_.ports, vcluster.ports);
  return lines;
}

void QuotaAccount::Use(const VclusterDemand& vcluster, const SchedulerParameters& parameters) {
  const Amounts sum = Sum(vcluster, parameters);
  const auto use = [](Allowance<uint64_t>* allowance, uint64_t asked) {
    allowance->used = Saturated(allowance->used, asked);
  };
  use(&quota_.nodes, vcluster.nodes.size());
  quota_.cpus.used += static_cast<double>(sum.milli_cpus) / 1000;
  use(&quota_.memory_bytes, static_cast<uint64_t>(sum.memory_bytes));
  use(&quota_.disk_bytes, static_cast<uint64_t>(sum.disk_bytes));
  use(&quota_.ports, vcluster.ports);
}

Status CheckQuotaLines(const OwnerQuota& quota, const std::string& vcluster,
                       const std::vector<QuotaLine>& lines) {
  std::string past;
  for (const QuotaLine& line : lines) {
    if (!line.Fits()) past += (past.empty() ? "" : "; ") + QuotaText(line);
  }
  if (past.empty()) return Ok();
  const std::string owner =
      quota.owner_name.empty() ? "uid " + std::to_string(quota.owner_uid) : quota.owner_name;
  return Error(Code::kResourceExhausted,
               vcluster + " goes past the quota of " + owner + ": " + past +
                   ". Ask for less, stop what is not needed, or let an administrator raise it");
}

}  // namespace strata::vcluster
