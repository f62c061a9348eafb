#include "imaged/repository/repository.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "common/log.h"
#include "imaged/archive/tar_export.h"
#include "imaged/archive/tar_import.h"

namespace strata::imaged {
namespace {

Result<v1::Image> ParseImage(const std::string& key, const std::string& record) {
  v1::Image image;
  if (!image.ParseFromString(record)) {
    return Error(Code::kCorrupt, "catalog: the record of " + key + " is damaged");
  }
  return image;
}

bool MayRead(uid_t caller, const v1::Image& image) {
  return caller == 0 || caller == image.owner_uid() || image.visibility() == v1::PUBLIC;
}

// Identity of layers + configuration: length-prefixed fields, so that no two images collide.
Digest ImageDigest(const v1::Image& image) {
  Hasher hasher;
  const auto add = [&hasher](const std::string& field) {
    hasher.Update(std::to_string(field.size()) + ":");
    hasher.Update(field);
  };
  hasher.Update("strata image v1\n");
  for (const v1::Layer& layer : image.layers()) add(layer.digest());
  hasher.Update("command\n");
  for (const std::string& word : image.config().command()) add(word);
  hasher.Update("env\n");
  for (const std::string& entry : image.config().env()) add(entry);
  return hasher.Finish();
}

int64_t NowUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return text;
}

constexpr size_t kDescriptionMax = 4096;

}  // namespace

std::string DisplayName(const v1::Image& image) {
  return image.owner() + "/" + image.name() + ":" + image.tag();
}

Result<std::vector<Digest>> LayerDigests(const v1::Image& image) {
  std::vector<Digest> digests;
  for (const v1::Layer& layer : image.layers()) {
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(layer.digest()), DisplayName(image));
    digests.push_back(digest);
  }
  if (digests.empty()) return Error(Code::kCorrupt, DisplayName(image) + " has no layers");
  return digests;
}

Result<std::unique_ptr<Repository>> Repository::Open(
    const std::string& state_dir, std::vector<std::unique_ptr<ObjectFetcher>> fetchers) {
  // Objects of private images are files like any other: only root may pass this directory.
  RETURN_IF_ERROR(MakeDirectories(state_dir, 0700));
  if (::chmod(state_dir.c_str(), 0700) != 0) return Errno("chmod " + state_dir);
  ASSIGN_OR_RETURN(auto objects, ObjectStore::Open(state_dir + "/store"));
  ASSIGN_OR_RETURN(auto layers, LayerStore::Open(state_dir + "/store"));
  ASSIGN_OR_RETURN(auto catalog, Catalog::Open(state_dir + "/catalog"));
  return std::unique_ptr<Repository>(new Repository(std::move(objects), std::move(layers),
                                                    std::move(catalog), std::move(fetchers)));
}

Result<v1::Image> Repository::Find(uid_t caller, const std::string& text) {
  ASSIGN_OR_RETURN(Reference reference, ParseReference(text, caller));
  ASSIGN_OR_RETURN(const auto record, catalog_->GetImage(reference.Key()));
  if (record) {
    ASSIGN_OR_RETURN(v1::Image image, ParseImage(reference.Key(), *record));
    if (MayRead(caller, image)) return image;
  }
  return Error(Code::kNotFound, "there is no image " + reference.ToString() +
                                    " that you may use ('vimage browse' lists them)");
}

Result<v1::Image> Repository::FindOwned(uid_t caller, const std::string& text, Reference* parsed) {
  ASSIGN_OR_RETURN(v1::Image image, Find(caller, text));
  if (caller != 0 && caller != image.owner_uid()) {
    return Error(Code::kPermissionDenied, DisplayName(image) + " belongs to " + image.owner() +
                                              ": only the owner may change it");
  }
  ASSIGN_OR_RETURN(*parsed, ParseReference(text, caller));
  return image;
}

Result<std::vector<v1::Image>> Repository::List(uid_t caller, const v1::ListRequest& request) {
  const std::string query = Lower(request.query());
  std::vector<v1::Image> images;
  RETURN_IF_ERROR(catalog_->ForEachImage([&](const std::string& key,
                                             const std::string& record) -> Status {
    ASSIGN_OR_RETURN(v1::Image image, ParseImage(key, record));
    const bool wanted =
        request.all_visible() ? MayRead(caller, image) : caller == 0 || caller == image.owner_uid();
    if (wanted && (query.empty() || Lower(DisplayName(image)).find(query) != std::string::npos ||
                   Lower(image.description()).find(query) != std::string::npos)) {
      images.push_back(std::move(image));
    }
    return Ok();
  }));
  return images;
}

Result<v1::ShowResponse> Repository::Show(uid_t caller, const std::string& reference) {
  ASSIGN_OR_RETURN(v1::Image image, Find(caller, reference));
  v1::ShowResponse response;
  for (const v1::Layer& layer : image.layers()) {
    response.set_entries(response.entries() + layer.entries());
    response.set_content_bytes(response.content_bytes() + layer.content_bytes());
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> leases, LeasesOf(image.digest()));
  response.set_leases(leases.size());
  *response.mutable_image() = std::move(image);
  return response;
}

