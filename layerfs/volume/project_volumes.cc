#include "layerfs/volume/project_volumes.h"

#include <sys/stat.h>

#include <set>

#include "common/file_io.h"
#include "layerfs/volume/project_quota.h"
#include "layerfs/volume/volume_names.h"

namespace strata::layerfs {

Result<std::unique_ptr<VolumeStore>> ProjectVolumes::Open(VolumeOptions options) {
  RETURN_IF_ERROR(MakeDirectories(options.directory, 0700));
  RETURN_IF_ERROR(CheckProjectQuota(options.directory), options.directory);
  RETURN_IF_ERROR(SpreadSubdirectories(options.directory));
  return std::unique_ptr<VolumeStore>(new ProjectVolumes(std::move(options)));
}

// REQUIRES: mutex_ is held.
Result<uint32_t> ProjectVolumes::FreeProject() {
  std::set<uint32_t> taken;
  ASSIGN_OR_RETURN(const std::vector<std::string> entries, EntriesOf(options_.directory));
  for (const std::string& entry : entries) {
    const auto project = ProjectOf(PathOf(entry));
    if (project.ok()) taken.insert(*project);
  }
  for (uint32_t project = kFirstProject; project < kFirstProject + 100'000'000; ++project) {
    if (taken.contains(project)) continue;
    // Another Strata on this file system, or anybody else, may use it.
    ASSIGN_OR_RETURN(const VolumeUsage usage, ProjectUsage(options_.directory, project));
    if (usage.used_inodes == 0 && usage.used_bytes == 0 && usage.limit_bytes == 0) return project;
  }
  return Error(Code::kResourceExhausted, "no project number is free");
}

Status ProjectVolumes::Create(const std::string& name, uint64_t limit_bytes) {
  RETURN_IF_ERROR(CheckVolumeName(name));
  RETURN_IF_ERROR(CheckVolumeSize(limit_bytes));
  const std::string half_made = PathOf(HalfMade(name));
  const auto make = [&]() -> Status {
    RETURN_IF_ERROR(RemoveTree(half_made));
    if (::mkdir(half_made.c_str(), 0700) != 0) return Errno("mkdir " + half_made);
    {
      const std::lock_guard lock(mutex_);
      ASSIGN_OR_RETURN(const uint32_t project, FreeProject());
      RETURN_IF_ERROR(SetProject(half_made, project));
      RETURN_IF_ERROR(SetProjectLimit(half_made, project, limit_bytes));
    }
    return Publish(half_made, name);
  };
  Status made = make();
  if (made.ok()) return made;
  if (Status undone = DeleteDirectory(half_made); !undone.ok()) return undone;
  return made.error();
}

Status ProjectVolumes::Resize(const std::string& name, uint64_t limit_bytes) {
  RETURN_IF_ERROR(CheckVolumeSize(limit_bytes));
  ASSIGN_OR_RETURN(const std::string path, Activate(name));
  ASSIGN_OR_RETURN(const uint32_t project, ProjectOf(path));
  ASSIGN_OR_RETURN(const VolumeUsage usage, ProjectUsage(path, project));
  if (usage.used_bytes > limit_bytes) {
    return Error(Code::kFailedPrecondition, "volume " + name + " holds " +
                                                std::to_string(usage.used_bytes) +
                                                " bytes already: delete something first");
  }
  return SetProjectLimit(path, project, limit_bytes);
}

Result<VolumeUsage> ProjectVolumes::Usage(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string path, Activate(name));
  ASSIGN_OR_RETURN(const uint32_t project, ProjectOf(path));
  return ProjectUsage(path, project);
}

Status ProjectVolumes::DeleteDirectory(const std::string& path) {
  if (!PathExists(path)) return Ok();
  ASSIGN_OR_RETURN(const uint32_t project, ProjectOf(path));
  RETURN_IF_ERROR(RemoveTree(path));
  if (project < kFirstProject) return Ok();  // Never got as far as a number of ours.
  return SetProjectLimit(options_.directory, project, 0);
}

}  // namespace strata::layerfs
