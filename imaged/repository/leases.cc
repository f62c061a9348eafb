// Roots of containers: an image's tree, kept by a lease.
#include "imaged/repository/repository.h"

namespace strata::imaged {

Result<v1::AcquireRootResponse> Repository::AcquireRoot(const v1::AcquireRootRequest& request) {
  ASSIGN_OR_RETURN(const Liveness::HeldImage held,
                   HoldImage(request.on_behalf_of_uid(), request.reference()));
  if (request.leases().empty()) {
    return Error(Code::kInvalidArgument, "a root is acquired with a lease at least");
  }
  v1::AcquireRootResponse response;
  ASSIGN_OR_RETURN(*response.mutable_tree_path(), layers_->FlattenedTree(held.hold.stack()));
  RETURN_IF_ERROR(
      catalog_->leases().Take({request.leases().begin(), request.leases().end()}, held.image));
  layers_->NoteUse(held.hold.stack());
  response.set_objects_dir(objects_->objects_dir());
  const auto profile = layers_->Profile(held.hold.stack());
  response.set_start_unknown(profile.ok() && profile->empty());
  *response.mutable_image() = held.image;
  return response;
}

Status Repository::ReleaseRoot(const std::string& lease) {
  return catalog_->leases().Release(lease);
}

Result<Liveness::HeldImage> Repository::HoldLeased(const std::string& lease) {
  return liveness_.HoldFound([&]() -> Result<v1::Image> {
    ASSIGN_OR_RETURN(auto image, catalog_->leases().Find(lease));
    if (!image) return Error(Code::kNotFound, "there is no lease " + lease);
    return std::move(*image);
  });
}

Result<Liveness::HeldImage> Repository::HoldImage(uid_t caller, const std::string& reference) {
  ASSIGN_OR_RETURN(Liveness::HeldImage held, HoldNamed(caller, reference));
  RETURN_IF_ERROR(CheckIsHere(held.image));
  return held;
}

Result<Liveness::HeldImage> Repository::HoldNamed(uid_t caller, const std::string& reference) {
  return liveness_.HoldFound([&] { return images().Find(caller, reference); });
}

}  // namespace strata::imaged
