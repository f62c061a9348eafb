#include "imaged/repository/repository.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "common/log.h"
#include "common/records/retry.h"
#include "imaged/archive/tar_import.h"
#include "imaged/catalog/own_records.h"

namespace strata::imaged {
namespace {

Error InUse(const v1::Image& image, const std::vector<std::string>& leases) {
  return Error(Code::kFailedPrecondition,
               DisplayName(image) + " is in use by " + leases[0] +
                   (leases.size() > 1 ? " and " + std::to_string(leases.size() - 1) + " more"
                                      : std::string()) +
                   ": delete those first, or --force takes the name away while they keep the "
                   "files");
}

// Objects of private images are files like any other: only root may pass this directory.
Status MakePrivate(const std::string& state_dir) {
  RETURN_IF_ERROR(MakeDirectories(state_dir, 0700));
  return ::chmod(state_dir.c_str(), 0700) == 0 ? Ok() : Status(Errno("chmod " + state_dir));
}

}  // namespace

Result<std::unique_ptr<Repository>> Repository::Open(
    const std::string& state_dir, std::vector<std::unique_ptr<ObjectFetcher>> fetchers,
    const CatalogOptions& options) {
  RETURN_IF_ERROR(MakePrivate(state_dir));
  ASSIGN_OR_RETURN(auto objects, ObjectStore::Open(state_dir + "/store"));
  ASSIGN_OR_RETURN(auto layers, LayerStore::Open(state_dir + "/store"));
  // An empty catalog would make garbage of every layer.
  ASSIGN_OR_RETURN(const bool has_records, records::HasRecords(state_dir));
  if (!has_records) {
    ASSIGN_OR_RETURN(const bool used, layers->HasManifests());
    if (used) {
      return Error(Code::kCorrupt,
                   "the catalog and its journal, " + records::IndexDirectory(state_dir) + " and " +
                       records::JournalDirectory(state_dir) +
                       ", are gone, but the store holds layers: put them back from a copy, or make "
                       "private images of root of the layers: imaged rebuild-catalog "
                       "--adopt-unnamed");
    }
  }
  ASSIGN_OR_RETURN(auto records, records::OpenRocksRecordStore(state_dir, OwnRecords()));
  return Assemble(state_dir, std::move(objects), std::move(layers), std::move(records),
                  std::move(fetchers), options);
}

Result<std::unique_ptr<Repository>> Repository::OpenShared(
    const std::string& state_dir, std::unique_ptr<records::RecordStore> records,
    std::vector<std::unique_ptr<ObjectFetcher>> fetchers, const CatalogOptions& options) {
  CHECK(!options.host.empty());
  RETURN_IF_ERROR(MakePrivate(state_dir));
  ASSIGN_OR_RETURN(auto objects, ObjectStore::Open(state_dir + "/store"));
  ASSIGN_OR_RETURN(auto layers, LayerStore::Open(state_dir + "/store"));
  return Assemble(state_dir, std::move(objects), std::move(layers), std::move(records),
                  std::move(fetchers), options);
}

Result<std::unique_ptr<Repository>> Repository::Assemble(
    const std::string& state_dir, std::unique_ptr<ObjectStore> objects,
    std::unique_ptr<LayerStore> layers, std::unique_ptr<records::RecordStore> records,
    std::vector<std::unique_ptr<ObjectFetcher>> fetchers, const CatalogOptions& options) {
  ASSIGN_OR_RETURN(auto catalog, Catalog::Open(std::move(records), options));
  ASSIGN_OR_RETURN(auto events, EventLog::Open(state_dir + "/events"));
  return std::unique_ptr<Repository>(new Repository(state_dir, std::move(objects),
                                                    std::move(layers), std::move(catalog),
                                                    std::move(events), std::move(fetchers)));
}

Status Repository::CheckIsHere(const v1::Image& image) const {
  if (!catalog_->shared()) return Ok();
  ASSIGN_OR_RETURN(const LayerStack layers, LayerDigests(image));
  for (const Digest& layer : layers) {
    if (PathExists(layers_->ManifestPath(layer))) continue;
    return Error(Code::kFailedPrecondition,
                 DisplayName(image) +
                     " is in the hosts' catalog, and not on this host yet: "
                     "'vimage pull HOST " +
                     DisplayName(image) + "' brings it from one that has it");
  }
  return Ok();
}

Result<v1::ShowResponse> Repository::Show(uid_t caller, const std::string& reference) {
  ASSIGN_OR_RETURN(v1::Image image, images().Find(caller, reference));
  v1::ShowResponse response;
  for (const v1::Layer& layer : image.layers()) {
    response.set_entries(response.entries() + layer.entries());
    response.set_content_bytes(response.content_bytes() + layer.content_bytes());
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> leases, catalog_->leases().Of(image.digest()));
  response.set_leases(leases.size());
  ASSIGN_OR_RETURN(const LayerStack layers, LayerDigests(image));
  ASSIGN_OR_RETURN(const StartProfile profile, layers_->Profile(layers));
  response.set_start_objects(profile.size());
  ASSIGN_OR_RETURN(const std::vector<ObjectEntry> missing, Missing(layers));
  response.set_objects_to_come(missing.size());
  for (const ObjectEntry& entry : missing) {
    response.set_bytes_to_come(response.bytes_to_come() + entry.size_bytes);
  }
  *response.mutable_image() = std::move(image);
  return response;
}

Result<std::unique_ptr<Ingest>> Repository::StartIngest(const Images::Reservation& name,
                                                        const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const std::optional<uint64_t> room, usage_.Room(name.name().owner_uid));
  ASSIGN_OR_RETURN(auto ingest, objects_->StartIngest());
  if (room) ingest->LimitNewBytes(*room);
  ingest->CancelWith(&cancel);
  return ingest;
}

