#include "imaged/archive/tar_import.h"

#include <archive_entry.h>

#include <algorithm>
#include <cstring>

#include "common/printable.h"
#include "imaged/archive/archive_tree.h"
#include "imaged/archive/content_pool.h"
#include "imaged/archive/file_capture.h"
#include "imaged/archive/tar_entry.h"

namespace strata::imaged {
namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kWhiteoutMetaPrefix = ".wh..wh.";
constexpr std::string_view kOpaqueName = ".wh..wh..opq";

// Below it a hole saves less than streaming costs.
constexpr uint64_t kSparseSizeMin = 64 * 1024;
// Between two looks at the cancel token.
constexpr uint64_t kHoleStep = 64u << 20;
constexpr uint64_t kProgressEntries = 256;
constexpr uint64_t kProgressBytes = 16u << 20;

class TarImport {
 public:
  TarImport(const ByteSource& source, Ingest& ingest, const TarImportOptions& options,
            const ImportControl& control)
      : options_(options),
        control_(control),
        ingest_(ingest),
        reader_(
            [&source, &control]() -> Result<std::string_view> {
              RETURN_IF_ERROR(control.Check());
              return source();
            },
            options.may_be_compressed),
        tree_(options.limits.tree, options.base),
        pool_(ingest) {}

  Result<ImportedLayer> Run() {
    while (true) {
      RETURN_IF_ERROR(control_.Check());
      ASSIGN_OR_RETURN(archive_entry * entry, reader_.Next());
      if (entry == nullptr) break;
      const std::string name = Printable(::archive_entry_pathname(entry));
      if (!reader_.warning().empty()) warnings_.Add(name + ": " + Printable(reader_.warning()));
      RETURN_IF_ERROR(AddEntry(entry, name), name);
      RETURN_IF_ERROR(CountEntry());
    }
    ASSIGN_OR_RETURN(const auto digests, pool_.Finish());
    for (const auto& [inode, digest] : digests) tree_.mutable_inode(inode).object = digest;
    Report();
    return ImportedLayer{std::move(tree_).Take(), entries_, content_bytes_, std::move(warnings_)};
  }

 private:
  Status CountEntry() {
    // Names that replace each other never fill the tree, but they cost time.
    if (++entries_ > 2 * options_.limits.tree.entries_max) {
      return Error(Code::kResourceExhausted,
                   "the archive has more than " +
                       std::to_string(2 * options_.limits.tree.entries_max) + " entries");
    }
    if (entries_ - reported_entries_ >= kProgressEntries ||
        content_bytes_ - reported_bytes_ >= kProgressBytes) {
      Report();
    }
    return Ok();
  }

  void Report() {
    reported_entries_ = entries_;
    reported_bytes_ = content_bytes_;
    if (control_.progress) control_.progress(entries_, content_bytes_);
  }

  Status AddEntry(archive_entry* entry, const std::string& name) {
    const std::string raw_path = ::archive_entry_pathname(entry);
    ASSIGN_OR_RETURN(ArchiveTree::Path path, SplitArchivePath(raw_path));
    if (options_.oci_whiteouts && !path.empty() && path.back().starts_with(kWhiteoutPrefix)) {
      return AddOciWhiteout(std::move(path), name);
    }
    if (const char* target = ::archive_entry_hardlink(entry)) {
      ASSIGN_OR_RETURN(const ArchiveTree::Path target_path, SplitArchivePath(target),
                       "hard link to '" + Printable(target) + "'");
      return tree_.AddHardLink(path, target_path);
    }
    if (::archive_entry_filetype(entry) == AE_IFSOCK) {
      warnings_.Add(name + ": a socket, left out");
      return Ok();
    }
    ASSIGN_OR_RETURN(Inode inode, InodeFromEntry(entry, name, options_.caller_is_root, &warnings_));
    if (inode.IsRegular()) return AddRegular(entry, path, std::move(inode));
    return DropIndex(tree_.Add(path, std::move(inode)));
  }

  static Status DropIndex(const Result<InodeIndex>& added) {
    if (!added.ok()) return added.error();
    return Ok();
  }

