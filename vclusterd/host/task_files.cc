#include "vclusterd/host/task_files.h"

#include <dirent.h>
#include <unistd.h>

#include <memory>

#include "common/file_io.h"
#include "common/log.h"
#include "vclusterd/jobs/run_id.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kVersion = 1;
constexpr std::string_view kSuffix = ".run";
constexpr size_t kFileBytesMax = 1u << 20;

// "7-1.17.0.3.1.run"
bool ParseName(std::string_view name, std::string* node, std::string* run) {
  if (!name.ends_with(kSuffix)) return false;
  name.remove_suffix(kSuffix.size());
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return false;
  *node = name.substr(0, dot);
  *run = name.substr(dot + 1);
  const size_t dash = node->find('-');
  return dash != std::string::npos && dash != 0 && dash + 1 != node->size() &&
         node->find_first_not_of("0123456789-") == std::string::npos && RunId::Parse(*run);
}

}  // namespace

Result<TaskFiles> TaskFiles::Open(std::string directory) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  return TaskFiles(std::move(directory));
}

std::string TaskFiles::PathOf(const std::string& node, const std::string& run) const {
  return directory_ + "/" + node + "." + run + std::string(kSuffix);
}

Result<std::vector<TaskFiles::Found>> TaskFiles::Load() const {
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir(::opendir(directory_.c_str()));
  if (dir == nullptr) return Errno("opendir " + directory_);
  std::vector<Found> all;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = directory_ + "/" + name;
    Found found;
    std::string id;
    if (!ParseName(name, &found.node, &id)) {
      ::unlink(path.c_str());  // A write cut short.
      continue;
    }
    const auto bytes = ReadFile(path, kFileBytesMax);
    host::v1::TaskFile file;
    found.readable = bytes.ok() && file.ParseFromString(*bytes) && file.version() == kVersion &&
                     file.run().id() == id;
    if (found.readable) {
      found.run = std::move(*file.mutable_run());
    } else {
      LOG_WARNING(path + " cannot be read: nobody knows how the run ended");
      found.run.set_id(id);
    }
    all.push_back(std::move(found));
  }
  return all;
}

Status TaskFiles::Write(const std::string& node, const host::v1::TaskRun& run) const {
  host::v1::TaskFile file;
  file.set_version(kVersion);
  *file.mutable_run() = run;
  return WriteFileDurably(PathOf(node, run.id()), file.SerializeAsString(), 0600);
}

void TaskFiles::Remove(const std::string& node, const std::string& run) const {
  const std::string path = PathOf(node, run);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    LOG_WARNING("unlink " + path + ": " + Errno("").message());
  }
}

}  // namespace strata::vcluster