namespace {

Result<v1::FileInfo> Describe(const ErofsReader& reader, std::string_view name, Nid nid) {
  ASSIGN_OR_RETURN(const ErofsInode inode, reader.GetInode(nid));
  v1::FileInfo info;
  info.set_name(std::string(name));
  info.set_mode(inode.mode);
  info.set_uid(inode.uid);
  info.set_gid(inode.gid);
  info.set_size(inode.size);
  info.set_mtime_s(inode.mtime_s);
  if (S_ISLNK(inode.mode)) {
    ASSIGN_OR_RETURN(const std::string_view target, reader.ReadLink(nid));
    info.set_target(std::string(target));
  } else if (S_ISREG(inode.mode)) {
    ASSIGN_OR_RETURN(const Digest object, reader.GetObject(nid));
    if (!object.IsZero()) info.set_object(object.ToString());
  }
  return info;
}

Result<Nid> FindPath(const ErofsReader& reader, std::string_view path, std::string_view* last) {
  Nid at = reader.root();
  while (true) {
    while (path.starts_with('/')) path.remove_prefix(1);
    if (path.empty()) return at;
    const std::string_view name = path.substr(0, path.find('/'));
    ASSIGN_OR_RETURN(const ErofsInode inode, reader.GetInode(at));
    std::optional<ErofsDirEntry> entry;
    if (S_ISDIR(inode.mode)) {
      ASSIGN_OR_RETURN(entry, reader.Lookup(at, name));
    }
    if (!entry) return Error(Code::kNotFound, "'" + std::string(name) + "' is not in the image");
    at = entry->nid;
    *last = name;
    path.remove_prefix(name.size());
  }
}

}  // namespace

Result<v1::ListFilesResponse> Repository::ListFiles(uid_t caller,
                                                    const v1::ListFilesRequest& request) {
  constexpr int kFilesMax = 10'000;  // A response stays within a message.
  ASSIGN_OR_RETURN(const v1::Image image, Find(caller, request.reference()));
  ASSIGN_OR_RETURN(const std::vector<Digest> digests, LayerDigests(image));
  const auto pin = objects_->Pin();
  ASSIGN_OR_RETURN(const std::string tree, layers_->FlattenedTree(digests));
  ASSIGN_OR_RETURN(const auto reader, ErofsReader::Open(tree), tree);
  std::string_view last = "/";
  ASSIGN_OR_RETURN(const Nid nid, FindPath(*reader, request.path(), &last), request.path());
  ASSIGN_OR_RETURN(const ErofsInode inode, reader->GetInode(nid));
  v1::ListFilesResponse response;
  if (!S_ISDIR(inode.mode)) {
    ASSIGN_OR_RETURN(*response.add_files(), Describe(*reader, last, nid));
    return response;
  }
  Status status = Ok();
  RETURN_IF_ERROR(reader->ReadDirectory(nid, 0, [&](const ErofsDirEntry& entry) {
    auto info = Describe(*reader, entry.name, entry.nid);
    if (!info.ok()) {
      status = info.error();
      return false;
    }
    *response.add_files() = std::move(*info);
    return response.files_size() < kFilesMax;
  }));
  RETURN_IF_ERROR(status);
  return response;
}

Repository::NameReservation::~NameReservation() {
  if (repository_ == nullptr) return;
  const std::lock_guard<std::mutex> lock(repository_->mutex_);
  repository_->reserved_.erase(reference_.Key());
}