  Status AddOciWhiteout(ArchiveTree::Path path, const std::string& name) {
    const std::string_view last = path.back();
    if (last == kOpaqueName) {
      path.pop_back();
      return tree_.MakeOpaque(path);
    }
    if (last.starts_with(kWhiteoutMetaPrefix)) {  // AUFS keeps its own books under such names.
      warnings_.Add(name + ": AUFS metadata, left out");
      return Ok();
    }
    path.back() = last.substr(kWhiteoutPrefix.size());
    RETURN_IF_ERROR(CheckName(path.back()));
    return tree_.AddWhiteout(path);
  }

  Status AddRegular(archive_entry* entry, const ArchiveTree::Path& path, Inode inode) {
    const int64_t claimed = ::archive_entry_size(entry);
    if (claimed < 0) return Error(Code::kCorrupt, "a negative size");
    const auto size = static_cast<uint64_t>(claimed);
    if (size > options_.limits.content_bytes_max - content_bytes_) {
      return Error(
          Code::kResourceExhausted,
          "more than " + std::to_string(options_.limits.content_bytes_max) + " bytes of content");
    }
    content_bytes_ += size;
    const bool sparse = ::archive_entry_sparse_count(entry) > 0 && size > kSparseSizeMin;
    if (size > kBufferedSizeMax || sparse) return AddStreamed(path, std::move(inode), size);

    std::string content = pool_.TakeBuffer(size);
    RETURN_IF_ERROR(ReadContent(size, &content));
    if (size <= kInlineSizeMax) {
      inode.size = size;
      inode.data = std::move(content);
      return DropIndex(tree_.Add(path, std::move(inode)));
    }
    // The digest follows when the pool is done; until then the inode looks empty.
    ASSIGN_OR_RETURN(const InodeIndex index, tree_.Add(path, std::move(inode)));
    tree_.mutable_inode(index).size = size;
    return pool_.Submit(index, std::move(content));
  }

  // Appends exactly `size` bytes, holes as zeros.
  Status ReadContent(uint64_t size, std::string* content) {
    while (true) {
      ASSIGN_OR_RETURN(const std::optional<TarBlock> block, reader_.ReadBlock());
      if (!block) break;
      RETURN_IF_ERROR(CheckBlock(*block, content->size(), size));
      content->append(block->offset - content->size(), '\0');
      content->append(block->data);
    }
    content->append(size - content->size(), '\0');
    return Ok();
  }

  static Status CheckBlock(const TarBlock& block, uint64_t at, uint64_t size) {
    if (block.offset >= at && block.offset <= size && block.data.size() <= size - block.offset) {
      return Ok();
    }
    return Error(Code::kCorrupt, "its pieces overlap or pass its end");
  }

  Status AddStreamed(const ArchiveTree::Path& path, Inode inode, uint64_t size) {
    ASSIGN_OR_RETURN(const std::unique_ptr<ObjectWriter> writer, ingest_.NewWriter());
    uint64_t at = 0;
    while (true) {
      RETURN_IF_ERROR(control_.Check());
      ASSIGN_OR_RETURN(const std::optional<TarBlock> block, reader_.ReadBlock());
      if (!block) break;
      RETURN_IF_ERROR(CheckBlock(*block, at, size));
      RETURN_IF_ERROR(WriteHole(writer.get(), block->offset - at));
      RETURN_IF_ERROR(writer->Write(block->data));
      at = block->offset + block->data.size();
    }
    RETURN_IF_ERROR(WriteHole(writer.get(), size - at));
    ASSIGN_OR_RETURN(inode.object, writer->Finish());
    inode.size = size;
    return DropIndex(tree_.Add(path, std::move(inode)));
  }

  Status WriteHole(ObjectWriter* writer, uint64_t size) {
    while (size > 0) {
      RETURN_IF_ERROR(control_.Check());
      const uint64_t step = std::min(size, kHoleStep);
      RETURN_IF_ERROR(writer->WriteHole(step));
      size -= step;
    }
    return Ok();
  }

  const TarImportOptions& options_;
  const ImportControl& control_;
  Ingest& ingest_;
  TarReader reader_;
  ArchiveTree tree_;
  ContentPool pool_;
  ImportWarnings warnings_;
  uint64_t entries_ = 0;
  uint64_t content_bytes_ = 0;
  uint64_t reported_entries_ = 0;
  uint64_t reported_bytes_ = 0;
};

}  // namespace

Result<ImportedLayer> ImportTar(const ByteSource& source, Ingest& ingest,
                                const TarImportOptions& options, const ImportControl& control) {
  return TarImport(source, ingest, options, control).Run();
}

}  // namespace strata::imaged
