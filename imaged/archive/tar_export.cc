#include "imaged/archive/tar_export.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

#include "common/printable.h"

namespace strata::imaged {
namespace {

constexpr size_t kReadSize = 256 * 1024;
constexpr std::string_view kWhiteoutPrefix = ".wh.";

class TarExport {
 public:
  TarExport(const Tree& tree, const ObjectStore& store, const ByteSink& sink,
            const TarExportOptions& options)
      : tree_(tree), store_(store), options_(options), writer_(sink), buffer_(kReadSize) {}

  Status Run() {
    RETURN_IF_ERROR(tree_.Walk([this](const std::string& path, InodeIndex index) -> Status {
      RETURN_IF_ERROR(CheckCancelled());
      if (!IsWanted(path)) return Ok();
      Status added = Add(path, index);
      return added.ok() ? Ok() : Status(added.error().Wrap("/" + Printable(path)));
    }));
    return writer_.Finish();
  }

 private:
  Status CheckCancelled() const {
    return options_.cancel == nullptr ? Ok() : options_.cancel->Check();
  }

  bool IsWanted(const std::string& path) const {
    return options_.paths.empty() ||
           std::any_of(options_.paths.begin(), options_.paths.end(),
                       [&](const std::string& wanted) {
                         return wanted.empty() || path == wanted ||
                                (path.starts_with(wanted) && path[wanted.size()] == '/');
                       });
  }

  Status Add(const std::string& path, InodeIndex index) {
    const Inode& inode = tree_.inode(index);
    const size_t name_at = path.rfind('/') + 1;  // npos + 1 == 0.
    if (options_.oci_whiteouts &&
        path.compare(name_at, kWhiteoutPrefix.size(), kWhiteoutPrefix) == 0) {
      return Error(Code::kInvalidArgument, "its name would be read as a whiteout");
    }
    if (inode.IsWhiteout() || inode.opaque) {
      if (!options_.oci_whiteouts) {
        return Error(Code::kInvalidArgument, "a whiteout outside of a layer's archive");
      }
      if (inode.IsWhiteout())
        return AddMark(path.substr(0, name_at) + ".wh." + path.substr(name_at));
    }
    if (S_ISSOCK(inode.mode)) return Ok();
    PaxEntry entry = EntryOf(path, inode);
    if (inode.nlink > 1 && !inode.IsDirectory()) {
      const auto [first, is_new] = first_names_.emplace(index, path);
      if (!is_new) {
        entry.hard_link = true;
        entry.link = first->second;
        entry.size = 0;
        RETURN_IF_ERROR(writer_.Begin(entry));
        return writer_.End();
      }
    }
    RETURN_IF_ERROR(inode.IsRegular() ? AddRegular(inode, &entry) : writer_.Begin(entry));
    RETURN_IF_ERROR(writer_.End());
    if (inode.opaque) return AddMark(path.empty() ? ".wh..wh..opq" : path + "/.wh..wh..opq");
    return Ok();
  }

  static PaxEntry EntryOf(const std::string& path, const Inode& inode) {
    PaxEntry entry;
    entry.path = path;
    entry.mode = inode.mode;
    entry.uid = inode.uid;
    entry.gid = inode.gid;
    entry.rdev = inode.rdev;
    entry.mtime_s = inode.mtime_s;
    entry.mtime_ns = inode.mtime_ns;
    entry.xattrs = inode.xattrs;
    if (S_ISLNK(inode.mode)) entry.link = inode.data;
    if (inode.IsRegular()) entry.size = inode.size;
    return entry;
  }

  Status AddMark(const std::string& path) {
    PaxEntry entry;
    entry.path = path;
    entry.mode = S_IFREG;
    RETURN_IF_ERROR(writer_.Begin(entry));
    return writer_.End();
  }

  Status AddRegular(const Inode& inode, PaxEntry* entry) {
    if (inode.object.IsZero()) {
      RETURN_IF_ERROR(writer_.Begin(*entry));
      return writer_.Write(inode.data);
    }
    ASSIGN_OR_RETURN(const UniqueFd fd, store_.OpenObject(inode.object));
    struct stat st;
    if (::fstat(fd.get(), &st) != 0) return Errno("stat " + inode.object.ToString());
    if (static_cast<uint64_t>(st.st_size) != inode.size) return Corrupt(inode.object);
    entry->extents = {{0, inode.size}};
    if (options_.sparse == SparseFiles::kByContent) {
      ASSIGN_OR_RETURN(const auto extents, NonZeroExtents(fd.get(), inode.size));
      entry->sparse = extents.has_value();
      if (extents) entry->extents = *extents;
    } else if (LooksSparse(st)) {
      ASSIGN_OR_RETURN(entry->extents, DataExtents(fd.get(), inode.size));
      entry->sparse = true;
    }
    RETURN_IF_ERROR(writer_.Begin(*entry));
    Hasher hasher;
    uint64_t at = 0;
    for (const Extent& extent : entry->extents) {
      RETURN_IF_ERROR(HashHole(extent.offset - at, &hasher));
      RETURN_IF_ERROR(CopyExtent(fd.get(), extent, &hasher));
      at = extent.offset + extent.size;
    }
    RETURN_IF_ERROR(HashHole(inode.size - at, &hasher));
    if (hasher.Finish() != inode.object) return Corrupt(inode.object);
    return Ok();
  }

  static Error Corrupt(const Digest& digest) {
    return Error(Code::kCorrupt, "the content in the store is not that of " + digest.ToString());
  }

  Status CopyExtent(int fd, Extent extent, Hasher* hasher) {
    while (extent.size > 0) {
      RETURN_IF_ERROR(CheckCancelled());
      const size_t n = std::min<uint64_t>(buffer_.size(), extent.size);
      RETURN_IF_ERROR(PReadExactly(fd, buffer_.data(), n, extent.offset));
      hasher->Update(buffer_.data(), n);
      RETURN_IF_ERROR(writer_.Write({buffer_.data(), n}));
      extent.offset += n;
      extent.size -= n;
    }
    return Ok();
  }

  Status HashHole(uint64_t size, Hasher* hasher) {
    static constexpr std::array<char, kReadSize> kZeros{};
    while (size > 0) {
      RETURN_IF_ERROR(CheckCancelled());
      const size_t n = std::min<uint64_t>(kZeros.size(), size);
      hasher->Update(kZeros.data(), n);
      size -= n;
    }
    return Ok();
  }

  const Tree& tree_;
  const ObjectStore& store_;
  const TarExportOptions& options_;
  PaxWriter writer_;
  std::vector<char> buffer_;
  std::unordered_map<InodeIndex, std::string> first_names_;  // Of hard-linked files.
};

}  // namespace

Status ExportTar(const Tree& tree, const ObjectStore& store, const ByteSink& sink,
                 const TarExportOptions& options) {
  return TarExport(tree, store, sink, options).Run();
}

}  // namespace strata::imaged
