#include "vclusterd/master/vcluster_index.h"

namespace strata::vcluster {

void VclusterIndex::Put(const master::v1::Vcluster& record) {
  by_name_[record.name()][record.owner_uid()] = record.number();
  by_owner_[record.owner_uid()][record.name()] = record.number();
}

void VclusterIndex::Remove(const master::v1::Vcluster& record) {
  const auto named = by_name_.find(record.name());
  if (named == by_name_.end() || named->second.erase(record.owner_uid()) == 0) return;
  if (named->second.empty()) by_name_.erase(named);
  const auto owned = by_owner_.find(record.owner_uid());
  owned->second.erase(record.name());
  if (owned->second.empty()) by_owner_.erase(owned);
}

std::optional<uint32_t> VclusterIndex::Find(uint32_t owner_uid, const std::string& name) const {
  const std::map<std::string, uint32_t>& owned = Of(owner_uid);
  const auto found = owned.find(name);
  return found == owned.end() ? std::nullopt : std::optional(found->second);
}

std::vector<uint32_t> VclusterIndex::OwnersOf(const std::string& name) const {
  std::vector<uint32_t> owners;
  if (const auto named = by_name_.find(name); named != by_name_.end()) {
    for (const auto& [owner, number] : named->second) owners.push_back(owner);
  }
  return owners;
}

std::vector<uint32_t> VclusterIndex::Owners() const {
  std::vector<uint32_t> owners;
  owners.reserve(by_owner_.size());
  for (const auto& [owner, numbers] : by_owner_) owners.push_back(owner);
  return owners;
}

const std::map<std::string, uint32_t>& VclusterIndex::Of(uint32_t owner_uid) const {
  static const std::map<std::string, uint32_t> kNone;
  const auto found = by_owner_.find(owner_uid);
  return found == by_owner_.end() ? kNone : found->second;
}

}  // namespace strata::vcluster
