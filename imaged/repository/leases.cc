// Leases, and what may be removed because no name and no lease leads to it.
#include <memory>
#include <unordered_set>

#include "imaged/repository/repository.h"

namespace strata::imaged {
namespace {

constexpr size_t kLeaseNameMax = 256;

Result<v1::Image> ParseLease(const std::string& name, const Lease& lease) {
  v1::Image image;
  if (!image.ParseFromString(lease.image_record)) {
    return Error(Code::kCorrupt, "catalog: the lease " + name + " is damaged");
  }
  return image;
}

}  // namespace

Result<std::vector<std::string>> Repository::LeasesOf(const std::string& image_digest) {
  std::vector<std::string> names;
  RETURN_IF_ERROR(
      catalog_->ForEachLease([&](const std::string& name, const Lease& lease) -> Status {
        ASSIGN_OR_RETURN(const v1::Image image, ParseLease(name, lease));
        if (image.digest() == image_digest) names.push_back(name);
        return Ok();
      }));
  return names;
}

Result<v1::AcquireRootResponse> Repository::AcquireRoot(const v1::AcquireRootRequest& request) {
  if (request.lease().empty() || request.lease().size() > kLeaseNameMax) {
    return Error(Code::kInvalidArgument, "a lease's name has 1-256 bytes");
  }
  // Nothing is collected between finding the image and the durable lease.
  const auto pin = objects_->Pin();
  ASSIGN_OR_RETURN(const v1::Image image, Find(request.on_behalf_of_uid(), request.reference()));
  ASSIGN_OR_RETURN(const auto held, catalog_->GetLease(request.lease()));
  if (held) {
    ASSIGN_OR_RETURN(const v1::Image other, ParseLease(request.lease(), *held));
    if (other.digest() != image.digest()) {
      return Error(Code::kAlreadyExists,
                   "the lease " + request.lease() + " holds another image, " + DisplayName(other));
    }
  }
  ASSIGN_OR_RETURN(const std::vector<Digest> digests, LayerDigests(image));
  v1::AcquireRootResponse response;
  ASSIGN_OR_RETURN(*response.mutable_tree_path(), layers_->FlattenedTree(digests));
  if (!held) {
    RETURN_IF_ERROR(
        catalog_->PutLease(request.lease(), {DisplayName(image), image.SerializeAsString()}));
  }
  response.set_objects_dir(objects_->objects_dir());
  *response.mutable_image() = image;
  return response;
}

Status Repository::ReleaseRoot(const std::string& lease) { return catalog_->DeleteLease(lease); }

Result<v1::Image> Repository::LeasedImage(const std::string& name) {
  ASSIGN_OR_RETURN(const auto lease, catalog_->GetLease(name));
  if (!lease) return Error(Code::kNotFound, "there is no lease " + name);
  return ParseLease(name, *lease);
}

// Runs while nothing is being added to the store, so that what it sees is all there is.
Result<std::function<bool(const Digest&)>> Repository::MarkLive() {
  std::set<Digest> live_layers;
  std::set<std::vector<Digest>> live_stacks;
  const auto add = [&](const v1::Image& image) -> Status {
    ASSIGN_OR_RETURN(std::vector<Digest> layers, LayerDigests(image));
    live_layers.insert(layers.begin(), layers.end());
    live_stacks.insert(std::move(layers));
    return Ok();
  };
  RETURN_IF_ERROR(
      catalog_->ForEachImage([&](const std::string& key, const std::string& record) -> Status {
        v1::Image image;
        if (!image.ParseFromString(record))
          return Error(Code::kCorrupt, "catalog: record of " + key);
        return add(image);
      }));
  RETURN_IF_ERROR(
      catalog_->ForEachLease([&](const std::string& name, const Lease& lease) -> Status {
        ASSIGN_OR_RETURN(const v1::Image image, ParseLease(name, lease));
        return add(image);
      }));
  auto live = std::make_shared<std::unordered_set<Digest, DigestHash>>();
  for (const Digest& layer : live_layers) {
    ASSIGN_OR_RETURN(const auto reader, layers_->OpenManifest(layer));
    ASSIGN_OR_RETURN(const Tree tree, reader->LoadTree(), "layer " + layer.ToString());
    for (InodeIndex i = 0; i < tree.inode_count(); ++i) {
      const Digest& object = tree.inode(i).object;
      if (!object.IsZero()) live->insert(object);
    }
  }
  RETURN_IF_ERROR(layers_->Sweep(live_layers, live_stacks));
  return std::function<bool(const Digest&)>(
      [live](const Digest& digest) { return live->contains(digest); });
}

Result<ObjectStore::Collected> Repository::Collect() {
  return objects_->Collect([this] { return MarkLive(); });
}

}  // namespace strata::imaged
