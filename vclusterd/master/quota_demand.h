// What Vclusters may use at most, as the quotas of their owners count it (vclusterd/users/quota.h):
// every node that should exist, running or not, with its limits; so no limit refuses a start. One
// that leaves counts until it is gone: its end hook may take a day. Who has used his credits up
// starts nothing. Pure, but for CheckQuota.
//
// Images are imaged's, and are not counted here.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "common/result.h"
#include "vclusterd/master/vcluster.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster {

struct QuotaDemand {
  QuotaAmounts amounts;
  // By resource, a role whose nodes have no limit of it; empty: all have one.
  std::array<std::string, kResources> unlimited;
  std::array<uint32_t, kResources> unlimited_nodes{};  // How many nodes have none.
  uint32_t starts = 0;  // Nodes that should run and should not before; of a growth only.

  QuotaDemand& operator+=(const QuotaDemand& other);
  bool IsNothing() const;
};

// What somebody's Vclusters may use.
using QuotasUsed = std::function<QuotaAmounts(uint32_t uid)>;

QuotaDemand DemandOf(const Vcluster& vcluster);
// What a node of this role counts for.
master::v1::Amounts AmountsOf(const Role& role, const master::v1::Node& node);
// What `after` asks for beyond `before` (null: there was none).
QuotaDemand GrowthOf(const Vcluster* before, const Vcluster& after);

// Against the limits of the owner and his groups. kResourceExhausted says whose limit is in the
// way, or that his credits are used up and nodes would start; kInvalidArgument: a limit counts for
// him, and a role leaves the resource without one.
Status CheckQuota(const Users& users, uint32_t uid, const QuotaDemand& asked,
                  const QuotasUsed& used);

// What all nodes of a user may send, or receive, on a host together (Resource::kHostBandwidth); 0:
// as much as they can.
uint64_t NetworkLimitOf(const Users& users, uint32_t uid);

}  // namespace strata::vcluster
