#include "imaged/repository/usage.h"

#include <algorithm>

#include "imaged/catalog/records.pb.h"
#include "imaged/catalog/tables.h"

namespace strata::imaged {
namespace {

constexpr const char* kDefaultKey = "default";

std::string UserKey(uid_t uid) { return "user/" + std::to_string(uid); }
std::string GroupKey(gid_t gid) { return "group/" + std::to_string(gid); }

std::string Mebibytes(uint64_t bytes) {
  return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

Error OverLimit(const std::string& whose, uint64_t used, uint64_t added, uint64_t limit) {
  return Error(Code::kResourceExhausted,
               whose + " " + Mebibytes(used) + " of at most " + Mebibytes(limit) +
                   ", and this image needs " + Mebibytes(added) +
                   " more: delete images, or 'vimage prune' earlier versions, or ask for more");
}

}  // namespace

UsageAccounts::Layers UsageAccounts::LayersOf(uid_t owner, const std::set<std::string>& without,
                                              const v1::Image* draft) const {
  Layers layers;
  std::map<uid_t, std::set<Digest>> creators;  // Of foreign layers.
  std::map<Digest, Sizes> foreign_sizes;
  const auto add = [&](const Digest& digest, uid_t creator, uint64_t manifest_bytes,
                       uint64_t content_bytes) {
    if (creator == owner) {
      layers.own[digest] = {manifest_bytes, content_bytes};
    } else {
      layers.foreign[digest] = content_bytes;
      creators[creator].insert(digest);
      foreign_sizes[digest] = {manifest_bytes, content_bytes};
    }
  };
  catalog_.index().ForEachVersionOf(owner, [&](const ImageIndex::Version& version) {
    if (without.contains(ImageKey(version.name, version.digest))) return;
    ++layers.images;
    layers.logical_bytes += version.size_bytes;
    for (const auto& layer : version.layers) {
      add(layer.digest, layer.creator_uid, layer.manifest_bytes, layer.content_bytes);
    }
  });
  if (draft != nullptr) {
    for (const v1::Layer& layer : draft->layers()) {
      const auto digest = Digest::Parse(layer.digest());
      if (!digest.ok()) continue;  // Publishing it will say so.
      add(*digest, layer.has_history() ? layer.history().creator_uid() : owner,
          layer.manifest_bytes(), layer.content_bytes());
    }
  }
  // What its maker has given up is the user's now.
  for (auto& entry : creators) {
    const auto creator = entry.first;
    auto& digests = entry.second;  // Clang lets no lambda capture a structured binding.
    catalog_.index().ForEachVersionOf(creator, [&](const ImageIndex::Version& version) {
      for (const auto& layer : version.layers) digests.erase(layer.digest);
    });
    for (const Digest& digest : digests) {
      layers.foreign.erase(digest);
      layers.own.try_emplace(digest, foreign_sizes[digest]);
    }
  }
  for (const auto& [digest, sizes] : layers.own) layers.foreign.erase(digest);
  return layers;
}

Result<std::shared_ptr<const ObjectList>> UsageAccounts::ListOf(const Digest& layer) const {
  auto list = layers_.Objects(layer);
  if (!list.ok() && catalog_.shared() && list.error().code() == Code::kNotFound) {
    return std::shared_ptr<const ObjectList>();
  }
  return list;
}

Result<UsageAccounts::Charge> UsageAccounts::ChargeOf(const Layers& layers) const {
  std::vector<std::shared_ptr<const ObjectList>> lists;  // His own, then those of others.
  Charge charge;
  for (const auto& [digest, sizes] : layers.own) {
    ASSIGN_OR_RETURN(auto list, ListOf(digest));
    charge.bytes += sizes.manifest;
    // What it has in common with others is not known here: all of it counts.
    if (list == nullptr) charge.bytes += sizes.content;
    if (list != nullptr) lists.push_back(std::move(list));
  }
  const size_t own = lists.size();
  for (const auto& [digest, bytes] : layers.foreign) {
    ASSIGN_OR_RETURN(auto list, ListOf(digest));
    if (list != nullptr) lists.push_back(std::move(list));
  }
  MergeObjectLists(lists, [&](const ObjectEntry& entry, std::span<const uint32_t> positions) {
    if (std::any_of(positions.begin(), positions.end(), [own](uint32_t at) { return at >= own; })) {
      return;
    }
    ++charge.objects;
    charge.bytes += entry.size_bytes;
  });
  return charge;
}

Result<UsageAccounts::Charge> UsageAccounts::CurrentCharge(uid_t owner) {
  Layers layers = LayersOf(owner);
  {
    const std::lock_guard lock(cache_mutex_);
    const auto it = cache_.find(owner);
    // Layers that come or go count differently.
    if (it != cache_.end() && it->second.first == layers && !catalog_.shared()) {
      return it->second.second;
    }
  }
  ASSIGN_OR_RETURN(const Charge charge, ChargeOf(layers));
  const std::lock_guard lock(cache_mutex_);
  cache_[owner] = {std::move(layers), charge};
  return charge;
}

Result<UsageAccounts::Charge> UsageAccounts::ChargeWithout(uid_t owner,
                                                           const std::set<std::string>& keys) {
  return keys.empty() ? CurrentCharge(owner) : ChargeOf(LayersOf(owner, keys));
}

Result<uint64_t> UsageAccounts::GroupCharge(gid_t gid) {
  uint64_t bytes = 0;
  for (const uid_t owner : catalog_.index().Owners()) {
    const std::vector<gid_t> groups = catalog_.accounts().GroupsOf(owner);
    if (std::find(groups.begin(), groups.end(), gid) == groups.end()) continue;
    ASSIGN_OR_RETURN(const Charge charge, CurrentCharge(owner));
    bytes += charge.bytes;
  }
  return bytes;
}

Result<uint64_t> UsageAccounts::LimitOf(const std::string& key) const {
  ASSIGN_OR_RETURN(const auto text, catalog_.records().Get(kQuotas, key));
  catalog::QuotaRecord record;
  if (text && !record.ParseFromString(*text)) {
    return Error(Code::kCorrupt, "catalog: the limit of " + key + " is damaged");
  }
  return record.limit_bytes();
}

Result<uint64_t> UsageAccounts::UserLimit(uid_t uid) const {
  ASSIGN_OR_RETURN(const uint64_t limit, LimitOf(UserKey(uid)));
  if (limit != 0 || uid == 0) return limit;
  return LimitOf(kDefaultKey);
}

Result<std::vector<std::pair<gid_t, uint64_t>>> UsageAccounts::LimitedGroups(uid_t uid) const {
  std::vector<std::pair<gid_t, uint64_t>> limited;
  for (const gid_t gid : catalog_.accounts().GroupsOf(uid)) {
    ASSIGN_OR_RETURN(const uint64_t limit, LimitOf(GroupKey(gid)));
    if (limit != 0) limited.emplace_back(gid, limit);
  }
  return limited;
}

Result<UsageAccounts::Admission> UsageAccounts::Admit(uid_t owner, const v1::Image& draft) {
  Admission admission;
  admission.guard = std::unique_lock(admission_mutex_);
  admission.as_of.push_back(catalog_.records().Mark(OwnerScope(owner)));
  ASSIGN_OR_RETURN(const auto groups, LimitedGroups(owner));
  for (const auto& [gid, group_limit] : groups) {
    admission.as_of.push_back(catalog_.records().Mark(GroupKey(gid)));
  }
  ASSIGN_OR_RETURN(const Charge before, CurrentCharge(owner));
  const Layers layers = LayersOf(owner, {}, &draft);
  ASSIGN_OR_RETURN(const Charge after, ChargeOf(layers));
  // Standing on somebody else's layers may even make it less.
  admission.added.objects = after.objects - std::min(after.objects, before.objects);
  admission.added.bytes = after.bytes - std::min(after.bytes, before.bytes);
  ASSIGN_OR_RETURN(const uint64_t limit, UserLimit(owner));
  if (limit != 0 && after.bytes > limit && after.bytes > before.bytes) {
    return OverLimit("your images hold", before.bytes, admission.added.bytes, limit);
  }
  for (const auto& [gid, group_limit] : groups) {
    ASSIGN_OR_RETURN(const uint64_t used, GroupCharge(gid));
    if (admission.added.bytes > 0 && used + admission.added.bytes > group_limit) {
      return OverLimit("the images of group " + catalog_.accounts().GroupName(gid) + " hold", used,
                       admission.added.bytes, group_limit);
    }
  }
  return admission;
}

Result<std::optional<uint64_t>> UsageAccounts::Room(uid_t owner) {
  std::optional<uint64_t> room;
  const auto narrow = [&room](uint64_t limit, uint64_t used) {
    const uint64_t left = limit - std::min(limit, used);
    room = room ? std::min(*room, left) : left;
  };
  ASSIGN_OR_RETURN(const uint64_t limit, UserLimit(owner));
  if (limit != 0) {
    ASSIGN_OR_RETURN(const Charge charge, CurrentCharge(owner));
    narrow(limit, charge.bytes);
  }
  ASSIGN_OR_RETURN(const auto groups, LimitedGroups(owner));
  for (const auto& [gid, group_limit] : groups) {
    ASSIGN_OR_RETURN(const uint64_t used, GroupCharge(gid));
    narrow(group_limit, used);
  }
  return room;
}

Result<v1::Usage> UsageAccounts::UserReport(uid_t uid) {
  const Layers layers = LayersOf(uid);
  ASSIGN_OR_RETURN(const Charge charge, CurrentCharge(uid));
  v1::Usage usage;
  usage.set_subject("user " + catalog_.accounts().UserName(uid));
  usage.set_images(layers.images);
  usage.set_logical_bytes(layers.logical_bytes);
  usage.set_unique_bytes(charge.bytes);
  uint64_t shared = 0;
  for (const auto& [digest, bytes] : layers.foreign) shared += bytes;
  usage.set_shared_bytes(shared);
  ASSIGN_OR_RETURN(const uint64_t limit, UserLimit(uid));
  usage.set_limit_bytes(limit);
  return usage;
}

Result<v1::UsageResponse> UsageAccounts::Report(uid_t caller, const v1::UsageRequest& request) {
  if (request.all_users() && caller != 0) {
    return Error(Code::kPermissionDenied, "only root sees what everybody's images take");
  }
  v1::UsageResponse response;
  std::set<gid_t> groups;
  const auto add = [&](uid_t uid) -> Status {
    ASSIGN_OR_RETURN(*response.add_usages(), UserReport(uid));
    ASSIGN_OR_RETURN(const auto limited, LimitedGroups(uid));
    for (const auto& [gid, limit] : limited) groups.insert(gid);
    return Ok();
  };
  if (request.all_users()) {
    for (const uid_t owner : catalog_.index().Owners()) RETURN_IF_ERROR(add(owner));
  } else {
    RETURN_IF_ERROR(add(caller));
  }
  for (const gid_t gid : groups) {
    v1::Usage* usage = response.add_usages();
    usage->set_subject("group " + catalog_.accounts().GroupName(gid));
    ASSIGN_OR_RETURN(const uint64_t used, GroupCharge(gid));
    ASSIGN_OR_RETURN(const uint64_t limit, LimitOf(GroupKey(gid)));
    usage->set_unique_bytes(used);
    usage->set_limit_bytes(limit);
  }
  return response;
}

Status UsageAccounts::SetQuota(uid_t caller, const v1::SetQuotaRequest& request) {
  if (caller != 0) return Error(Code::kPermissionDenied, "only root sets limits");
  const std::string& subject = request.subject();
  const size_t colon = subject.find(':');
  const std::string name = colon == std::string::npos ? "" : subject.substr(colon + 1);
  std::string key;
  if (subject == kDefaultKey) {
    key = kDefaultKey;
  } else if (subject.starts_with("user:")) {
    const auto uid = catalog_.accounts().UidOf(name);
    if (!uid) return Error(Code::kNotFound, "there is no user '" + name + "' on this host");
    key = UserKey(*uid);
  } else if (subject.starts_with("group:")) {
    const auto gid = catalog_.accounts().GidOf(name);
    if (!gid) return Error(Code::kNotFound, "there is no group '" + name + "' on this host");
    key = GroupKey(*gid);
  } else {
    return Error(Code::kInvalidArgument,
                 "'" + subject + "' has no limit: write user:NAME, group:NAME or default");
  }
  if (request.limit_bytes() == 0) return catalog_.records().Delete(kQuotas, key);
  catalog::QuotaRecord record;
  record.set_limit_bytes(request.limit_bytes());
  return catalog_.records().Put(kQuotas, key, record.SerializeAsString());
}

}  // namespace strata::imaged
