// CreditMeter: what users have used of each hour, summed up from samples until the hour is charged.
// Pure: the caller gives the time. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "vclusterd/api/records.pb.h"
#include "vclusterd/users/credit.h"

namespace strata::vcluster {

// Hours that cannot be charged for so long, because the store does not answer, are given up.
inline constexpr size_t kMeteredHoursMax = 48;

// What a user's nodes use at one moment.
struct UseRate {
  uint64_t cpus_milli = 0;
  uint64_t memory_mib = 0;
  uint64_t nodes = 0;
};

class CreditMeter {
 public:
  // At `rate` from `from_ms` until `to_ms` (Unix time); nothing when that is no time. Each hour
  // gets its part.
  void Add(uint32_t uid, const UseRate& rate, int64_t from_ms, int64_t to_ms);

  struct Due {
    int64_t hour = 0;
    uint32_t uid = 0;
    HourUse use;
  };
  // Of hours that are over, oldest first.
  std::vector<Due> Ended(int64_t now_ms) const;
  // It is charged.
  void Drop(int64_t hour, uint32_t uid);

  void ToProto(master::v1::CreditMeter* record) const;
  // Takes what a record holds instead of what is here. Hours after `now_ms` are left out: the clock
  // of who wrote it was ahead.
  void FromProto(const master::v1::CreditMeter& record, int64_t now_ms);

  bool empty() const { return hours_.empty(); }

 private:
  struct Use {
    uint64_t cpu_milli_ms = 0;
    uint64_t memory_mib_ms = 0;
    uint64_t node_ms = 0;
  };
  std::map<int64_t, std::map<uint32_t, Use>> hours_;  // By hour and user.
};

}  // namespace strata::vcluster
