// Repository: the images of one host with their bytes. Puts store, manifests and catalog together
// in the order that survives a crash (docs/formats.md). Names and rights are the catalog's
// (imaged/catalog/images.h); every operation here asks it first.
//
// Thread-safe. Two operations that write one name at the same time: the second is refused
// (kFailedPrecondition).
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/api/host_image.pb.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/archive/pax_writer.h"
#include "imaged/archive/tar_reader.h"
#include "imaged/catalog/catalog.h"
#include "imaged/events/event_log.h"
#include "imaged/repository/background_check.h"
#include "imaged/repository/collector.h"
#include "imaged/repository/layer_store.h"
#include "imaged/repository/liveness.h"
#include "imaged/repository/object_provider.h"
#include "imaged/repository/usage.h"
#include "imaged/save/secret_scrub.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

// Receives the progress of a long operation; called from its thread.
using ProgressSink = std::function<void(const v1::Progress&)>;

class Repository {
 public:
  // Opens or creates the repository below `state_dir`. `fetchers`: where else objects may be had.
  static Result<std::unique_ptr<Repository>> Open(
      const std::string& state_dir, std::vector<std::unique_ptr<ObjectFetcher>> fetchers = {},
      const CatalogOptions& options = {});

  // The same with records that are elsewhere: in a catalog that several hosts share. REQUIRES: they
  // are those that the layers in `state_dir` belong to; what they do not name is removed.
  static Result<std::unique_ptr<Repository>> OpenShared(
      const std::string& state_dir, std::unique_ptr<records::RecordStore> records,
      std::vector<std::unique_ptr<ObjectFetcher>> fetchers, const CatalogOptions& options);

  ObjectStore& objects() { return *objects_; }
  ObjectProvider& provider() { return provider_; }
  LayerStore& layers() { return *layers_; }
  Catalog& catalog() { return *catalog_; }
  Images& images() { return catalog_->images(); }
  UsageAccounts& usage() { return usage_; }
  Collector& collector() { return collector_; }
  Liveness& liveness() { return liveness_; }
  BackgroundCheck& background_check() { return background_check_; }
  EventLog& events() { return *events_; }

  Result<v1::ShowResponse> Show(uid_t caller, const std::string& reference);
  Result<v1::ListFilesResponse> ListFiles(uid_t caller, const v1::ListFilesRequest& request);

  Result<v1::ImportResult> Import(uid_t caller, const v1::ImportOptions& options,
                                  const ByteSource& tar, const CancelToken& cancel,
                                  const ProgressSink& progress);
  // `paths`: only these and what is below them; empty: everything.
  Status Export(uid_t caller, const std::string& reference, const ByteSink& sink,
                const CancelToken& cancel, const std::vector<std::string>& paths = {});
  // Images::Tag, while the layers are held; with Share's look at secrets when the name is shared.
  Result<v1::Image> Tag(uid_t caller, const v1::TagRequest& request,
                        const CancelToken& cancel = CancelToken());
  // The same layers with another configuration; Tag's look at secrets.
  Result<v1::Image> Configure(uid_t caller, const v1::ConfigureRequest& request,
                              const CancelToken& cancel = CancelToken());
  // Batches of entries as they are found; `sink` ends the comparison with an error.
  using DiffSink = std::function<Status(const v1::DiffEvent&)>;
  Status Diff(uid_t caller, const v1::DiffRequest& request, const DiffSink& sink,
              const CancelToken& cancel);
  Result<v1::RebaseResponse> Rebase(uid_t caller, const v1::RebaseRequest& request,
                                    const CancelToken& cancel = CancelToken());
  Result<v1::ScrubResponse> Scrub(uid_t caller, const v1::ScrubRequest& request,
                                  const CancelToken& cancel = CancelToken());
  // Images::Share; kFailedPrecondition names secrets that others would get to see.
  Result<v1::Image> Share(uid_t caller, const v1::ShareRequest& request,
                          const CancelToken& cancel = CancelToken());

  // kFailedPrecondition when layers of an image of a shared catalog are not on this host.
  Status CheckIsHere(const v1::Image& image) const;

  // kFailedPrecondition names the leases when the image is in use and `force` is not asked for.
  Result<v1::DeleteResponse> Delete(uid_t caller, const v1::DeleteRequest& request,
                                    const CancelToken& cancel = CancelToken());
  Result<v1::PruneResponse> Prune(uid_t caller, const v1::PruneRequest& request,
                                  const CancelToken& cancel = CancelToken());

  using ProblemSink = std::function<void(const std::string&)>;
  // Verifies every manifest, cached tree and object of the images once. A damaged or missing object
  // is replaced when a source has it, and reported either way.
  Result<v1::FsckResult> Fsck(uid_t caller, const std::string& reference, const CancelToken& cancel,
                              const ProgressSink& progress, const ProblemSink& problem);

  // Leases, for the host's daemons. A released lease that was not taken is Ok.
  Result<v1::AcquireRootResponse> AcquireRoot(const v1::AcquireRootRequest& request);
  Status ReleaseRoot(const std::string& lease);
  // Keeps which objects the paths of a root are that its start opened, unless that is known
  // already; answers how many. Paths that the image does not have are left out.
  Result<uint64_t> RecordStart(const v1::RecordStartRequest& request);
  // The whole flattened tree of layers that are held.
  Result<Tree> LoadFlattened(const LayerStack& layers);
  // The image that a lease holds; its layers stay until the answer goes. kNotFound.
  Result<Liveness::HeldImage> HoldLeased(const std::string& lease);
  // The same for an image that the caller may use.
  Result<Liveness::HeldImage> HoldImage(uid_t caller, const std::string& reference);