Result<Repository::CommittedLayer> Repository::CommitLayer(const NewLayer& layer) {
  ASSIGN_OR_RETURN(LayerStore::Staged staged, layers_->Stage(layer.tree, *layer.ingest));
  v1::Layer added;
  added.set_digest(staged.written().digest.ToString());
  added.set_manifest_bytes(staged.written().size_bytes);
  added.set_content_bytes(layer.content_bytes);
  added.set_entries(layer.tree.entry_count());
  Liveness::Hold hold = liveness_.HoldStack({staged.written().digest});
  RETURN_IF_ERROR(layers_->Commit(std::move(staged), layer.ingest));
  return CommittedLayer{std::move(added), std::move(hold)};
}

Result<v1::ImportResult> Repository::PublishStack(const Images::Reservation& name,
                                                  v1::Image draft) {
  return records::RetryWhileChanged([&]() -> Result<v1::ImportResult> {
    ASSIGN_OR_RETURN(const UsageAccounts::Admission admission,
                     usage_.Admit(name.name().owner_uid, draft));
    v1::ImportResult result;
    ASSIGN_OR_RETURN(*result.mutable_image(), images().Publish(name, draft, admission.as_of));
    result.mutable_summary()->set_new_objects(admission.added.objects);
    result.mutable_summary()->set_new_bytes(admission.added.bytes);
    return result;
  });
}

Result<v1::ImportResult> Repository::Publish(const Images::Reservation& name, v1::Image draft,
                                             const NewLayer& layer) {
  ASSIGN_OR_RETURN(const CommittedLayer committed, CommitLayer(layer));
  *draft.add_layers() = committed.layer;
  return PublishCommitted(name, std::move(draft), committed, *layer.ingest);
}

Result<v1::ImportResult> Repository::PublishCommitted(const Images::Reservation& name,
                                                      v1::Image draft, const CommittedLayer& layer,
                                                      const Ingest& ingest) {
  ASSIGN_OR_RETURN(v1::ImportResult result, PublishStack(name, std::move(draft)));
  v1::IngestSummary* summary = result.mutable_summary();
  summary->set_entries(layer.layer.entries());
  summary->set_objects(ingest.stats().objects);
  summary->set_bytes(layer.layer.content_bytes());
  summary->set_manifest_bytes(layer.layer.manifest_bytes());
  return result;
}

