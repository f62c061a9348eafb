#include "layerfs/volume/directory_volumes.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/file_io.h"
#include "layerfs/volume/tree_usage.h"
#include "layerfs/volume/volume_names.h"

namespace strata::layerfs {

Result<std::unique_ptr<VolumeStore>> DirectoryVolumes::Open(VolumeOptions options) {
  RETURN_IF_ERROR(MakeDirectories(options.directory, 0700));
  RETURN_IF_ERROR(SpreadSubdirectories(options.directory));
  return std::unique_ptr<VolumeStore>(new DirectoryVolumes(std::move(options)));
}

Status DirectoryVolumes::Create(const std::string& name, uint64_t limit_bytes) {
  RETURN_IF_ERROR(CheckVolumeName(name));
  if (limit_bytes != 0) {
    return Error(Code::kUnsupported,
                 "a plain directory has no limit of disk: choose another kind of volume (layerfs "
                 "probe lists them)");
  }
  // Empty and without attributes: there is nothing to be half-made.
  if (::mkdir(PathOf(name).c_str(), 0700) == 0) return Ok();
  if (errno == EEXIST) return VolumeExists(name);
  return Errno("mkdir " + PathOf(name));
}

Status DirectoryVolumes::Publish(const std::string& half_made, const std::string& name) {
  const std::string path = PathOf(name);
  if (PathExists(path)) return VolumeExists(name);
  if (::rename(half_made.c_str(), path.c_str()) != 0) return Errno("rename to " + path);
  return FsyncDirectory(options_.directory);
}

Result<std::string> DirectoryVolumes::Activate(const std::string& name) {
  RETURN_IF_ERROR(CheckVolumeName(name));
  struct stat st;
  if (::stat(PathOf(name).c_str(), &st) != 0) {
    if (errno == ENOENT) return NoSuchVolume(name, PathOf(name));
    return Errno(PathOf(name));
  }
  if (!S_ISDIR(st.st_mode)) {
    return Error(Code::kCorrupt, "volume " + name + ": " + PathOf(name) + " is no directory");
  }
  return PathOf(name);
}

Status DirectoryVolumes::Deactivate(const std::string& name) { return CheckVolumeName(name); }

Status DirectoryVolumes::Resize(const std::string& name, uint64_t) {
  RETURN_IF_ERROR(CheckVolumeName(name));
  return Error(Code::kUnsupported,
               "volume " + name + " is a plain directory, which has no limit of disk");
}

Result<VolumeUsage> DirectoryVolumes::Usage(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string path, Activate(name));
  ASSIGN_OR_RETURN(const TreeUsage tree, MeasureTree(path));
  return VolumeUsage{.used_bytes = tree.bytes, .used_inodes = tree.inodes};
}

Result<std::unique_ptr<VolumeSnapshot>> DirectoryVolumes::Snapshot(const std::string& name) {
  return Error(Code::kUnsupported, "volume " + name + ": no snapshots of directories");
}

Status DirectoryVolumes::DeleteDirectory(const std::string& path) { return RemoveTree(path); }

Status DirectoryVolumes::Remove(const std::string& name) {
  RETURN_IF_ERROR(CheckVolumeName(name));
  return DeleteDirectory(PathOf(name));
}

Result<std::vector<std::string>> DirectoryVolumes::List() {
  return VolumesIn(options_.directory, "");
}

Result<RecoveredVolumes> DirectoryVolumes::Recover() {
  RecoveredVolumes recovered;
  ASSIGN_OR_RETURN(const std::vector<std::string> entries, EntriesOf(options_.directory));
  for (const std::string& entry : entries) {
    if (!IsLeftover(entry)) continue;
    RETURN_IF_ERROR(DeleteDirectory(PathOf(entry)));
    recovered.removed.push_back(entry);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> volumes, List());
  for (const std::string& name : volumes) {
    const auto usable = Activate(name);
    if (!usable.ok()) recovered.problems.push_back({name, usable.error().message()});
  }
  return recovered;
}

}  // namespace strata::layerfs