  // Objects of layers that are not here, each once. Layers without a manifest have none.
  Result<std::vector<ObjectEntry>> Missing(const LayerStack& layers) const;
  // Fetches what is missing of layers that are held: of an image that is still being filled.
  Status ProvideAll(const LayerStack& layers, const CancelToken& cancel);

  // An operation that will publish under `name`: bound by what its owner may still have.
  Result<std::unique_ptr<Ingest>> StartIngest(const Images::Reservation& name,
                                              const CancelToken& cancel);
  // What an operation brought, when all of it is staged.
  struct NewLayer {
    const Tree& tree;
    uint64_t content_bytes = 0;
    Ingest* ingest = nullptr;
  };
  // A layer that is durable, and stays until the image that needs it is published.
  struct CommittedLayer {
    v1::Layer layer;
    Liveness::Hold hold;
  };
  Result<CommittedLayer> CommitLayer(const NewLayer& layer);
  // For images that come under a name which others may use already, with layers that were made
  // before: kFailedPrecondition as for Share. `visibility`: what the name is to get.
  Status CheckSecretsUnder(const Images::Reservation& name, const v1::Image& draft,
                           v1::Visibility visibility, const CancelToken& cancel);
  // The layers of an image without the secrets that containers left in them, and what was taken
  // out. They stay until an image that needs them is published. `name`: who pays for them.
  struct CleanLayers {
    std::vector<v1::Layer> layers;
    std::vector<ScrubFinding> findings;
    std::vector<Liveness::Hold> holds;
  };
  Result<CleanLayers> CleanLayersOf(const v1::Image& image, const Images::Reservation& name,
                                    const CancelToken& cancel);
  // Publishes an image whose layers are all there (Images::Publish says what `draft` brings).
  // kResourceExhausted when its owner may not have that much. The summary counts as new what the
  // owner did not have before.
  Result<v1::ImportResult> PublishStack(const Images::Reservation& name, v1::Image draft);
  // Both: `layer` on top of `draft.layers()`.
  Result<v1::ImportResult> Publish(const Images::Reservation& name, v1::Image draft,
                                   const NewLayer& layer);

 private:
  Repository(const std::string& state_dir, std::unique_ptr<ObjectStore> objects,
             std::unique_ptr<LayerStore> layers, std::unique_ptr<Catalog> catalog,
             std::unique_ptr<EventLog> events, std::vector<std::unique_ptr<ObjectFetcher>> fetchers)
      : objects_(std::move(objects)),
        layers_(std::move(layers)),
        catalog_(std::move(catalog)),
        events_(std::move(events)),
        liveness_(*catalog_),
        collector_(*objects_, *layers_, liveness_),
        usage_(*catalog_, *layers_),
        provider_(*objects_, std::move(fetchers)),
        background_check_(*objects_, *layers_, provider_, state_dir + "/background_check.json") {}

  // Publish, after the layer was committed and added to `draft`.
  Result<v1::ImportResult> PublishCommitted(const Images::Reservation& name, v1::Image draft,
                                            const CommittedLayer& layer, const Ingest& ingest);
  static Result<std::unique_ptr<Repository>> Assemble(
      const std::string& state_dir, std::unique_ptr<ObjectStore> objects,
      std::unique_ptr<LayerStore> layers, std::unique_ptr<records::RecordStore> records,
      std::vector<std::unique_ptr<ObjectFetcher>> fetchers, const CatalogOptions& options);
  // HoldImage, wherever the layers are.
  Result<Liveness::HeldImage> HoldNamed(uid_t caller, const std::string& reference);

  class LayerScrub;
  // kFailedPrecondition names secrets that containers left in the image.
  Status CheckSecrets(const v1::Image& image, const CancelToken& cancel);
  struct OpenedImage;
  // The manifests and the flattened tree of a stack that is held.
  Result<OpenedImage> OpenForComparison(const LayerStack& layers);
  // How many of the lowest layers of `image` are what a rebase onto `base` takes for its base.
  Result<size_t> BaseLayers(uid_t caller, const v1::Image& image, const v1::Image& base,
                            const std::string& from);
  // What a deletion freed, as its caller may know it; `deferred`: another collection runs.
  struct Freed {
    uint64_t objects = 0;
    uint64_t bytes = 0;
    bool deferred = false;
  };
  Freed CollectNow(uid_t caller, const UsageAccounts::Charge& less, const CancelToken& cancel);
  // fsck: "" for a sound object, otherwise what is wrong with it and what was done about it.
  std::string CheckObject(const Digest& digest, const CancelToken& cancel);

  const std::unique_ptr<ObjectStore> objects_;
  const std::unique_ptr<LayerStore> layers_;
  const std::unique_ptr<Catalog> catalog_;
  const std::unique_ptr<EventLog> events_;
  Liveness liveness_;
  Collector collector_;
  UsageAccounts usage_;
  ObjectProvider provider_;
  BackgroundCheck background_check_;
};

}  // namespace strata::imaged