Result<v1::ImportResult> Repository::Import(uid_t caller, const v1::ImportOptions& options,
                                            const ByteSource& tar, const CancelToken& cancel,
                                            const ProgressSink& progress) {
  RETURN_IF_ERROR(CheckDescription(options.description()));
  RETURN_IF_ERROR(CheckLabels(options.labels()));
  ASSIGN_OR_RETURN(const Images::Reservation name,
                   images().Reserve(caller, options.reference(), options.replace()));
  ASSIGN_OR_RETURN(const auto ingest, StartIngest(name, cancel));
  v1::Image draft;
  std::optional<Tree> base_tree;
  std::optional<Liveness::HeldImage> held;
  if (!options.base().empty()) {
    ASSIGN_OR_RETURN(Liveness::HeldImage found, HoldImage(caller, options.base()));
    const v1::Image& base = held.emplace(std::move(found)).image;
    // The layer that is imported is its owner's to know; those below may have been saved.
    RETURN_IF_ERROR(CheckSecretsUnder(name, base, options.visibility(), cancel));
    ASSIGN_OR_RETURN(base_tree, LoadFlattened(held->hold.stack()));
    *draft.mutable_layers() = base.layers();
    draft.mutable_lineage()->set_parent_reference(DisplayName(base));
    draft.mutable_lineage()->set_parent_digest(base.digest());
  }
  draft.set_description(options.description());
  draft.set_visibility(options.visibility());
  *draft.mutable_labels() = options.labels();
  *draft.mutable_config() = options.config();
  draft.mutable_lineage()->set_origin(
      options.lineage().origin().empty() ? "import" : options.lineage().origin());
  draft.mutable_lineage()->set_command(options.lineage().command());

  TarImportOptions import;
  import.caller_is_root = caller == 0;
  import.oci_whiteouts = !options.literal_names();
  import.base = base_tree ? &*base_tree : nullptr;
  ImportControl control;
  control.cancel = &cancel;
  v1::Progress state;
  state.set_stage("read");
  state.set_bytes_total(options.bytes_total());
  control.progress = [&](uint64_t entries, uint64_t bytes) {
    state.set_entries(entries);
    state.set_bytes(bytes);
    if (progress) progress(state);
  };
  ASSIGN_OR_RETURN(const ImportedLayer imported, ImportTar(tar, *ingest, import, control));
  RETURN_IF_ERROR(cancel.Check());
  state.set_stage("commit");
  if (progress) progress(state);

  ASSIGN_OR_RETURN(
      v1::ImportResult result,
      Publish(name, std::move(draft), {imported.tree, imported.content_bytes, ingest.get()}));
  for (const std::string& warning : imported.warnings.texts()) {
    result.mutable_summary()->add_warnings(warning);
  }
  return result;
}

Result<v1::Image> Repository::Tag(uid_t caller, const v1::TagRequest& request,
                                  const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const Liveness::HeldImage held, HoldNamed(caller, request.reference()));
  if (!request.keep_secrets()) {
    ASSIGN_OR_RETURN(const Images::Reservation name,
                     images().Reserve(caller, request.new_reference(), request.replace()));
    RETURN_IF_ERROR(CheckSecretsUnder(name, held.image, v1::VISIBILITY_UNSPECIFIED, cancel));
  }
  // The version that was looked at, whatever its tag points to by now.
  v1::TagRequest seen = request;
  seen.set_reference(held.image.owner() + "/" + held.image.name() + "@" + held.image.digest());
  return images().Tag(caller, seen);
}

Result<v1::Image> Repository::Configure(uid_t caller, const v1::ConfigureRequest& request,
                                        const CancelToken& cancel) {
  RETURN_IF_ERROR(CheckDescription(request.description()));
  RETURN_IF_ERROR(CheckLabels(request.labels()));
  ASSIGN_OR_RETURN(const Images::Reservation name,
                   images().Reserve(caller, request.new_reference(), request.replace()));
  ASSIGN_OR_RETURN(const Liveness::HeldImage held, HoldNamed(caller, request.reference()));
  if (!request.keep_secrets())
    RETURN_IF_ERROR(CheckSecretsUnder(name, held.image, v1::VISIBILITY_UNSPECIFIED, cancel));
  v1::Image draft;
  *draft.mutable_layers() = held.image.layers();
  draft.set_secrets_checked(held.image.secrets_checked());
  draft.set_description(request.description());
  *draft.mutable_labels() = request.labels();
  *draft.mutable_config() = request.config();
  draft.mutable_lineage()->set_origin(request.lineage().origin());
  draft.mutable_lineage()->set_command(request.lineage().command());
  draft.mutable_lineage()->set_parent_reference(DisplayName(held.image));
  draft.mutable_lineage()->set_parent_digest(held.image.digest());
  ASSIGN_OR_RETURN(v1::ImportResult result, PublishStack(name, std::move(draft)));
  return std::move(*result.mutable_image());
}

