#include "imaged/peers/pending_images.h"

#include <fcntl.h>

#include <algorithm>

#include "common/file_io.h"

namespace strata::imaged {
namespace {

// A host of a chain may be asked a little before it is told that it is part of one.
constexpr std::chrono::milliseconds kExpectationMax{2000};

// "" when the reference has none.
std::string DigestIn(const std::string& reference) {
  const size_t at = reference.find('@');
  return at == std::string::npos ? std::string() : reference.substr(at + 1);
}

}  // namespace

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
  images_->changed_.notify_all();
}

PendingImages::Announcement::~Announcement() {
  {
    const std::lock_guard lock(images_->mutex_);
    std::erase(images_->images_, image_);
  }
  image_->arrivals().End();
}

PendingImages::Expectation::Expectation(PendingImages* images, uid_t uid,
                                        const std::string& reference)
    : images_(images), what_(uid, DigestIn(reference)) {
  const std::lock_guard lock(images_->mutex_);
  images_->expected_.insert(what_);
  images_->changed_.notify_all();
}

PendingImages::Expectation::~Expectation() {
  const std::lock_guard lock(images_->mutex_);
  images_->expected_.erase(images_->expected_.find(what_));
  images_->changed_.notify_all();
}

std::shared_ptr<PendingImage> PendingImages::FindLocked(uid_t uid,
                                                        const std::string& digest) const {
  for (const auto& image : images_) {
    if (image->uid() == uid && image->image().digest() == digest) return image;
  }
  return nullptr;
}

std::shared_ptr<PendingImage> PendingImages::Find(uid_t uid, const std::string& reference) const {
  const std::lock_guard lock(mutex_);
  return FindLocked(uid, DigestIn(reference));
}

std::shared_ptr<PendingImage> PendingImages::Await(uid_t uid, const std::string& reference,
                                                   std::chrono::milliseconds time_max) const {
  const std::string digest = DigestIn(reference);
  const auto start = std::chrono::steady_clock::now();
  const auto expected = [&] { return expected_.contains({uid, digest}); };
  std::unique_lock lock(mutex_);
  while (true) {
    if (auto image = FindLocked(uid, digest); image != nullptr) return image;
    const bool was_expected = expected();
    const auto end = start + (was_expected ? time_max : std::min(time_max, kExpectationMax));
    const bool changed = changed_.wait_until(lock, end, [&] {
      return FindLocked(uid, digest) != nullptr || expected() != was_expected;
    });
    if (!changed) return nullptr;
  }
}

}  // namespace strata::imaged
