// The files of an image, without running it.
#include <sys/stat.h>

#include <set>

#include "common/parallel.h"
#include "imaged/archive/tar_export.h"
#include "imaged/repository/file_info.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

v1::FileInfo FileInfoOf(const Inode& inode) {
  v1::FileInfo info;
  info.set_mode(inode.mode);
  info.set_uid(inode.uid);
  info.set_gid(inode.gid);
  info.set_size(inode.size);
  info.set_mtime_s(inode.mtime_s);
  if (S_ISLNK(inode.mode)) {
    info.set_target(inode.data);
  } else if (!inode.object.IsZero()) {
    info.set_object(inode.object.ToString());
  }
  return info;
}

Result<v1::FileInfo> FileInfoOf(const ErofsReader& reader, std::string_view name, Nid nid) {
  ASSIGN_OR_RETURN(const Inode inode, reader.ReadInode(nid));
  v1::FileInfo info = FileInfoOf(inode);
  info.set_name(std::string(name));
  return info;
}

namespace {

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
  ASSIGN_OR_RETURN(const Liveness::HeldImage held, HoldImage(caller, request.reference()));
  ASSIGN_OR_RETURN(const std::string tree, layers_->FlattenedTree(held.hold.stack()));
  ASSIGN_OR_RETURN(const auto reader, ErofsReader::Open(tree), tree);
  std::string_view last = "/";
  ASSIGN_OR_RETURN(const Nid nid, FindPath(*reader, request.path(), &last), request.path());
  ASSIGN_OR_RETURN(const ErofsInode inode, reader->GetInode(nid));
  v1::ListFilesResponse response;
  if (!S_ISDIR(inode.mode)) {
    ASSIGN_OR_RETURN(*response.add_files(), FileInfoOf(*reader, last, nid));
    return response;
  }
  Status status = Ok();
  RETURN_IF_ERROR(reader->ReadDirectory(nid, 0, [&](const ErofsDirEntry& entry) {
    auto info = FileInfoOf(*reader, entry.name, entry.nid);
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

Result<uint64_t> Repository::RecordStart(const v1::RecordStartRequest& request) {
  ASSIGN_OR_RETURN(const Liveness::HeldImage held, HoldLeased(request.lease()));
  ASSIGN_OR_RETURN(StartProfile profile, layers_->Profile(held.hold.stack()));
  if (!profile.empty()) return profile.size();
  ASSIGN_OR_RETURN(const std::string tree, layers_->FlattenedTree(held.hold.stack()));
  ASSIGN_OR_RETURN(const auto reader, ErofsReader::Open(tree), tree);
  std::set<Digest> seen;
  for (const std::string& path : request.paths()) {
    std::string_view last;
    const auto nid = FindPath(*reader, path, &last);
    if (!nid.ok()) continue;  // The node's own file.
    ASSIGN_OR_RETURN(const Inode inode, reader->ReadInode(*nid), tree);
    if (!S_ISREG(inode.mode) || inode.object.IsZero()) continue;
    if (profile.size() < kProfileObjectsMax && seen.insert(inode.object).second) {
      profile.push_back(inode.object);
    }
  }
  if (!profile.empty()) RETURN_IF_ERROR(layers_->SaveProfile(held.hold.stack(), profile));
  return profile.size();
}

Result<std::vector<ObjectEntry>> Repository::Missing(const LayerStack& layers) const {
  std::vector<ObjectEntry> missing;
  std::set<Digest> seen;
  for (const Digest& layer : layers) {
    const auto list = layers_->Objects(layer);
    if (!list.ok() && list.error().code() == Code::kNotFound) continue;
    if (!list.ok()) return list.error();
    for (const ObjectEntry& entry : (*list)->entries()) {
      if (!objects_->Has(entry.digest) && seen.insert(entry.digest).second) {
        missing.push_back(entry);
      }
    }
  }
  return missing;
}

Status Repository::ProvideAll(const LayerStack& layers, const CancelToken& cancel) {
  constexpr size_t kAtOnce = 8;
  ASSIGN_OR_RETURN(const std::vector<ObjectEntry> missing, Missing(layers));
  return ParallelFor(
      missing.size(),
      [&](size_t i) -> Status {
        RETURN_IF_ERROR(cancel.Check());
        return provider_.Provide(missing[i].digest, /*verify=*/false, cancel, {},
                                 provider_.read_patience());
      },
      kAtOnce);
}

Result<Tree> Repository::LoadFlattened(const LayerStack& layers) {
  ASSIGN_OR_RETURN(const std::string path, layers_->FlattenedTree(layers));
  ASSIGN_OR_RETURN(const auto reader, ErofsReader::Open(path), path);
  return reader->LoadTree();
}

Status Repository::Export(uid_t caller, const std::string& reference, const ByteSink& sink,
                          const CancelToken& cancel, const std::vector<std::string>& paths) {
  ASSIGN_OR_RETURN(const Liveness::HeldImage held, HoldImage(caller, reference));
  ASSIGN_OR_RETURN(const Tree tree, LoadFlattened(held.hold.stack()));
  RETURN_IF_ERROR(ProvideAll(held.hold.stack(), cancel), DisplayName(held.image));
  TarExportOptions options;
  options.cancel = &cancel;
  options.paths = paths;
  return ExportTar(tree, *objects_, sink, options);
}

}  // namespace strata::imaged
