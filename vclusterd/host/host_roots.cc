// The nodes of a class are made of the same image: one call to imaged takes the leases of many.
#include <algorithm>

#include "vclusterd/host/host_nodes.h"

namespace strata::vcluster {

HostNodes::RootKey HostNodes::RootOf(const host::v1::Part& order, const host::v1::NodeOrder& node) {
  return {node.image(), node.has_image_uid() ? node.image_uid() : order.owner_uid()};
}

std::optional<HostNodes::RootKey> HostNodes::RootToAcquire(const Part& part, uint32_t index,
                                                           const Node& node) {
  if (node.local.made() || node.root.has_value()) return std::nullopt;
  for (const host::v1::NodeOrder& order : part.order.nodes()) {
    if (order.index() != index) continue;
    if (order.has_arrival() || order.incarnation() != node.local.incarnation()) return std::nullopt;
    return RootOf(part.order, order);
  }
  return std::nullopt;
}

void HostNodes::EnqueueNew(const std::vector<PartPtr>& parts) {
  std::map<RootKey, std::vector<Place>> groups;
  std::vector<Place> others;
  for (const PartPtr& part : parts) {
    const std::lock_guard lock(part->mutex);
    for (const auto& [index, node] : part->nodes) {
      const auto key = RootToAcquire(*part, index, *node);
      node->acquiring = key.has_value();
      (key.has_value() ? groups[*key] : others).push_back({part, index});
    }
  }
  for (const Place& place : others) Enqueue(place.part, place.index);
  for (const auto& [key, places] : groups) {
    for (size_t start = 0; start < places.size(); start += imaged::HostImageClient::kLeasesMax) {
      const size_t end = std::min(places.size(), start + imaged::HostImageClient::kLeasesMax);
      starters_.Push([this, key = key,
                      some = std::vector<Place>(places.begin() + start, places.begin() + end)] {
        AcquireRoots(key, some);
        for (const Place& place : some) Enqueue(place.part, place.index);
      });
    }
  }
}

void HostNodes::AcquireRoots(const RootKey& key, const std::vector<Place>& places) {
  struct Held {
    PartPtr part;
    NodePtr node;
    std::unique_lock<std::timed_mutex> working;
  };
  std::vector<Held> held;
  std::vector<std::string> ids;
  for (const Place& place : places) {
    const std::lock_guard lock(place.part->mutex);
    const auto found = place.part->nodes.find(place.index);
    if (found == place.part->nodes.end()) continue;
    // Tried: whoever works on it may wait for this mutex.
    std::unique_lock working(found->second->work, std::try_to_lock);
    if (!working.owns_lock()) continue;
    if (RootToAcquire(*place.part, place.index, *found->second) != key) continue;
    held.push_back({place.part, found->second, std::move(working)});
    ids.push_back(NodeId(place.part->order.number(), place.index));
  }
  // One alone asks by itself, and so does each when the call fails: what is wrong may be another's.
  if (ids.size() > 1) {
    const auto root = life_->AcquireRoots(ids, key.first, key.second);
    for (const Held& one : held) {
      const std::lock_guard lock(one.part->mutex);
      if (root.ok()) one.node->root.emplace(key, *root);
    }
  }
  for (const Place& place : places) {
    const std::lock_guard lock(place.part->mutex);
    const auto found = place.part->nodes.find(place.index);
    if (found != place.part->nodes.end()) found->second->acquiring = false;
  }
}

Result<std::optional<imaged::AcquiredRoot>> HostNodes::TakeRoot(const Job& job) {
  std::optional<std::pair<RootKey, imaged::AcquiredRoot>> acquired;
  {
    const std::lock_guard lock(job.part->mutex);
    acquired = std::exchange(job.node->root, std::nullopt);
  }
  if (!acquired.has_value()) return std::optional<imaged::AcquiredRoot>();
  if (!job.wanted->has_arrival() && acquired->first == RootOf(job.order, *job.wanted))
    return std::optional(acquired->second);
  RETURN_IF_ERROR(life_->Remove(job.id, job.local, /*force=*/false));
  return std::optional<imaged::AcquiredRoot>();
}

}  // namespace strata::vcluster
