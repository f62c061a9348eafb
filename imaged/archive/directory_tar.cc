#include "imaged/archive/directory_tar.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "common/file_io.h"
#include "common/printable.h"
#include "common/xattr.h"
#include "imaged/archive/directory_walk.h"
#include "imaged/archive/file_access.h"

namespace strata::imaged {
namespace {

constexpr size_t kReadSize = 256 * 1024;

class DirectoryTar {
 public:
  DirectoryTar(const ByteSink& sink, const DirectoryTarOptions& options)
      : options_(options), writer_(sink), buffer_(kReadSize) {}

  Result<DirectoryTarStats> Run(const std::string& directory) {
    RETURN_IF_ERROR(
        WalkDirectory(directory, [this](WalkedFile file) { return Add(std::move(file)); }));
    RETURN_IF_ERROR(writer_.Finish());
    return stats_;
  }

 private:
  Status CheckCancelled() const {
    return options_.cancel == nullptr ? Ok() : options_.cancel->Check();
  }

  void Warn(const WalkedFile& file, const char* what) const {
    if (options_.warning) options_.warning(Printable(file.path) + ": " + what);
  }

  Status Add(WalkedFile file) {
    RETURN_IF_ERROR(CheckCancelled());
    if (S_ISSOCK(file.st.st_mode)) {
      Warn(file, "a socket, left out");
      return Ok();
    }
    if (file.mount_point) {
      Warn(file, "something is mounted here, its content is left out");
      if (!S_ISDIR(file.st.st_mode)) return Ok();
    }
    ASSIGN_OR_RETURN(PaxEntry entry, EntryOf(file));
    ++stats_.entries;
    if (file.st.st_nlink > 1 && !S_ISDIR(file.st.st_mode)) {
      const auto [first, is_new] =
          first_names_.emplace(std::pair(file.st.st_dev, file.st.st_ino), file.path);
      if (!is_new) {
        entry.hard_link = true;
        entry.link = first->second;
        RETURN_IF_ERROR(writer_.Begin(entry));
        return writer_.End();
      }
    }
    RETURN_IF_ERROR(S_ISREG(file.st.st_mode) ? AddRegular(file, &entry) : writer_.Begin(entry));
    return writer_.End();
  }

  static Result<PaxEntry> EntryOf(const WalkedFile& file) {
    PaxEntry entry;
    entry.path = file.path;
    entry.mode = file.st.st_mode;
    entry.uid = file.st.st_uid;
    entry.gid = file.st.st_gid;
    entry.rdev = file.st.st_rdev;
    entry.mtime_s = file.st.st_mtim.tv_sec;
    entry.mtime_ns = static_cast<uint32_t>(file.st.st_mtim.tv_nsec);
    if (S_ISLNK(file.st.st_mode)) {
      ASSIGN_OR_RETURN(entry.link, ReadLinkTarget(file.fd.get()));
    }
    ASSIGN_OR_RETURN(entry.xattrs, ReadXattrs(file.fd.get()));
    std::erase_if(entry.xattrs, [](const Xattr& xattr) { return !IsPortableXattr(xattr.name); });
    return entry;
  }

  Status AddRegular(const WalkedFile& file, PaxEntry* entry) {
    ASSIGN_OR_RETURN(const UniqueFd fd, ReopenForReading(file.fd.get()));
    entry->size = static_cast<uint64_t>(file.st.st_size);
    entry->extents = {{0, entry->size}};
    if (LooksSparse(file.st)) {
      ASSIGN_OR_RETURN(entry->extents, DataExtents(fd.get(), entry->size));
      entry->sparse = true;
    }
    stats_.content_bytes += entry->size;
    RETURN_IF_ERROR(writer_.Begin(*entry));
    for (const Extent& extent : entry->extents) RETURN_IF_ERROR(CopyExtent(fd.get(), extent));
    return Ok();
  }

  Status CopyExtent(int fd, Extent extent) {
    while (extent.size > 0) {
      RETURN_IF_ERROR(CheckCancelled());
      const size_t n = std::min<uint64_t>(buffer_.size(), extent.size);
      Status read = PReadExactly(fd, buffer_.data(), n, extent.offset);
      if (!read.ok() && read.error().code() == Code::kCorrupt) {
        return Error(Code::kFailedPrecondition, "became shorter while it was read");
      }
      RETURN_IF_ERROR(std::move(read));
      RETURN_IF_ERROR(writer_.Write({buffer_.data(), n}));
      extent.offset += n;
      extent.size -= n;
    }
    return Ok();
  }

  const DirectoryTarOptions& options_;
  PaxWriter writer_;
  std::vector<char> buffer_;
  DirectoryTarStats stats_;
  std::map<std::pair<dev_t, ino_t>, std::string> first_names_;  // Of hard-linked files.
};

}  // namespace

Result<DirectoryTarStats> WriteDirectoryTar(const std::string& directory, const ByteSink& sink,
                                            const DirectoryTarOptions& options) {
  return DirectoryTar(sink, options).Run(directory);
}

}  // namespace strata::imaged
