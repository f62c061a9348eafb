#include "vclusterd/users/quota.h"

#include <cstdio>

namespace strata::vcluster {
namespace {

uint64_t Left(uint64_t limit, uint64_t used) { return used >= limit ? 0 : limit - used; }

// The bound that leaves least of a resource; null: nothing limits it.
const Bound* Tightest(const Bounds& bounds, Resource resource) {
  const Bound* tightest = nullptr;
  const auto consider = [&](const Bound& bound) {
    if (!bound.limits[resource]) return;
    if (tightest == nullptr || Left(*bound.limits[resource], bound.used[resource]) <
                                   Left(*tightest->limits[resource], tightest->used[resource])) {
      tightest = &bound;
    }
  };
  bool has_one = false;
  for (const Bound& bound : bounds.set) {
    consider(bound);
    has_one = has_one || (bound.of_one && bound.limits[resource]);
  }
  if (!has_one) consider(bounds.fallback);
  return tightest;
}

std::string Scaled(uint64_t amount, double by, const char* unit) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.6g%s", static_cast<double>(amount) / by, unit);
  return text;
}

std::string InWords(Resource resource, uint64_t amount) {
  switch (resource) {
    case Resource::kCpus:
      return Scaled(amount, 1000, "");
    case Resource::kMemory:
    case Resource::kDisk:
      return amount < (1u << 20) ? std::to_string(amount) + " bytes"
                                 : Scaled(amount, 1 << 30, " GiB");
    case Resource::kBandwidth:
    case Resource::kHostBandwidth:
      return Scaled(amount, 1e6, " Mbit/s");
    default:
      return std::to_string(amount);
  }
}

}  // namespace

std::string_view NameOf(Resource resource) {
  static constexpr std::array<std::string_view, kResources> kNames = {
      "nodes", "cpus", "memory", "disk", "ports", "bandwidth", "bandwidth-per-host"};
  return kNames.at(static_cast<size_t>(resource));
}

LimitSet LimitsOf(const users::v1::Limits& record) {
  LimitSet limits;
  if (record.has_nodes()) limits[Resource::kNodes] = record.nodes();
  if (record.has_cpus_milli()) limits[Resource::kCpus] = record.cpus_milli();
  if (record.has_memory_bytes()) limits[Resource::kMemory] = record.memory_bytes();
  if (record.has_disk_bytes()) limits[Resource::kDisk] = record.disk_bytes();
  if (record.has_ports()) limits[Resource::kPorts] = record.ports();
  if (record.has_bandwidth_bits_per_s()) {
    limits[Resource::kBandwidth] = record.bandwidth_bits_per_s();
  }
  if (record.has_host_bandwidth_bits_per_s()) {
    limits[Resource::kHostBandwidth] = record.host_bandwidth_bits_per_s();
  }
  return limits;
}

void SetLimits(const LimitSet& limits, users::v1::Limits* record) {
  const uint64_t revision = record->revision();
  record->Clear();
  record->set_revision(revision);
  if (const auto limit = limits[Resource::kNodes]) record->set_nodes(*limit);
  if (const auto limit = limits[Resource::kCpus]) record->set_cpus_milli(*limit);
  if (const auto limit = limits[Resource::kMemory]) record->set_memory_bytes(*limit);
  if (const auto limit = limits[Resource::kDisk]) record->set_disk_bytes(*limit);
  if (const auto limit = limits[Resource::kPorts]) record->set_ports(*limit);
  if (const auto limit = limits[Resource::kBandwidth]) record->set_bandwidth_bits_per_s(*limit);
  if (const auto limit = limits[Resource::kHostBandwidth]) {
    record->set_host_bandwidth_bits_per_s(*limit);
  }
}

std::optional<Excess> FindExcess(const Bounds& bounds, const QuotaAmounts& asked) {
  for (size_t i = 0; i < kResources; ++i) {
    const auto resource = static_cast<Resource>(i);
    if (asked[resource] == 0) continue;
    const Bound* bound = Tightest(bounds, resource);
    if (bound == nullptr) continue;
    const uint64_t limit = *bound->limits[resource];
    if (asked[resource] <= Left(limit, bound->used[resource])) continue;
    return Excess{resource, bound->whose, limit, bound->used[resource], asked[resource]};
  }
  return std::nullopt;
}

Error ExcessError(const Excess& excess) {
  const Resource resource = excess.resource;
  return Error(Code::kResourceExhausted,
               std::string(NameOf(resource)) + ": " + InWords(resource, excess.asked) + " asked, " +
                   InWords(resource, excess.used) + " of " + InWords(resource, excess.limit) +
                   " used, which is the limit of " + excess.whose);
}

Effective EffectiveLimit(const Bounds& bounds, Resource resource) {
  const Bound* bound = Tightest(bounds, resource);
  if (bound == nullptr) return {};
  return {bound->limits[resource], bound->used[resource], bound->whose};
}

}  // namespace strata::vcluster
