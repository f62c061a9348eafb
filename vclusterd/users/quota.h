// What limits say about a wish. Pure.
//
// A wish must fit into every limit that there is for it: the user's own, those for each member of
// his groups, and those for all members of a group together; so the least of them counts. Where
// neither he nor a group has one for him alone, the default counts for that. Who asks for nothing
// of a resource is not stopped by a limit that he is above already.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "vclusterd/api/users.pb.h"

namespace strata::vcluster {

enum class Resource : uint8_t {
  kNodes,
  kCpus,    // Thousandths of a core.
  kMemory,  // Bytes.
  kDisk,    // Bytes that nodes may fill. What images take, imaged limits (vimage quota).
  kPorts,
  kBandwidth,  // Bits per second.
  // Of all nodes of a user on one host together, in bits per second and direction. Hosts enforce
  // it (net/desired.h, UserLimit): nobody asks for any of it, and nothing is refused.
  kHostBandwidth,
  kCount,
};
inline constexpr uint64_t kHostBandwidthMin = 8'000;
inline constexpr uint64_t kHostBandwidthMax = 100'000'000'000;
inline constexpr size_t kResources = static_cast<size_t>(Resource::kCount);

std::string_view NameOf(Resource resource);

class QuotaAmounts {
 public:
  QuotaAmounts& operator+=(const QuotaAmounts& other) {
    for (size_t i = 0; i < kResources; ++i) of_[i] += other.of_[i];
    return *this;
  }
  uint64_t& operator[](Resource resource) { return of_[static_cast<size_t>(resource)]; }
  uint64_t operator[](Resource resource) const { return of_[static_cast<size_t>(resource)]; }

 private:
  std::array<uint64_t, kResources> of_{};
};

class LimitSet {
 public:
  std::optional<uint64_t>& operator[](Resource resource) {
    return of_[static_cast<size_t>(resource)];
  }
  const std::optional<uint64_t>& operator[](Resource resource) const {
    return of_[static_cast<size_t>(resource)];
  }
  bool operator==(const LimitSet&) const = default;

 private:
  std::array<std::optional<uint64_t>, kResources> of_;
};

LimitSet LimitsOf(const users::v1::Limits& record);
void SetLimits(const LimitSet& limits, users::v1::Limits* record);

// Limits, whose they are, and how much of them is used.
struct Bound {
  std::string whose;  // "alice", "each member of os", "group os"
  LimitSet limits;
  QuotaAmounts used;
  bool of_one = true;  // Of one user's use; otherwise of several users' together.
};

struct Bounds {
  std::vector<Bound> set;  // All of them count.
  Bound fallback;          // The default: for resources that none of them limits for one.
};

struct Excess {
  Resource resource = Resource::kNodes;
  std::string whose;
  uint64_t limit = 0;
  uint64_t used = 0;
  uint64_t asked = 0;
};

// The first resource that does not fit, and of its limits the one that leaves least.
std::optional<Excess> FindExcess(const Bounds& bounds, const QuotaAmounts& asked);
// kResourceExhausted in words: "memory: 3.0 GiB asked, 6.0 of 8.0 GiB used, the limit of group os".
Error ExcessError(const Excess& excess);

// Of one resource, the limit that leaves least, and whose it is; for those who look at theirs.
struct Effective {
  std::optional<uint64_t> limit;  // Absent: none.
  uint64_t used = 0;
  std::string whose;
};
Effective EffectiveLimit(const Bounds& bounds, Resource resource);

}  // namespace strata::vcluster
