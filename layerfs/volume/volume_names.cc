#include "layerfs/volume/volume_names.h"

#include <dirent.h>

#include <algorithm>
#include <memory>

#include "layerfs/volume/volume_store.h"

namespace strata::layerfs {

bool IsLeftover(std::string_view entry) {
  return entry.starts_with(kHalfMadePrefix) || entry.starts_with(kSnapshotPrefix);
}

Result<std::vector<std::string>> EntriesOf(const std::string& directory) {
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir(::opendir(directory.c_str()));
  if (dir == nullptr) return Errno("opendir " + directory);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<std::string>> VolumesIn(const std::string& directory, std::string_view suffix) {
  ASSIGN_OR_RETURN(const std::vector<std::string> entries, EntriesOf(directory));
  std::vector<std::string> volumes;
  for (const std::string& entry : entries) {
    if (!entry.ends_with(suffix)) continue;
    const std::string name = entry.substr(0, entry.size() - suffix.size());
    if (CheckVolumeName(name).ok()) volumes.push_back(name);
  }
  return volumes;
}

Error NoSuchVolume(const std::string& name, const std::string& what_is_gone) {
  return Error(Code::kNotFound,
               "volume " + name + ": " + what_is_gone +
                   " is not there (is the file system that held it mounted?)",
               ENOENT);
}

Error VolumeExists(const std::string& name) {
  return Error(Code::kAlreadyExists, "volume " + name + " exists already");
}

}  // namespace strata::layerfs
