// PullOperation: one image on its way from another host, step by step; ImagePuller and LazyFills
// put the steps together. See image_puller.h for what is believed and what a break leaves.
//
// Used by one thread. What it found and brought is held and claimed against collections while it
// lives.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/api/peer.grpc.pb.h"
#include "imaged/chunks/chunk_index.h"
#include "imaged/peers/cluster.h"
#include "imaged/peers/pending_images.h"
#include "imaged/repository/repository.h"
#include "imaged/transfer/base_choice.h"
#include "imaged/transfer/partial_files.h"

namespace strata::imaged {

// A host that sends nothing for so long is given up.
constexpr std::chrono::seconds kPullStallMax{30};

class PullOperation {
 public:
  using Progress = std::function<void(const v1::PullProgress&)>;

  // Where from, and for whom.
  struct Source {
    uid_t uid = 0;
    std::string host;
    std::string reference;          // There.
    uint64_t bytes_per_second = 0;  // 0: no limit.
    bool awaits = false;            // The host may be about to receive it.
  };
  struct Parts {
    Cluster* cluster;
    Repository* repository;
    transfer::PartialFiles* partial_files;
    const ChunkLists* chunk_lists;
  };

  // All must outlive it.
  PullOperation(const Parts& parts, const Source& source, const CancelToken& cancel);

  // What the image is. Its digest is that of what is said.
  Result<v1::Image> Resolve();
  // Layers that are here stay; the others become pending.
  Status FetchManifests(const v1::Image& image);
  // The objects that are missing, against what is here already; adds to `result`. `only`: null, or
  // those that are wanted now, in their order.
  Status FetchObjects(const v1::Image& image, const std::vector<Digest>* only,
                      const Progress& progress, v1::PullResult* result);
  // What the image's first start opened there, as far as the image has it; empty: not known.
  // REQUIRES: FetchManifests.
  Result<StartProfile> FetchProfile();
  // Makes the layers visible, then the image. REQUIRES: the objects are here, or their fill is
  // recorded.
  Result<v1::Image> Publish(const Images::Reservation& name, v1::Image image);

  // What is not here. REQUIRES: FetchManifests, for these.
  struct Missing {
    uint64_t objects = 0;
    uint64_t bytes = 0;
  };
  Missing CountMissing() const;
  // kResourceExhausted when the caller's quota does not hold it.
  Status CheckRoom() const;
  // All objects of the image.
  std::set<Digest> Objects() const;
  // What comes from now on is told to `relay`, so that it can be passed on.
  void RelayTo(PendingImage* relay) { relay_ = relay; }
  // Instead of Publish, for an image that a shared catalog names: only its layers come.
  Result<v1::Image> Bring(uid_t caller, const std::string& reference);
  uint64_t manifest_bytes() const { return manifest_bytes_; }

 private:
  Status CommitLayers();
  Status Connect();
  Result<Tree> FetchManifest(const Digest& layer, uint64_t size_bytes, const Ingest& ingest);
  Result<std::vector<Tree>> LoadBases(const v1::Image& image);
  // Large objects here that the user may read, claimed.
  Result<std::vector<ChunkIndex::Held>> HoldLargeObjects();
  Status Transfer(const std::vector<transfer::WantedObject>& objects, const Progress& progress,
                  v1::PullResult* result);
  std::string From() const { return "host " + source_.host; }

  Cluster* const cluster_;
  Repository& repository_;
  transfer::PartialFiles& partial_files_;
  const ChunkLists& chunk_lists_;
  const Source source_;
  const CancelToken& cancel_;
  v1::PeerImage image_;
  std::unique_ptr<v1::PeerService::Stub> stub_;
  ObjectStore::Claims claims_;
  std::vector<Liveness::Hold> holds_;
  std::vector<Digest> pending_;
  std::vector<Tree> trees_;  // Of all layers.
  std::set<std::string> base_layers_;
  uint64_t manifest_bytes_ = 0;
  PendingImage* relay_ = nullptr;  // Null: nothing is passed on meanwhile.
};

// "[OWNER/]NAME@DIGEST" of "[OWNER/]NAME[:TAG]".
std::string PinnedReference(const std::string& reference, const std::string& image_digest);

// What an error of a stream that was given up means.
Error WhyEnded(bool stalled, const std::string& host, const Error& error);

}  // namespace strata::imaged
