#include "imaged/compare/image_diff.h"

#include <dirent.h>

#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/printable.h"
#include "imaged/compare/link_groups.h"

namespace strata::imaged {
namespace {

class ImageDiff {
 public:
  ImageDiff(const ComparedImage& before, const ComparedImage& after, const DiffVisitor& visit)
      : before_(before), after_(after), visit_(visit), walk_(before, after) {}

  Result<DiffSummary> Run(const DiffOptions& options) {
    summary_.shared_layers = SharedLayers(before_, after_);
    ASSIGN_OR_RETURN(const LinkGroups links, LinkGroups::Collect(&walk_, before_, after_));
    RETURN_IF_ERROR(walk_.Run(links.also_visit(), [&](const std::string& path, const auto& before,
                                                      const auto& after) {
      return Compare(path, before, after, links);
    }));
    std::erase_if(candidates_, [this](const auto& item) { return old_.contains(item.first); });
    if (options.search_all_of_before && !candidates_.empty()) RETURN_IF_ERROR(SearchBefore());
    for (const auto& [object, size] : candidates_) {
      ++summary_.new_objects;
      summary_.new_object_bytes += size;
    }
    summary_.looked_at += walk_.looked_at() + links.looked_at();
    return summary_;
  }

 private:
  Status Compare(const std::string& path, const std::optional<ErofsInode>& raw_before,
                 const std::optional<ErofsInode>& raw_after, const LinkGroups& links) {
    Inode before;
    Inode after;
    if (raw_before) {
      ASSIGN_OR_RETURN(before, before_.tree->ReadInode(raw_before->nid));
    }
    if (raw_after) {
      ASSIGN_OR_RETURN(after, after_.tree->ReadInode(raw_after->nid));
    }
    if (!before.object.IsZero()) old_.insert(before.object);
    DiffEntry entry{.path = path,
                    .change = !raw_before  ? Change::kAdded
                              : !raw_after ? Change::kRemoved
                                           : Change::kChanged,
                    .differences = 0,
                    .raw_before = raw_before ? &*raw_before : nullptr,
                    .raw_after = raw_after ? &*raw_after : nullptr,
                    .before = raw_before ? &before : nullptr,
                    .after = raw_after ? &after : nullptr};
    if (raw_before && raw_after) {
      entry.differences = Differences(before, after);
      if (!before.IsDirectory() && !after.IsDirectory() && links.Differ(*raw_before, *raw_after)) {
        entry.differences |= kLinks;
      }
      if (entry.differences == 0) return Ok();
    }
    Count(entry);
    return visit_(entry);
  }

  void Count(const DiffEntry& entry) {
    const uint64_t old_bytes = entry.before != nullptr ? entry.before->size : 0;
    const uint64_t new_bytes = entry.after != nullptr ? entry.after->size : 0;
    if (entry.change == Change::kAdded) {
      ++summary_.added;
    } else if (entry.change == Change::kRemoved) {
      ++summary_.removed;
    } else {
      ++(entry.differences == kMtime ? summary_.times_only : summary_.changed);
    }
    if (entry.change != Change::kChanged || (entry.differences & kType) != 0) {
      summary_.removed_bytes += old_bytes;
      summary_.added_bytes += new_bytes;
    } else if ((entry.differences & kContent) != 0) {
      summary_.changed_bytes += new_bytes;
    }
    if (entry.after != nullptr && !entry.after->object.IsZero()) {
      candidates_.emplace(entry.after->object, entry.after->size);
    }
  }

  // Takes what any file of `before` holds off the candidates.
  Status SearchBefore() {
    const uint64_t entries_max = TreeLimits().entries_max;
    uint64_t entries = 0;
    std::vector<Nid> directories = {before_.tree->root()};
    while (!directories.empty() && !candidates_.empty()) {
      const Nid directory = directories.back();
      directories.pop_back();
      Status status;
      RETURN_IF_ERROR(
          before_.tree->ReadDirectory(directory, 0, [&](const ErofsDirEntry& entry) -> bool {
            if (entry.type == DT_DIR) directories.push_back(entry.nid);
            if (entry.type == DT_REG) status = Forget(entry.nid);
            return status.ok() && ++entries <= entries_max;
          }));
      RETURN_IF_ERROR(status);
      if (entries > entries_max) {
        return Error(Code::kCorrupt, "more entries than an image may have");
      }
    }
    summary_.looked_at += entries;
    return Ok();
  }

  Status Forget(Nid nid) {
    ASSIGN_OR_RETURN(const Digest object, before_.tree->GetObject(nid));
    candidates_.erase(object);
    return Ok();
  }

  const ComparedImage& before_;
  const ComparedImage& after_;
  const DiffVisitor& visit_;
  PairWalk walk_;
  DiffSummary summary_;
  std::unordered_set<Digest, DigestHash> old_;  // Objects of `before` that were come across.
  std::unordered_map<Digest, uint64_t, DigestHash> candidates_;  // For new ones, with their size.
};

}  // namespace

uint32_t Differences(const Inode& before, const Inode& after) {
  uint32_t differences = 0;
  if ((before.mode & S_IFMT) != (after.mode & S_IFMT)) {
    differences |= kType;
  } else if (before.IsRegular()) {
    if (before.size != after.size || before.object != after.object || before.data != after.data) {
      differences |= kContent;
    }
  } else {
    if (before.rdev != after.rdev) differences |= kContent;
    if (before.data != after.data) differences |= kTarget;
  }
  if (((before.mode ^ after.mode) & 07777) != 0) differences |= kMode;
  if (before.uid != after.uid || before.gid != after.gid) differences |= kOwner;
  if (before.xattrs != after.xattrs) differences |= kXattrs;
  if (before.mtime_s != after.mtime_s || before.mtime_ns != after.mtime_ns) differences |= kMtime;
  return differences;
}

Result<DiffSummary> DiffImages(const ComparedImage& before, const ComparedImage& after,
                               const DiffOptions& options, const DiffVisitor& visit) {
  return ImageDiff(before, after, visit).Run(options);
}

}  // namespace strata::imaged
