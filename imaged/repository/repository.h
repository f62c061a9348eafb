// Repository: the images of one host. Knows who may do what with which image, and puts store,
// manifests and catalog together in the order that survives a crash (docs/formats.md).
//
// Rights: an owner (and root) may do everything with his images; a public image may be read by
// every user. An image that the caller may not read does not exist for him (kNotFound), so names
// cannot be probed.
//
// Thread-safe. Two operations that write one name at the same time: the second is refused
// (kFailedPrecondition).
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/archive/pax_writer.h"
#include "imaged/archive/tar_reader.h"
#include "imaged/catalog/catalog.h"
#include "imaged/catalog/reference.h"
#include "imaged/repository/layer_store.h"
#include "imaged/repository/object_provider.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

// Receives the progress of a long operation; called from its thread.
using ProgressSink = std::function<void(const v1::Progress&)>;

class Repository {
 public:
  // Opens or creates the repository below `state_dir`. `fetchers`: where else objects may be had.
  static Result<std::unique_ptr<Repository>> Open(
      const std::string& state_dir, std::vector<std::unique_ptr<ObjectFetcher>> fetchers = {});

  ObjectStore& objects() { return *objects_; }
  ObjectProvider& provider() { return provider_; }
  LayerStore& layers() { return *layers_; }

  // kNotFound when there is no such image for the caller.
  Result<v1::Image> Find(uid_t caller, const std::string& reference);
  Result<std::vector<v1::Image>> List(uid_t caller, const v1::ListRequest& request);
  Result<v1::ShowResponse> Show(uid_t caller, const std::string& reference);
  Result<v1::ListFilesResponse> ListFiles(uid_t caller, const v1::ListFilesRequest& request);

  Result<v1::ImportResult> Import(uid_t caller, const v1::ImportOptions& options,
                                  const ByteSource& tar, const CancelToken& cancel,
                                  const ProgressSink& progress);
  Status Export(uid_t caller, const std::string& reference, const ByteSink& sink,
                const CancelToken& cancel);
  Result<v1::Image> Share(uid_t caller, const v1::ShareRequest& request);
  // kFailedPrecondition names the leases when the image is in use.
  Result<v1::DeleteResponse> Delete(uid_t caller, const std::string& reference);

  using ProblemSink = std::function<void(const std::string&)>;
  // Verifies every manifest, cached tree and object of the images once. A damaged or missing object
  // is replaced when a source has it, and reported either way.
  Result<v1::FsckResult> Fsck(uid_t caller, const std::string& reference, const CancelToken& cancel,
                              const ProgressSink& progress, const ProblemSink& problem);

  // Leases, for the host's daemons. A released lease that was not taken is Ok.
  Result<v1::AcquireRootResponse> AcquireRoot(const v1::AcquireRootRequest& request);
  Status ReleaseRoot(const std::string& lease);
  // The image that a lease holds. kNotFound.
  Result<v1::Image> LeasedImage(const std::string& lease);

  // A name that is about to be written: nobody else may write it while this lives.
  class NameReservation {
   public:
    NameReservation(NameReservation&& other) noexcept
        : repository_(std::exchange(other.repository_, nullptr)),
          reference_(std::move(other.reference_)) {}
    NameReservation& operator=(NameReservation&&) = delete;
    ~NameReservation();
    const Reference& reference() const { return reference_; }

   private:
    friend class Repository;
    NameReservation(Repository* repository, Reference reference)
        : repository_(repository), reference_(std::move(reference)) {}
    Repository* repository_;
    Reference reference_;
  };
  // kAlreadyExists when the name is taken and `replace` is false; kPermissionDenied when it is
  // under another owner.
  Result<NameReservation> Reserve(uid_t caller, const std::string& reference, bool replace);
  // Makes `layer` durable on top of `below`, and publishes the image under the reserved name.
  // `draft` brings description, visibility, configuration and lineage; the rest is filled in.
  Result<v1::Image> Publish(const NameReservation& name, v1::Image draft, const Tree& layer,
                            uint64_t content_bytes, Ingest* ingest);

 private:
  Repository(std::unique_ptr<ObjectStore> objects, std::unique_ptr<LayerStore> layers,
             std::unique_ptr<Catalog> catalog, std::vector<std::unique_ptr<ObjectFetcher>> fetchers)
      : objects_(std::move(objects)),
        layers_(std::move(layers)),
        catalog_(std::move(catalog)),
        provider_(*objects_, std::move(fetchers)) {}

  Result<Tree> LoadFlattened(const v1::Image& image);
  Result<v1::Image> FindOwned(uid_t caller, const std::string& reference, Reference* parsed);
  Result<std::vector<std::string>> LeasesOf(const std::string& image_digest);
  Result<ObjectStore::Collected> Collect();
  // fsck: "" for a sound object, otherwise what is wrong with it and what was done about it.
  std::string CheckObject(const Digest& digest, const CancelToken& cancel);
  Result<std::function<bool(const Digest&)>> MarkLive();

  const std::unique_ptr<ObjectStore> objects_;
  const std::unique_ptr<LayerStore> layers_;
  const std::unique_ptr<Catalog> catalog_;
  ObjectProvider provider_;
  std::mutex mutex_;                // Guards reserved_.
  std::set<std::string> reserved_;  // Keys being written.
};

// The digests of an image's layers, bottom first. kCorrupt for a damaged record.
Result<std::vector<Digest>> LayerDigests(const v1::Image& image);

// "owner/name:tag", as people see it.
std::string DisplayName(const v1::Image& image);

}  // namespace strata::imaged
