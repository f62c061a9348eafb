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
  const auto number = index_.Find(owner_uid, name);
  return number.has_value() ? ViewOf(*number, entries_.at(*number)) : VclusterView();
}

std::vector<uint32_t> Master::OwnersOf(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return index_.OwnersOf(name);
}

VclusterView Master::Find(uint32_t number) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(number);
  return found == entries_.end() ? VclusterView() : ViewOf(number, found->second);
}

std::vector<uint32_t> Master::Owners() {
  const std::lock_guard lock(mutex_);
  return index_.Owners();
}

std::vector<VclusterView> Master::Page(
    uint32_t owner_uid, const std::string& after, size_t max,
    const std::function<bool(const master::v1::Vcluster&)>& wanted) {
  const std::lock_guard lock(mutex_);
  std::vector<VclusterView> page;
  const std::map<std::string, uint32_t>& owned = index_.Of(owner_uid);
  auto next = after.empty() ? owned.begin() : owned.upper_bound(after);
  for (; next != owned.end() && page.size() < max; ++next) {
    const Entry& entry = entries_.at(next->second);
    if (!wanted || wanted(entry.vcluster->record)) page.push_back(ViewOf(next->second, entry));
  }
  return page;
}

}  // namespace strata::vcluster