Result<v1::DeleteResponse> Repository::Delete(uid_t caller, const v1::DeleteRequest& request,
                                              const CancelToken& cancel) {
  v1::DeleteResponse response;
  ASSIGN_OR_RETURN(const v1::Image image, images().FindOwned(caller, request.reference()));
  ASSIGN_OR_RETURN(const auto before, usage_.ChargeWithout(image.owner_uid(), {}));
  std::vector<std::string> leases;
  RETURN_IF_ERROR(records::RetryWhileChanged([&]() -> Status {
    const records::ScopeMark mark = catalog_->records().Mark(OwnerScope(image.owner_uid()));
    ASSIGN_OR_RETURN(const v1::Image now, images().FindOwned(caller, request.reference()));
    ASSIGN_OR_RETURN(leases, catalog_->leases().Of(now.digest()));
    if (!leases.empty() && !request.force()) return InUse(now, leases);
    return images().Remove(caller, request.reference(), {mark});
  }));
  ASSIGN_OR_RETURN(const auto after, usage_.ChargeWithout(image.owner_uid(), {}));
  for (const std::string& lease : leases) response.add_kept_by(lease);
  const Freed freed = CollectNow(caller,
                                 {before.objects - std::min(before.objects, after.objects),
                                  before.bytes - std::min(before.bytes, after.bytes)},
                                 cancel);
  response.set_freed_objects(freed.objects);
  response.set_freed_bytes(freed.bytes);
  response.set_collection_deferred(freed.deferred);
  return response;
}

Result<v1::PruneResponse> Repository::Prune(uid_t caller, const v1::PruneRequest& request,
                                            const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const std::vector<v1::Image> untagged,
                   images().Untagged(caller, request.all_owners()));
  v1::PruneResponse response;
  std::set<std::string> keys;
  for (const v1::Image& image : untagged) {
    *response.add_images() = image;
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(image.digest()));
    keys.insert(ImageKey({image.owner_uid(), image.name(), "", ""}, digest));
  }
  ASSIGN_OR_RETURN(const auto before, usage_.ChargeWithout(caller, {}));
  ASSIGN_OR_RETURN(const auto after, usage_.ChargeWithout(caller, keys));
  const UsageAccounts::Charge less = {before.objects - std::min(before.objects, after.objects),
                                      before.bytes - std::min(before.bytes, after.bytes)};
  Freed freed;
  if (!request.dry_run()) {
    RETURN_IF_ERROR(images().RemoveVersions(untagged));
    freed = CollectNow(caller, less, cancel);
  } else if (caller == 0) {
    ASSIGN_OR_RETURN(const Liveness::Roots roots, liveness_.Mark(keys));
    ASSIGN_OR_RETURN(const ObjectStore::Collected garbage, collector_.Count(roots));
    freed = {garbage.objects, garbage.bytes};
  } else {
    freed = {less.objects, less.bytes};
  }
  response.set_freed_objects(freed.objects);
  response.set_freed_bytes(freed.bytes);
  response.set_collection_deferred(freed.deferred);
  return response;
}

Repository::Freed Repository::CollectNow(uid_t caller, const UsageAccounts::Charge& less,
                                         const CancelToken& cancel) {
  if (collector_.TakesLong()) {
    collector_.Request();
    return {0, 0, true};
  }
  const auto collected = collector_.Collect(cancel);
  if (!collected.ok() && collected.error().code() != Code::kFailedPrecondition &&
      collected.error().code() != Code::kCancelled) {
    // What was asked is done; the room stays taken until the next collection.
    LOG_ERROR("collection: " + collected.error().message());
  }
  if (!collected.ok()) {
    collector_.Request();
    return {0, 0, true};
  }
  // Whether others have the same contents is nobody's business but root's.
  if (caller != 0) return {less.objects, less.bytes};
  return {collected->objects, collected->bytes};
}

}  // namespace strata::imaged
