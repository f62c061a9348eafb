// Quotas of owners: what a Vcluster's nodes would use of them.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "vclusterd/scheduler/amounts.h"
#include "vclusterd/scheduler/model.h"

namespace strata::vcluster {

enum class QuotaKind { kNodes, kCpus, kMemory, kDisk, kPorts };

// One quota that has a limit.
struct QuotaLine {
  QuotaKind kind;
  uint64_t limit = 0;  // CPUs in thousandths; nodes, bytes, ports.
  uint64_t used = 0;
  uint64_t asked = 0;
  bool Fits() const { return asked == 0 || (used <= limit && asked <= limit - used); }
};

// "memory: 6.0 GiB in use and 4.0 GiB asked for, of 8.0 GiB"
std::string QuotaText(const QuotaLine& line);

// What the owner may have and has, and has got from this request.
class QuotaAccount {
 public:
  // REQUIRES: checked.
  explicit QuotaAccount(const OwnerQuota& quota) : quota_(quota) {}

  // The quotas that have a limit. A node without a limit of its own asks for what it counts as.
  std::vector<QuotaLine> Lines(const VclusterDemand& vcluster,
                               const SchedulerParameters& parameters) const;
  // The Vcluster was placed.
  void Use(const VclusterDemand& vcluster, const SchedulerParameters& parameters);

  const OwnerQuota& quota() const { return quota_; }

 private:
  OwnerQuota quota_;
};

// kResourceExhausted with every quota that the lines go past, and what to do.
Status CheckQuotaLines(const OwnerQuota& quota, const std::string& vcluster,
                       const std::vector<QuotaLine>& lines);

}  // namespace strata::vcluster
