#include "imaged/peers/pending_images.h"

#include <fcntl.h>

#include <algorithm>

#include "common/file_io.h"

namespace strata::imaged {

Result<UniqueFd> PendingImage::OpenManifest(const std::string& layer) const {
  const bool ours =
      std::any_of(image_.layers().begin(), image_.layers().end(),
                  [&](const v1::Layer& candidate) { return candidate.digest() == layer; });
  if (!ours) return Error(Code::kNotFound, "the image has no layer " + layer);
  ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(layer));
  auto fd = Open(repository_->layers().PendingPath(digest), O_RDONLY);
  // It was here before, or is published by now.
  return fd.ok() ? std::move(fd) : Open(repository_->layers().ManifestPath(digest), O_RDONLY);
}

Result<transfer::SourceObject> PendingImage::WaitForObject(const Digest& digest,
                                                           std::chrono::milliseconds stall_max) {
  if (!objects_.contains(digest)) {
    return Error(Code::kNotFound, "object " + digest.ToString() + " is not offered");
  }
  return arrivals_.WaitFor(digest, stall_max);
}

PendingImages::Announcement::Announcement(PendingImages* images,
                                          std::shared_ptr<PendingImage> image)
    : images_(images), image_(std::move(image)) {
  const std::lock_guard lock(images_->mutex_);
  images_->images_.push_back(image_);
}

PendingImages::Announcement::~Announcement() {
  {
    const std::lock_guard lock(images_->mutex_);
    std::erase(images_->images_, image_);
  }
  image_->arrivals().End();
}

std::shared_ptr<PendingImage> PendingImages::Find(uid_t uid, const std::string& reference) const {
  const size_t at = reference.find('@');
  if (at == std::string::npos) return nullptr;
  const std::lock_guard lock(mutex_);
  for (const auto& image : images_) {
    if (image->uid() == uid && image->image().digest() == reference.substr(at + 1)) return image;
  }
  return nullptr;
}

}  // namespace strata::imaged
