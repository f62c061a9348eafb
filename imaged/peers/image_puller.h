// ImagePuller: brings an image of another host here: its record, the manifests that are missing,
// and the objects that are missing, as deltas against what is here already (docs/transfer.md).
//
// Nothing that comes is trusted: the image's digest is computed from what it says, manifests and
// objects are compared with their digests, and the image is published only when all is here. After
// a break, whatever ended it, calling again goes on: manifests wait as pending layers, whose
// objects no collection takes (imaged/repository/layer_store.h), and large objects in parts.
//
// Thread-safe. Of several pulls of one image at the same time one transfers, the others wait and
// find it here.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/api/peer.grpc.pb.h"
#include "imaged/peers/cluster.h"
#include "imaged/peers/cluster_sources.h"
#include "imaged/peers/lazy_fills.h"
#include "imaged/peers/pending_images.h"
#include "imaged/peers/pull_operation.h"
#include "imaged/repository/repository.h"
#include "imaged/service/layer_bringer.h"
#include "imaged/transfer/partial_files.h"

namespace strata::imaged {

class ImagePuller : public LayerBringer {
 public:
  using Progress = std::function<void(const v1::PullProgress&)>;

  // Both must outlive this.
  static Result<std::unique_ptr<ImagePuller>> Open(Cluster* cluster, Repository* repository);

  // Errors: of the name here (Images::Reserve); of the other host; kCorrupt when it sent something
  // else than it said; kDeadlineExceeded when it sent nothing for half a minute; kResourceExhausted
  // for a full disk or a limit.
  Result<v1::PullResult> Pull(uid_t caller, const v1::PullRequest& request,
                              const Progress& progress, const CancelToken& cancel);
  // As Pull, from the first of the chain's sources that has it, the request's host last. What came
  // from one stays when the next is asked. While it runs, other hosts get from here what came
  // (pending()).
  Result<v1::PullResult> PullFromAny(uid_t caller, const v1::PullRequest& request,
                                     const v1::Chain& chain, const Progress& progress,
                                     const CancelToken& cancel);
  // Of an image that a shared catalog names and that is not here: pulls its layers from the first
  // host of the cluster that has it, the one that had the last one first. A few hosts that do not
  // answer end the search.
  Status Bring(uid_t caller, const std::string& reference, const ProgressSink& progress,
               const CancelToken& cancel) override;
  // Has another host pull an image from here.
  Result<v1::PullResult> Push(uid_t caller, const v1::PushRequest& request,
                              const Progress& progress, const CancelToken& cancel);

  // Lazy images that are still being filled: one, or all that the caller may use. kNotFound.
  Result<v1::FillList> Fills(uid_t caller, const std::string& reference) const;

  // What a copy of the image is called on other hosts: "[OWNER/]NAME@DIGEST". kNotFound.
  Result<std::string> ReferenceThere(uid_t caller, const std::string& reference) const;

  // The hosts of the cluster but this one that take calls. kFailedPrecondition: it is in none.
  Result<std::vector<std::string>> OtherHosts() const;
  Repository* repository() const { return repository_; }
  std::string UserName(uid_t uid) const { return repository_->catalog().accounts().UserName(uid); }

  const ChunkLists& chunk_lists() const { return *chunk_lists_; }
  const PendingImages& pending() const { return pending_; }
  // What this host sent of objects, since it was started.
  void CountSent(uint64_t bytes) { sent_bytes_ += bytes; }
  uint64_t sent_bytes() const { return sent_bytes_; }

 private:
  using Relay = std::optional<PendingImages::Announcement>;

  // `relay`: null, or where the image is announced. `awaits`: the source may be about to receive
  // it.
  Result<v1::PullResult> PullOnce(uid_t caller, const v1::PullRequest& request, Relay* relay,
                                  bool awaits, const Progress& progress, const CancelToken& cancel);

  ImagePuller(Cluster* cluster, Repository* repository)
      : cluster_(cluster), repository_(repository), sources_(cluster) {}
  PullOperation::Parts OperationParts() const {
    return {cluster_, repository_, partial_files_.get(), chunk_lists_.get()};
  }
  // Adds those that joined since this host last read the list; false: none.
  bool AddJoined(std::vector<std::string>* hosts) const;
  // Other hosts may ask for the image from now on.
  void Announce(uid_t caller, const v1::Image& image, std::set<Digest> objects, Relay* relay,
                const Progress& progress);
  // Brings what a start needs, and records that the rest is to come.
  Status PrepareLazy(uid_t caller, const v1::PullRequest& request, const v1::Image& image,
                     PullOperation* operation, const Progress& progress, v1::PullResult* result);
  // Waits until nobody else pulls this image. `*running` owns what is locked.
  Result<std::unique_lock<std::timed_mutex>> OneAtATime(const std::string& image_digest,
                                                        std::shared_ptr<std::timed_mutex>* running,
                                                        const CancelToken& cancel);

  Cluster* const cluster_;
  Repository* const repository_;
  ClusterSources sources_;
  std::unique_ptr<transfer::PartialFiles> partial_files_;
  std::unique_ptr<ChunkLists> chunk_lists_;
  PendingImages pending_;
  std::atomic<uint64_t> sent_bytes_ = 0;
  std::mutex mutex_;          // Guards running_ (the map, not the mutexes in it) and brought_from_.
  std::string brought_from_;  // The host that had the image which was brought last.
  std::map<std::string, std::weak_ptr<std::timed_mutex>> running_;  // By the image's digest.
  std::unique_ptr<LazyFills> fills_;  // Last: its thread uses the above.
};

}  // namespace strata::imaged
