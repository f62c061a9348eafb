// ImageOffer: one image of this host, as another host may read it for one of its users: its record,
// the manifests of its layers, their objects, and nothing else. A question about anything else is
// answered as if it were not there, so nothing can be probed.
//
// The layers are held while this lives. Thread-safe after Open.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "imaged/api/peer.pb.h"
#include "imaged/peers/pending_images.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

class ImageOffer {
 public:
  // kNotFound when there is no such image for the user, neither published nor in `pending`, where
  // it is waited for. Both must outlive this.
  static Result<std::unique_ptr<ImageOffer>> Open(
      Repository* repository, const PendingImages& pending, const v1::PeerImage& image,
      std::chrono::seconds wait_max = std::chrono::seconds(0));

  const v1::Image& image() const { return pending_ ? pending_->image() : held_->image; }
  // kNotFound for a layer that is none of the image's.
  Result<UniqueFd> OpenManifest(const std::string& layer) const;
  // Objects of these layers may be read too, as far as the user may use an image with them: they
  // are what a delta is made against.
  Status AllowBases(const google::protobuf::RepeatedPtrField<std::string>& layers);
  // An object of the image, or of a base; of an image that still comes, blocks until there is
  // something of it. kNotFound, also when it does not come on.
  Result<transfer::SourceObject> OpenObject(const Digest& digest) const;
  // Whether OpenObject would not block.
  bool IsHere(const Digest& digest) const;

 private:
  ImageOffer(Repository* repository, uid_t uid) : repository_(repository), uid_(uid) {}

  Repository* const repository_;
  const uid_t uid_;
  // One of the two.
  std::optional<Liveness::HeldImage> held_;
  std::shared_ptr<PendingImage> pending_;
  mutable std::atomic<bool> stalled_ = false;
  std::vector<Liveness::Hold> bases_;
  std::vector<std::shared_ptr<const ObjectList>> lists_;
};

}  // namespace strata::imaged
