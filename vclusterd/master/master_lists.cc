// What is there: by number, by name, by owner.
#include "vclusterd/master/master.h"

namespace strata::vcluster {

std::vector<VclusterView> Master::All(
    const std::function<bool(const master::v1::Vcluster&)>& wanted) {
  const std::lock_guard lock(mutex_);
  std::vector<VclusterView> views;
  for (const auto& [number, entry] : entries_) {
    if (!wanted || wanted(entry.vcluster->record)) views.push_back(ViewOf(number, entry));
  }
  return views;
}

void Master::EachNode(
    const std::function<void(uint32_t owner_uid, const host::v1::NodeStatus&)>& visit) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [number, entry] : entries_) {
    for (const auto& [host, status] : entry.heard) {
      // What a host said before it was lost is not so any more, as far as anybody knows.
      if (!hosts_.contains(host)) continue;
      for (const host::v1::NodeStatus& node : status.nodes()) {
        visit(entry.vcluster->record.owner_uid(), node);
      }
    }
  }
}

VclusterView Master::Find(uint32_t owner_uid, const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto named = named_.find(name);
  if (named == named_.end()) return {};
  const auto owned = named->second.find(owner_uid);
  if (owned == named->second.end()) return {};
  return ViewOf(owned->second, entries_.at(owned->second));
}

std::vector<uint32_t> Master::OwnersOf(const std::string& name) {
  const std::lock_guard lock(mutex_);
  std::vector<uint32_t> owners;
  if (const auto named = named_.find(name); named != named_.end()) {
    for (const auto& [owner, number] : named->second) owners.push_back(owner);
  }
  return owners;
}

VclusterView Master::Find(uint32_t number) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(number);
  return found == entries_.end() ? VclusterView() : ViewOf(number, found->second);
}

std::vector<uint32_t> Master::Owners() {
  const std::lock_guard lock(mutex_);
  std::vector<uint32_t> owners;
  owners.reserve(owned_.size());
  for (const auto& [owner, numbers] : owned_) owners.push_back(owner);
  return owners;
}

std::vector<VclusterView> Master::Page(
    uint32_t owner_uid, const std::string& after, size_t max,
    const std::function<bool(const master::v1::Vcluster&)>& wanted) {
  const std::lock_guard lock(mutex_);
  std::vector<VclusterView> page;
  const auto owned = owned_.find(owner_uid);
  if (owned == owned_.end()) return page;
  auto next = after.empty() ? owned->second.begin() : owned->second.upper_bound(after);
  for (; next != owned->second.end() && page.size() < max; ++next) {
    const Entry& entry = entries_.at(next->second);
    if (!wanted || wanted(entry.vcluster->record)) page.push_back(ViewOf(next->second, entry));
  }
  return page;
}

}  // namespace strata::vcluster
