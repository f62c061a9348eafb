// LazyFills: images that can be used while their objects still come (docs/objects.md, "Lazy
// images"). Each is one file below the directory, durable before the image is published, and gone
// when every object is here or the image is not.
//
// In the background, one after another: the objects that are missing come as in a pull, from the
// host that the image came from, then from others of the cluster that have the image; what nobody
// sends so is asked for one by one. While a program waits for an object, the background pauses.
// When it does not go on it is tried again, ever more seldom, five minutes apart at most.
//
// Thread-safe.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/api/peer.pb.h"
#include "imaged/peers/pull_operation.h"

namespace strata::imaged {

class LazyFills {
 public:
  // Takes up what an earlier imaged left. `parts` must outlive this.
  static Result<std::unique_ptr<LazyFills>> Open(const std::string& directory,
                                                 const PullOperation::Parts& parts);
  // Stops the one that runs; it goes on with the next imaged.
  ~LazyFills();

  // Durable when it returns; begins with Start, when the image is published: one that is nobody's
  // is not filled. `fill` brings image, uid, host, reference, limit.
  Status Add(v1::LazyFill fill);
  void Start(const std::string& image_digest);
  // Of images for which `may_see` says so.
  v1::FillList List(const std::function<bool(const v1::Image&)>& may_see) const;

 private:
  struct Entry {
    v1::LazyFill fill;
    std::chrono::steady_clock::time_point due;
    std::chrono::milliseconds pause;  // After the next failure.
    std::shared_ptr<CancelToken> cancel;
  };

  LazyFills(std::string directory, const PullOperation::Parts& parts)
      : directory_(std::move(directory)), parts_(parts) {}
  std::string PathOf(const std::string& image_digest) const;
  Status Load();
  void Loop(const std::stop_token& stop);
  // REQUIRES: mutex_ is held.
  void Drop(const std::string& image_digest);
  // Ok: complete, or nothing to do any more.
  Status Run(const v1::LazyFill& fill, CancelToken* cancel);
  Status FillFrom(const v1::LazyFill& fill, const PullOperation::Source& source,
                  const CancelToken& cancel, const PullOperation::Progress& progress);
  Status FillOneByOne(const v1::LazyFill& fill, const CancelToken& cancel);
  // Whether any image or container here needs a layer of it.
  Result<bool> IsNeeded(const v1::Image& image) const;
  Result<std::vector<ObjectEntry>> Missing(const v1::Image& image) const;
  void Update(const std::string& image_digest, const std::function<void(v1::LazyFill*)>& change);

  const std::string directory_;
  const PullOperation::Parts parts_;
  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable_any changed_;
  std::map<std::string, Entry> entries_;  // By the image's digest.
  uint64_t starts_ = 0;                   // Wakes the loop.
  std::jthread thread_;                   // Last: it uses all of the above.
};

}  // namespace strata::imaged
