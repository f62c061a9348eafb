#include "imaged/peers/image_offer.h"

#include <fcntl.h>

#include <algorithm>
#include <set>

#include "common/file_io.h"

namespace strata::imaged {
namespace {

constexpr int kBaseLayersMax = 256;
// A user that this host does not know: he may use what is public. No uid of the kernel's.
constexpr uid_t kStranger = 0xFFFFFFFE;
// Less than the silence that a receiver takes, so that it hears of it.
constexpr std::chrono::seconds kPendingStallMax{20};
constexpr std::chrono::seconds kAwaitMax{20};

}  // namespace

Result<std::unique_ptr<ImageOffer>> ImageOffer::Open(Repository* repository,
                                                     const PendingImages& pending,
                                                     const v1::PeerImage& image,
                                                     std::chrono::seconds wait_max) {
  if (image.user().empty()) return Error(Code::kInvalidArgument, "the call names no user");
  const uid_t uid = repository->catalog().accounts().UidOf(image.user()).value_or(kStranger);
  std::unique_ptr<ImageOffer> offer(new ImageOffer(repository, uid));
  // Looked for before the published one: it may become that in between.
  offer->pending_ = pending.Find(uid, image.reference());
  auto held = repository->HoldImage(uid, image.reference());
  if (!held.ok()) {
    if (offer->pending_ == nullptr && wait_max.count() > 0) {
      offer->pending_ = pending.Await(uid, image.reference(), std::min(wait_max, kAwaitMax));
    }
    if (offer->pending_ == nullptr) return held.error();
    return offer;
  }
  offer->pending_ = nullptr;
  offer->held_.emplace(std::move(*held));
  for (const Digest& layer : offer->held_->hold.stack()) {
    ASSIGN_OR_RETURN(offer->lists_.emplace_back(), repository->layers().Objects(layer));
  }
  return offer;
}

Result<UniqueFd> ImageOffer::OpenManifest(const std::string& layer) const {
  if (pending_ != nullptr) return pending_->OpenManifest(layer);
  ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(layer));
  const LayerStack& stack = held_->hold.stack();
  if (std::find(stack.begin(), stack.end(), digest) == stack.end()) {
    return Error(Code::kNotFound, DisplayName(held_->image) + " has no layer " + layer);
  }
  return strata::Open(repository_->layers().ManifestPath(digest), O_RDONLY);
}

Status ImageOffer::AllowBases(const google::protobuf::RepeatedPtrField<std::string>& layers) {
  if (layers.size() > kBaseLayersMax) {
    return Error(Code::kInvalidArgument,
                 "at most " + std::to_string(kBaseLayersMax) + " layers may be bases");
  }
  std::set<Digest> wanted;
  for (const std::string& layer : layers) {
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(layer));
    wanted.insert(digest);
  }
  for (const Digest& digest : repository_->images().ReadableLayers(uid_, wanted)) {
    auto hold = repository_->liveness().HoldIf(
        {digest}, [&] { return PathExists(repository_->layers().ManifestPath(digest)); });
    if (!hold) continue;  // Deleted just now.
    bases_.push_back(std::move(*hold));
    ASSIGN_OR_RETURN(lists_.emplace_back(), repository_->layers().Objects(digest));
  }
  return Ok();
}

bool ImageOffer::IsHere(const Digest& digest) const {
  return pending_ == nullptr || stalled_ || pending_->IsHere(digest);
}

Result<transfer::SourceObject> ImageOffer::OpenObject(const Digest& digest) const {
  const bool offered = std::any_of(lists_.begin(), lists_.end(),
                                   [&](const auto& list) { return list->Contains(digest); });
  if (offered) return repository_->objects().OpenObject(digest);
  if (pending_ != nullptr && !stalled_) {
    auto object = pending_->WaitForObject(digest, kPendingStallMax);
    if (object.ok() || object.error().code() == Code::kNotFound) return object;
    stalled_ = true;  // The others need not be waited for as well.
  }
  return Error(Code::kNotFound, "object " + digest.ToString() + " is not offered");
}

}  // namespace strata::imaged
