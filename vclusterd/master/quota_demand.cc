#include "vclusterd/master/quota_demand.h"

#include <cmath>

namespace strata::vcluster {
namespace {

constexpr double kMilli = 1000;
// 2.007 cores are 2007 thousandths, though the product is a little more.
constexpr double kRoundingError = 1e-6;

// What a role of a file calls it; empty: it always has an amount.
std::string LimitKey(Resource resource) {
  switch (resource) {
    case Resource::kCpus:
      return "cpus";
    case Resource::kMemory:
      return "memory";
    case Resource::kDisk:
      return "disk";
    case Resource::kBandwidth:
      return "network";
    default:
      return {};
  }
}

}  // namespace

QuotaDemand& QuotaDemand::operator+=(const QuotaDemand& other) {
  amounts += other.amounts;
  starts += other.starts;
  for (size_t i = 0; i < kResources; ++i) {
    if (unlimited[i].empty()) unlimited[i] = other.unlimited[i];
    unlimited_nodes[i] += other.unlimited_nodes[i];
  }
  return *this;
}

bool QuotaDemand::IsNothing() const {
  if (starts != 0) return false;
  for (size_t i = 0; i < kResources; ++i) {
    if (amounts[static_cast<Resource>(i)] != 0 || !unlimited[i].empty()) return false;
  }
  return true;
}

namespace {

uint32_t StartsIn(const Vcluster* before, const Vcluster& after) {
  uint32_t starts = 0;
  for (const master::v1::Node& node : after.record.nodes()) {
    const master::v1::Node* was = before == nullptr ? nullptr : before->FindNode(node.index());
    if (node.wanted() && !node.leaving() && (was == nullptr || !was->wanted())) ++starts;
  }
  return starts;
}

}  // namespace

master::v1::Amounts AmountsOf(const Role& role, const master::v1::Node& node) {
  master::v1::Amounts amounts;
  amounts.set_cpus_milli(
      static_cast<uint64_t>(std::ceil(role.limits.cpus * kMilli - kRoundingError)));
  amounts.set_memory_bytes(role.limits.memory_bytes);
  amounts.set_disk_bytes(node.has_disk_bytes() ? node.disk_bytes()
                                               : role.limits.disk_bytes.value_or(0));
  amounts.set_ports(role.ports.size());
  amounts.set_network_bits_per_s(role.limits.network_bits_per_s);
  return amounts;
}

QuotaDemand DemandOf(const Vcluster& vcluster) {
  QuotaDemand demand;
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    const Role* role = vcluster.RoleOf(node);
    master::v1::Amounts amounts = node.leaves_with();
    if (role != nullptr && !node.has_leaves_with()) amounts = AmountsOf(*role, node);
    const auto add = [&](Resource resource, uint64_t amount) {
      demand.amounts[resource] += amount;
      // Nobody can say any more what one that leaves may use.
      if (amount != 0 || node.leaving()) return;
      ++demand.unlimited_nodes[static_cast<size_t>(resource)];
      std::string& without = demand.unlimited[static_cast<size_t>(resource)];
      if (without.empty()) without = role->name;
    };
    ++demand.amounts[Resource::kNodes];
    demand.amounts[Resource::kPorts] += amounts.ports();
    add(Resource::kCpus, amounts.cpus_milli());
    add(Resource::kMemory, amounts.memory_bytes());
    add(Resource::kDisk, amounts.disk_bytes());
    add(Resource::kBandwidth, amounts.network_bits_per_s());
  }
  return demand;
}

QuotaDemand GrowthOf(const Vcluster* before, const Vcluster& after) {
  QuotaDemand growth;
  if (after.record.phase() == master::v1::DELETING) return growth;
  growth = DemandOf(after);
  growth.starts = StartsIn(before, after);
  if (before == nullptr) return growth;
  const QuotaDemand had = DemandOf(*before);
  for (size_t i = 0; i < kResources; ++i) {
    uint64_t& amount = growth.amounts[static_cast<Resource>(i)];
    amount -= std::min(amount, had.amounts[static_cast<Resource>(i)]);
    if (growth.unlimited_nodes[i] <= had.unlimited_nodes[i]) growth.unlimited[i].clear();
  }
  return growth;
}

Status CheckQuota(const Users& users, uint32_t uid, const QuotaDemand& asked,
                  const QuotasUsed& used) {
  if (asked.starts > 0) RETURN_IF_ERROR(users.CheckCredits(uid));
  QuotaUsage usage;
  usage.own = used(uid);
  usage.of_group = [&](uint32_t group) {
    QuotaAmounts of_all;
    const GroupPtr record = users.groups().Find(group);
    if (record == nullptr) return of_all;
    for (const uint32_t member : record->member_uids()) of_all += used(member);
    return of_all;
  };
  const Bounds bounds = users.quotas().BoundsOf(uid, users.NameOf(uid), usage);
  for (size_t i = 0; i < kResources; ++i) {
    const std::string& role = asked.unlimited[i];
    const auto resource = static_cast<Resource>(i);
    if (role.empty() || LimitKey(resource).empty()) continue;
    const Effective effective = EffectiveLimit(bounds, resource);
    if (!effective.limit.has_value()) continue;
    return Error(Code::kInvalidArgument, "roles." + role + ".limits." + LimitKey(resource) +
                                             ": has to be said, because there is a limit for " +
                                             effective.whose);
  }
  return users.CheckQuota(uid, asked.amounts, usage);
}

uint64_t NetworkLimitOf(const Users& users, uint32_t uid) {
  const Bounds bounds = users.quotas().BoundsOf(uid, users.NameOf(uid), QuotaUsage());
  const auto limit = EffectiveLimit(bounds, Resource::kHostBandwidth).limit;
  // Records that cannot be read say 0: nothing.
  return limit.has_value() ? std::max(*limit, kHostBandwidthMin) : 0;
}

}  // namespace strata::vcluster
