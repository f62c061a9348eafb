#include "imaged/oci/entry_spool.h"

#include <archive_entry.h>

#include <algorithm>
#include <vector>

#include "common/printable.h"
#include "imaged/archive/archive_tree.h"
#include "imaged/oci/documents.h"

namespace strata::imaged::oci {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr int kLinksMax = 8;

std::string Joined(const std::vector<std::string_view>& components) {
  std::string path;
  for (const std::string_view component : components) {
    if (!path.empty()) path += '/';
    path += component;
  }
  return path;
}

// Where the symbolic link at `path` leads inside of the archive; nullopt: out of it.
std::optional<std::string> LinkTarget(const std::string& path, std::string_view target) {
  if (target.starts_with('/')) return std::nullopt;
  std::string whole = path.substr(0, path.rfind('/') + 1);  // npos + 1 == 0.
  whole += target;
  std::vector<std::string_view> components;
  std::string_view rest = whole;
  while (!rest.empty()) {
    const size_t slash = rest.find('/');
    const std::string_view component = rest.substr(0, slash);
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      if (components.empty()) return std::nullopt;
      components.pop_back();
    } else {
      components.push_back(component);
    }
  }
  return Joined(components);
}

}  // namespace

class EntrySpool::Reader {
 public:
  Reader(const ByteSource& tar, EntrySpool* spool, const SpoolLimits& limits,
         const ImportControl& control)
      : reader_([&tar, &control]() -> Result<std::string_view> {
          RETURN_IF_ERROR(control.Check());
          return tar();
        }),
        spool_(*spool),
        limits_(limits),
        control_(control) {}

  Status Run() {
    while (true) {
      RETURN_IF_ERROR(control_.Check());
      ASSIGN_OR_RETURN(archive_entry * entry, reader_.Next());
      if (entry == nullptr) break;
      if (++entries_ > limits_.entries_max) {
        return Error(
            Code::kResourceExhausted,
            "an image archive of more than " + std::to_string(limits_.entries_max) + " entries");
      }
      RETURN_IF_ERROR(Add(entry), Printable(::archive_entry_pathname(entry)));
      if (control_.progress) control_.progress(entries_, bytes_);
    }
    return Ok();
  }

 private:
  Status Add(archive_entry* entry) {
    ASSIGN_OR_RETURN(const auto components, SplitArchivePath(::archive_entry_pathname(entry)));
    const std::string path = Joined(components);
    if (const char* target = ::archive_entry_hardlink(entry)) {
      ASSIGN_OR_RETURN(const auto of_target, SplitArchivePath(target), "hard link");
      return Put(path, {{}, Joined(of_target)});
    }
    const auto type = ::archive_entry_filetype(entry);
    if (type == AE_IFLNK) {
      const char* target = ::archive_entry_symlink(entry);
      const auto inside = LinkTarget(path, target == nullptr ? "/" : target);
      return inside ? Put(path, {{}, *inside}) : Ok();
    }
    return type == AE_IFREG ? AddFile(entry, path) : Ok();
  }

  Status Put(const std::string& path, Entry entry) {
    if (spool_.entries_.emplace(path, std::move(entry)).second) return Ok();
    return Error(Code::kInvalidArgument, "it is in the archive twice");
  }

  Status AddFile(archive_entry* entry, const std::string& path) {
    const int64_t claimed = ::archive_entry_size(entry);
    if (claimed < 0) return Error(Code::kCorrupt, "a negative size");
    const File file{bytes_, static_cast<uint64_t>(claimed)};
    if (file.size > limits_.bytes_max - bytes_) {
      return Error(Code::kResourceExhausted, "an image archive of more than " +
                                                 std::to_string(limits_.bytes_max) +
                                                 " bytes: there is no room for it");
    }
    RETURN_IF_ERROR(Put(path, {file, std::nullopt}));
    uint64_t at = 0;
    while (true) {
      RETURN_IF_ERROR(control_.Check());
      ASSIGN_OR_RETURN(const std::optional<TarBlock> block, reader_.ReadBlock());
      if (!block) break;
      if (block->offset < at || block->offset > file.size ||
          block->data.size() > file.size - block->offset) {
        return Error(Code::kCorrupt, "its pieces overlap or pass its end");
      }
      RETURN_IF_ERROR(PWriteAll(spool_.file_.fd(), block->data, file.offset + block->offset));
      at = block->offset + block->data.size();
    }
    bytes_ += file.size;
    // Holes, the last one included, read as zeros.
    if (::ftruncate(spool_.file_.fd(), static_cast<off_t>(bytes_)) != 0) return Errno("ftruncate");
    return Ok();
  }

  TarReader reader_;
  EntrySpool& spool_;
  const SpoolLimits& limits_;
  const ImportControl& control_;
  size_t entries_ = 0;
  uint64_t bytes_ = 0;
};

Result<EntrySpool> EntrySpool::Read(const ByteSource& tar, ScratchFile file,
                                    const SpoolLimits& limits, const ImportControl& control) {
  EntrySpool spool(std::move(file));
  RETURN_IF_ERROR(Reader(tar, &spool, limits, control).Run());
  return spool;
}

std::optional<EntrySpool::File> EntrySpool::Find(const std::string& path) const {
  auto it = entries_.find(path);
  for (int i = 0; i < kLinksMax && it != entries_.end(); ++i) {
    if (!it->second.link) return it->second.file;
    it = entries_.find(*it->second.link);
  }
  return std::nullopt;
}

Status EntrySpool::Give(const File& file, const ByteSink& sink, const CancelToken& cancel) const {
  std::string buffer;
  for (uint64_t at = 0; at < file.size; at += buffer.size()) {
    RETURN_IF_ERROR(cancel.Check());
    buffer.resize(std::min<uint64_t>(kReadBytes, file.size - at));
    RETURN_IF_ERROR(PReadExactly(file_.fd(), buffer.data(), buffer.size(), file.offset + at));
    RETURN_IF_ERROR(sink(buffer));
  }
  return Ok();
}

Result<std::string> EntrySpool::Head(const File& file, size_t size) const {
  std::string head(std::min<uint64_t>(size, file.size), '\0');
  RETURN_IF_ERROR(PReadExactly(file_.fd(), head.data(), head.size(), file.offset));
  return head;
}

Result<std::string> EntrySpool::Document(const std::string& path) const {
  const std::optional<File> file = Find(path);
  if (!file) return Error(Code::kNotFound, "the archive has no file " + Printable(path));
  if (file->size > kDocumentBytesMax) {
    return Error(Code::kResourceExhausted, Printable(path) + " has more than " +
                                               std::to_string(kDocumentBytesMax) + " bytes");
  }
  return Head(*file, kDocumentBytesMax);
}

}  // namespace strata::imaged::oci
