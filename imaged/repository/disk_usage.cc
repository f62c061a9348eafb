// What each image of a user takes: one merge of the object lists of all his layers, in which every
// object knows the images that need it.
#include <algorithm>

#include "imaged/repository/usage.h"

namespace strata::imaged {
namespace {

// A layer of the user's images.
struct UsedLayer {
  Digest digest;
  bool own = false;
  std::vector<uint32_t> versions;  // That have it, ascending.
};

// The only version that has one of the layers at `positions`; nullopt when several have.
std::optional<uint32_t> OnlyVersion(const std::vector<UsedLayer>& layers,
                                    std::span<const uint32_t> positions) {
  std::optional<uint32_t> only;
  for (const uint32_t at : positions) {
    for (const uint32_t version : layers[at].versions) {
      if (only && *only != version) return std::nullopt;
      only = version;
    }
  }
  return only;
}

}  // namespace

Status UsageAccounts::AddPerImage(uid_t uid, v1::DiskUsageResponse* response) {
  const Layers charged = LayersOf(uid);
  std::vector<ImageIndex::Version> versions;
  catalog_.index().ForEachVersionOf(
      uid, [&](const ImageIndex::Version& version) { versions.push_back(version); });
  std::map<Digest, uint32_t> positions;
  std::vector<UsedLayer> layers;
  std::vector<v1::ImageUsage> usages(versions.size());
  for (uint32_t v = 0; v < versions.size(); ++v) {
    usages[v].set_logical_bytes(versions[v].size_bytes);
    for (const auto& layer : versions[v].layers) {
      const auto [it, added] =
          positions.try_emplace(layer.digest, static_cast<uint32_t>(layers.size()));
      if (added) layers.push_back({layer.digest, charged.own.contains(layer.digest), {}});
      layers[it->second].versions.push_back(v);
      if (!layers[it->second].own) {
        usages[v].set_foreign_bytes(usages[v].foreign_bytes() + layer.content_bytes);
      }
    }
  }
  std::vector<std::shared_ptr<const ObjectList>> lists;
  std::vector<UsedLayer> listed;  // Those of the lists.
  for (const UsedLayer& layer : layers) {
    ASSIGN_OR_RETURN(auto list, ListOf(layer.digest));
    const bool here = list != nullptr;
    if (here) {
      lists.push_back(std::move(list));
      listed.push_back(layer);
    }
    const auto sizes = charged.own.find(layer.digest);
    if (sizes == charged.own.end()) continue;
    const uint64_t bytes = sizes->second.manifest + (here ? 0 : sizes->second.content);
    for (const uint32_t v : layer.versions) {
      v1::ImageUsage& usage = usages[v];
      if (layer.versions.size() == 1) {
        usage.set_own_bytes(usage.own_bytes() + bytes);
      } else {
        usage.set_shared_bytes(usage.shared_bytes() + bytes);
      }
    }
  }
  MergeObjectLists(lists, [&](const ObjectEntry& entry, std::span<const uint32_t> at) {
    if (!std::all_of(at.begin(), at.end(), [&](uint32_t i) { return listed[i].own; })) return;
    if (const auto only = OnlyVersion(listed, at)) {
      usages[*only].set_own_bytes(usages[*only].own_bytes() + entry.size_bytes);
      return;
    }
    std::set<uint32_t> having;
    for (const uint32_t i : at) having.insert(listed[i].versions.begin(), listed[i].versions.end());
    for (const uint32_t v : having) {
      usages[v].set_shared_bytes(usages[v].shared_bytes() + entry.size_bytes);
    }
  });
  for (uint32_t v = 0; v < versions.size(); ++v) {
    std::string names;
    for (const auto& tag : catalog_.index().TagsOf(versions[v].name, versions[v].digest)) {
      names += (names.empty() ? "" : ", ") + tag->display;
    }
    if (names.empty()) {
      Reference version = versions[v].name;
      version.digest_prefix.resize(12);
      names = version.ToString(catalog_.accounts());
    }
    usages[v].set_reference(names);
    ASSIGN_OR_RETURN(const auto leases, catalog_.leases().Of(versions[v].digest.ToString()));
    usages[v].set_leases(leases.size());
    *response->add_images() = std::move(usages[v]);
  }
  return Ok();
}

Result<v1::DiskUsageResponse> UsageAccounts::PerImage(uid_t caller,
                                                      const v1::DiskUsageRequest& request) {
  v1::DiskUsageResponse response;
  if (request.all_users()) {
    if (caller != 0) {
      return Error(Code::kPermissionDenied, "only root sees what everybody's images take");
    }
    for (const uid_t owner : catalog_.index().Owners()) {
      RETURN_IF_ERROR(AddPerImage(owner, &response));
    }
  } else {
    RETURN_IF_ERROR(AddPerImage(caller, &response));
  }
  std::stable_sort(response.mutable_images()->begin(), response.mutable_images()->end(),
                   [](const auto& a, const auto& b) { return a.own_bytes() > b.own_bytes(); });
  return response;
}

}  // namespace strata::imaged