Result<Repository::NameReservation> Repository::Reserve(uid_t caller, const std::string& text,
                                                        bool replace) {
  ASSIGN_OR_RETURN(Reference reference, ParseReference(text, caller));
  if (caller != 0 && caller != reference.owner_uid) {
    return Error(Code::kPermissionDenied, "you may not write images of " +
                                              UserName(reference.owner_uid) +
                                              ": leave the owner out of '" + text + "'");
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (reserved_.contains(reference.Key())) {
    return Error(Code::kFailedPrecondition,
                 reference.ToString() + " is being written by another operation");
  }
  ASSIGN_OR_RETURN(const auto existing, catalog_->GetImage(reference.Key()));
  if (existing && !replace) {
    return Error(Code::kAlreadyExists, "there is an image " + reference.ToString() +
                                           " already: choose another name or tag, or --replace");
  }
  reserved_.insert(reference.Key());
  return NameReservation(this, std::move(reference));
}

Result<v1::Image> Repository::Publish(const NameReservation& name, v1::Image draft,
                                      const Tree& tree, uint64_t content_bytes, Ingest* ingest) {
  ASSIGN_OR_RETURN(const WrittenManifest manifest, layers_->Commit(tree, ingest));
  v1::Layer* layer = draft.add_layers();
  layer->set_digest(manifest.digest.ToString());
  layer->set_manifest_bytes(manifest.size_bytes);
  layer->set_content_bytes(content_bytes);
  layer->set_entries(tree.entry_count());

  const Reference& reference = name.reference();
  draft.set_owner(UserName(reference.owner_uid));
  draft.set_owner_uid(reference.owner_uid);
  draft.set_name(reference.name);
  draft.set_tag(reference.tag);
  if (draft.visibility() == v1::VISIBILITY_UNSPECIFIED) draft.set_visibility(v1::PRIVATE);
  draft.set_created_unix_ms(NowUnixMs());
  draft.set_digest(ImageDigest(draft).ToString());
  RETURN_IF_ERROR(catalog_->PutImage(reference.Key(), draft.SerializeAsString()));
  return draft;
}

Result<v1::ImportResult> Repository::Import(uid_t caller, const v1::ImportOptions& options,
                                            const ByteSource& tar, const CancelToken& cancel,
                                            const ProgressSink& progress) {
  if (options.description().size() > kDescriptionMax) {
    return Error(Code::kInvalidArgument, "a description has at most 4096 bytes");
  }
  ASSIGN_OR_RETURN(const NameReservation name,
                   Reserve(caller, options.reference(), options.replace()));
  ASSIGN_OR_RETURN(const auto ingest, objects_->StartIngest());
  v1::Image draft;
  std::optional<Tree> base_tree;
  if (!options.base().empty()) {
    ASSIGN_OR_RETURN(const v1::Image base, Find(caller, options.base()));
    ASSIGN_OR_RETURN(base_tree, LoadFlattened(base));
    *draft.mutable_layers() = base.layers();
    draft.mutable_lineage()->set_parent_reference(DisplayName(base));
    draft.mutable_lineage()->set_parent_digest(base.digest());
  }
  draft.set_description(options.description());
  draft.set_visibility(options.visibility());
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

  v1::ImportResult result;
  ASSIGN_OR_RETURN(*result.mutable_image(), Publish(name, std::move(draft), imported.tree,
                                                    imported.content_bytes, ingest.get()));
  const IngestStats stats = ingest->stats();
  v1::IngestSummary* summary = result.mutable_summary();
  summary->set_entries(imported.tree.entry_count());
  summary->set_objects(stats.objects);
  summary->set_bytes(imported.content_bytes);
  summary->set_new_objects(stats.new_objects);
  summary->set_new_bytes(stats.new_bytes);
  summary->set_manifest_bytes(result.image().layers().rbegin()->manifest_bytes());
  for (const std::string& warning : imported.warnings.texts()) summary->add_warnings(warning);
  return result;
}

Result<Tree> Repository::LoadFlattened(const v1::Image& image) {
  ASSIGN_OR_RETURN(const std::vector<Digest> digests, LayerDigests(image));
  ASSIGN_OR_RETURN(const std::string path, layers_->FlattenedTree(digests));
  ASSIGN_OR_RETURN(const auto reader, ErofsReader::Open(path), path);
  return reader->LoadTree();
}

Status Repository::Export(uid_t caller, const std::string& reference, const ByteSink& sink,
                          const CancelToken& cancel) {
  const auto pin = objects_->Pin();
  ASSIGN_OR_RETURN(const v1::Image image, Find(caller, reference));
  ASSIGN_OR_RETURN(const Tree tree, LoadFlattened(image));
  TarExportOptions options;
  options.cancel = &cancel;
  return ExportTar(tree, *objects_, sink, options);
}

Result<v1::Image> Repository::Share(uid_t caller, const v1::ShareRequest& request) {
  if (request.visibility() != v1::PUBLIC && request.visibility() != v1::PRIVATE) {
    return Error(Code::kInvalidArgument, "an image is shared as 'public' or 'private'");
  }
  Reference reference;
  ASSIGN_OR_RETURN(v1::Image image, FindOwned(caller, request.reference(), &reference));
  ASSIGN_OR_RETURN(const NameReservation name, Reserve(caller, request.reference(), true));
  image.set_visibility(request.visibility());
  RETURN_IF_ERROR(catalog_->PutImage(reference.Key(), image.SerializeAsString()));
  return image;
}

Result<v1::DeleteResponse> Repository::Delete(uid_t caller, const std::string& text) {
  {
    Reference reference;
    ASSIGN_OR_RETURN(const v1::Image image, FindOwned(caller, text, &reference));
    ASSIGN_OR_RETURN(const NameReservation name, Reserve(caller, text, true));
    ASSIGN_OR_RETURN(const std::vector<std::string> leases, LeasesOf(image.digest()));
    if (!leases.empty()) {
      return Error(Code::kFailedPrecondition,
                   DisplayName(image) + " is in use by " + leases[0] +
                       (leases.size() > 1 ? " and " + std::to_string(leases.size() - 1) + " more"
                                          : std::string()) +
                       ": delete those first");
    }
    RETURN_IF_ERROR(catalog_->DeleteImage(reference.Key()));
  }
  v1::DeleteResponse response;
  const auto collected = Collect();
  if (collected.ok()) {
    response.set_freed_objects(collected->objects);
    response.set_freed_bytes(collected->bytes);
  } else if (collected.error().code() == Code::kFailedPrecondition) {
    response.set_collection_deferred(true);
  } else {
    // The name is gone, which is what was asked; the room stays taken until the next collection.
    LOG_ERROR("collection after a delete: " + collected.error().message());
    response.set_collection_deferred(true);
  }
  return response;
}

}  // namespace strata::imaged
