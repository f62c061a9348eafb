// PendingImages: images that this host is still receiving, and passes on while it does. A host
// further down the chain asks for an object, and gets it as soon as it is verified here
// (docs/transfer.md, "To many hosts").
//
// An image is announced for the user it is pulled for, who may use it at the source, and is there
// for no other. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/repository/repository.h"
#include "imaged/transfer/arrivals.h"

namespace strata::imaged {

class PendingImage {
 public:
  // `repository` must outlive it.
  PendingImage(Repository* repository, uid_t uid, v1::Image image, std::set<Digest> objects)
      : repository_(repository),
        uid_(uid),
        image_(std::move(image)),
        objects_(std::move(objects)),
        arrivals_(repository->objects()) {}

  uid_t uid() const { return uid_; }
  const v1::Image& image() const { return image_; }
  // kNotFound for a layer that is none of the image's.
  Result<UniqueFd> OpenManifest(const std::string& layer) const;
  // Blocks until there is something of the object. kNotFound: none of the image's, or the pull
  // ended without it. kUnavailable: nothing came for `stall_max`.
  Result<transfer::SourceObject> WaitForObject(const Digest& digest,
                                               std::chrono::milliseconds stall_max);
  bool IsHere(const Digest& digest) const { return arrivals_.IsHere(digest); }

  // Told what comes; ended when the pull does, one way or the other.
  transfer::Arrivals& arrivals() { return arrivals_; }

 private:
  Repository* const repository_;
  const uid_t uid_;
  const v1::Image image_;
  const std::set<Digest> objects_;
  transfer::Arrivals arrivals_;
};

class PendingImages {
 public:
  // Announced while it lives; ends the image when it goes.
  class Announcement {
   public:
    Announcement(PendingImages* images, std::shared_ptr<PendingImage> image);
    Announcement(const Announcement&) = delete;
    Announcement& operator=(const Announcement&) = delete;
    ~Announcement();
    PendingImage& image() const { return *image_; }

   private:
    PendingImages* const images_;
    const std::shared_ptr<PendingImage> image_;
  };

  // While it lives, an image of that digest is about to be announced.
  class Expectation {
   public:
    Expectation(PendingImages* images, uid_t uid, const std::string& reference);
    Expectation(const Expectation&) = delete;
    Expectation& operator=(const Expectation&) = delete;
    ~Expectation();

   private:
    PendingImages* const images_;
    const std::pair<uid_t, std::string> what_;
  };

  // By "[OWNER/]NAME@DIGEST": only the digest counts, since the name is given at the end. Null.
  std::shared_ptr<PendingImage> Find(uid_t uid, const std::string& reference) const;
  // The same, but waits for it: `time_max` when it is expected, and a moment in which it may become
  // so.
  std::shared_ptr<PendingImage> Await(uid_t uid, const std::string& reference,
                                      std::chrono::milliseconds time_max) const;

 private:
  std::shared_ptr<PendingImage> FindLocked(uid_t uid, const std::string& digest) const;

  mutable std::mutex mutex_;  // Guards what follows.
  mutable std::condition_variable changed_;
  std::vector<std::shared_ptr<PendingImage>> images_;
  std::multiset<std::pair<uid_t, std::string>> expected_;  // User and digest.
};

}  // namespace strata::imaged
