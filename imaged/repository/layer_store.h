// LayerStore: the manifests of layers, and the flattened trees that containers are mounted from.
//
//   <root>/manifests/ab/cdef…   manifest of one layer, named by its digest, mode 0444, immutable
//   <root>/lists/ab/cdef…       the objects of that layer (object_list.h): derived
//   <root>/pending/<hex>        manifest of a layer whose objects are still being fetched; they are
//                               kept from collections, for a week at most
//   <root>/oci/…                what layers are in OCI images (layer_conversions.h): derived
//   <root>/trees/<hex>.erofs    flattened tree of a stack of layers, named by the digest of the
//                               list of their ids: a cache, rebuilt from the manifests when absent
//   <root>/uses/<hex>           empty; its time is when a root was made from such a tree last
//   <root>/profiles/<hex>       what a first start of such a tree opened (start_profile.h)
//   <root>/trees/<hex>.erofs.complete  all objects of the tree were there when a mount looked
//                               (imaged/manifest/tree_objects.h); dropped when the store is opened
//
// Thread-safe. A tree is built once, however many ask for it at the same time.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/manifest/erofs_reader.h"
#include "imaged/manifest/erofs_writer.h"
#include "imaged/manifest/tree.h"
#include "imaged/repository/layer_conversions.h"
#include "imaged/repository/object_list.h"
#include "imaged/repository/scratch_file.h"
#include "imaged/repository/start_profile.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

class LayerStore {
 public:
  static Result<std::unique_ptr<LayerStore>> Open(const std::string& root);

  // A manifest that is written but not visible. Goes away when it is not committed.
  class Staged {
   public:
    const WrittenManifest& written() const { return written_; }

   private:
    friend class LayerStore;
    Staged(ScratchFile file, WrittenManifest written, std::vector<ObjectEntry> objects)
        : file_(std::move(file)), written_(std::move(written)), objects_(std::move(objects)) {}
    ScratchFile file_;
    WrittenManifest written_;
    std::vector<ObjectEntry> objects_;
  };
  Result<Staged> Stage(const Tree& tree, const Ingest& ingest) const;
  // Makes the objects of `ingest` and then the manifest durable and visible, in that order
  // (docs/formats.md, "commit order"). REQUIRES: the layer is held (imaged/repository/liveness.h).
  Status Commit(Staged staged, Ingest* ingest);

  // The objects that a layer names; its list is made from the manifest when there is none.
  Result<std::shared_ptr<const ObjectList>> Objects(const Digest& layer) const;

  // A manifest that was compared with its digest: durable, and pending until CommitPending. Its
  // tree; kCorrupt for what is no manifest.
  Result<Tree> AddPending(ScratchFile manifest, const Digest& layer);
  Result<std::unique_ptr<ErofsReader>> OpenPending(const Digest& layer) const;
  std::string PendingPath(const Digest& layer) const;
  // The objects of all pending layers.
  Result<std::vector<Digest>> PendingObjects() const;
  // Makes a pending layer visible. REQUIRES: its objects are durable, or that they are being
  // fetched (imaged/peers/lazy_fills.h); and it is held.
  Status CommitPending(const Digest& layer);

  // Whether there is any layer.
  Result<bool> HasManifests() const;
  // All layers that there are, named or not, ascending.
  Result<std::vector<Digest>> All() const;

  LayerConversions& conversions() { return *conversions_; }

  std::string ManifestPath(const Digest& layer) const;
  Result<std::unique_ptr<ErofsReader>> OpenManifest(const Digest& layer) const;
  // Compares the manifest's bytes with its name: kCorrupt, kNotFound.
  Status VerifyManifest(const Digest& layer) const;

  // The flattened tree of `layers` (bottom first), built if it is not there.
  // When a root was made from the stack last; 0: not known. Kept as the time of an empty file, and
  // not durable.
  int64_t LastUse(const std::vector<Digest>& layers) const;
  void NoteUse(const std::vector<Digest>& layers);
  Result<std::string> FlattenedTree(const std::vector<Digest>& layers);
  // Builds the tree anew and compares it with the cached one; a cached tree that differs is
  // removed and reported as kCorrupt.
  Status VerifyFlattenedTree(const std::vector<Digest>& layers);

  // The profile of a stack of layers; empty: not known. Not durable.
  Result<StartProfile> Profile(const std::vector<Digest>& layers) const;
  Status SaveProfile(const std::vector<Digest>& layers, const StartProfile& profile);

  // Drops what is known of trees whose objects are all there: the next mount looks again.
  void ForgetCompleteness();

  // Removes the manifests (and what is derived from them) that are not in `live_layers`, and trees
  // profiles and uses that are not of one of `live_stacks`. REQUIRES: what is being committed or
  // flattened is in them.
  Status Sweep(const std::set<Digest>& live_layers,
               const std::set<std::vector<Digest>>& live_stacks);

 private:
  LayerStore(std::string root, std::unique_ptr<LayerConversions> conversions)
      : root_(std::move(root)), conversions_(std::move(conversions)) {}
  std::string ListPath(const Digest& layer) const;
  Status WriteList(const Digest& layer, const std::vector<ObjectEntry>& objects) const;
  Status SweepPending(const std::set<Digest>& live) const;
  // Removes the files of a folder of shards that are not named by one of `live`.
  Status SweepShards(const std::string& folder, const std::set<Digest>& live) const;
  std::string UsePath(const std::vector<Digest>& layers) const;
  std::string ProfilePath(const std::vector<Digest>& layers) const;
  std::string TreePath(const std::vector<Digest>& layers, size_t count) const;
  Result<Tree> Flatten(const std::vector<Digest>& layers, bool use_cache) const;
  Status WriteTree(const std::vector<Digest>& layers, const std::string& path) const;
  std::string UnfinishedTree() const;

  const std::string root_;
  mutable std::atomic<uint64_t> unfinished_ = 0;
  const std::unique_ptr<LayerConversions> conversions_;
  std::mutex mutex_;  // Guards building_ (the map, not the mutexes in it).
  std::map<std::string, std::weak_ptr<std::mutex>> building_;  // By tree path.
};

}  // namespace strata::imaged
