#include "imaged/compare/rebase.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "common/printable.h"
#include "imaged/compare/attribute_merge.h"
#include "imaged/compare/image_diff.h"
#include "imaged/compare/layer_draft.h"
#include "imaged/compare/rebase_links.h"
#include "imaged/compare/tree_paths.h"

namespace strata::imaged {
namespace {

// What nobody would call a change when the other side removed the file, or has it as well.
constexpr uint32_t kNoChange = kMtime | kLinks;

bool Changed(uint32_t differences) { return (differences & ~kNoChange) != 0; }
bool SameType(const Inode& a, const Inode& b) { return (a.mode & S_IFMT) == (b.mode & S_IFMT); }

std::string_view WithoutSlashes(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

bool Covers(std::string_view prefix, std::string_view path) {
  return prefix.empty() ||
         (path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/'));
}

std::optional<Side> SideOf(const RebasePolicy& policy, std::string_view path) {
  std::optional<Side> side = policy.otherwise;
  size_t longest = 0;
  for (const RebasePolicy::Override& each : policy.overrides) {
    const std::string_view prefix = WithoutSlashes(each.prefix);
    if (!Covers(prefix, path) || prefix.size() < longest) continue;
    longest = prefix.size();
    side = each.side;
  }
  return side;
}

// What becomes of one path that the image still has.
struct Verdict {
  Side side = Side::kImage;              // Without a conflict.
  std::optional<ConflictKind> conflict;  // The policy decides.
  std::optional<Inode> merged;           // Instead of the image's inode.
};

// The path in the new base.
struct Base {
  bool parent_is_directory = true;
  std::optional<Nid> nid;
  Inode inode;  // If there is a nid.
  bool IsDirectory() const { return nid.has_value() && inode.IsDirectory(); }
};

class Rebase {
 public:
  Rebase(const ComparedImage& origin, const ComparedImage& image, const ErofsReader& base,
         const RebasePolicy& policy, LayerDraft draft)
      : origin_(origin),
        image_(image),
        base_(base),
        policy_(policy),
        draft_(std::move(draft)) {}

  Result<RebaseResult> Run() {
    const auto visit = [this](const DiffEntry& entry) -> Status {
      RETURN_IF_ERROR(Decide(entry), Printable("/" + entry.path));
      return Ok();
    };
    RETURN_IF_ERROR(DiffImages(origin_, image_, {.search_all_of_before = false}, visit));
    RETURN_IF_ERROR(PutWhiteouts());
    ASSIGN_OR_RETURN(result_.split_links, links_.Finish(base_, &draft_));
    std::sort(result_.conflicts.begin(), result_.conflicts.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
    const bool refused = std::any_of(result_.conflicts.begin(), result_.conflicts.end(),
                                     [](const auto& each) { return !each.side.has_value(); });
    if (!refused) result_.layer = draft_.Take();
    return std::move(result_);
  }

 private:
  Status Decide(const DiffEntry& entry) {
    if (const std::optional<Side> side = DecidedAbove(entry.path)) {
      if (*side == Side::kBase || entry.after == nullptr) return Ok();
      return Take(entry, CopyWithoutEntries(*entry.after), Base());
    }
    ASSIGN_OR_RETURN(const Base base, BaseAt(entry.path));
    if (entry.after == nullptr) return DecideRemoved(entry, base);
    ASSIGN_OR_RETURN(Verdict verdict, entry.before == nullptr ? JudgeAdded(entry, base)
                                                              : JudgeChanged(entry, base));
    if (verdict.conflict) {
      const uint32_t differences = base.nid ? Differences(*entry.after, base.inode) : 0;
      verdict.side = Report(entry.path, *verdict.conflict, differences);
    }
    DecideBelow(entry, base, verdict.side);
    if (verdict.side == Side::kImage) {
      return Take(entry,
                  verdict.merged ? std::move(*verdict.merged) : CopyWithoutEntries(*entry.after),
                  base);
    }
    NoteLinks(entry, {.taken = false, .put = false, .base_inode = base.nid});
    return Ok();
  }

  Result<Base> BaseAt(const std::string& path) const {
    ASSIGN_OR_RETURN(const PathLookup found, FindPath(base_, path));
    Base base;
    base.parent_is_directory = found.parent_is_directory;
    base.nid = found.nid;
    if (found.nid) {
      ASSIGN_OR_RETURN(base.inode, base_.ReadInode(*found.nid));
    }
    return base;
  }

  // The side of a directory above that was decided with all that is below it.
  std::optional<Side> DecidedAbove(const std::string& path) const {
    if (decided_.empty()) return std::nullopt;
    for (size_t end = path.rfind('/'); end != std::string::npos && end > 0;
         end = path.rfind('/', end - 1)) {
      const auto found = decided_.find(path.substr(0, end));
      if (found != decided_.end()) return found->second;
    }
    return std::nullopt;
  }

  // Names below a path can be judged one by one where the image's directory meets a directory of
  // the base or of the origin. Elsewhere they go the way of the path.
  void DecideBelow(const DiffEntry& entry, const Base& base, Side side) {
    const bool was_directory = entry.before != nullptr && entry.before->IsDirectory();
    const bool is_directory = entry.after->IsDirectory();
    if (is_directory ? !was_directory && !base.IsDirectory() : base.IsDirectory()) {
      decided_.emplace(entry.path, side);
    }
  }

  Side Report(const std::string& path, ConflictKind kind, uint32_t differences) {
    const std::optional<Side> side = SideOf(policy_, path);
    result_.conflicts.push_back({path, kind, differences, side});
    return side.value_or(Side::kImage);  // Refused: only to find the other conflicts.
  }

  Result<Verdict> JudgeAdded(const DiffEntry& entry, const Base& base) const {
    if (!base.parent_is_directory) {
      // A parent that the image made itself was put already.
      ASSIGN_OR_RETURN(const PathLookup parent, FindPath(*origin_.tree, ParentPath(entry.path)));
      if (!parent.nid) return Verdict{};
      ASSIGN_OR_RETURN(const ErofsInode inode, origin_.tree->GetInode(*parent.nid));
      if (!S_ISDIR(inode.mode)) return Verdict{};
      return Verdict{.conflict = ConflictKind::kParentGone};
    }
    if (!base.nid) return Verdict{};
    if (Changed(Differences(*entry.after, base.inode))) {
      return Verdict{.conflict = ConflictKind::kBothAdded};
    }
    if (!entry.after->IsDirectory()) return Verdict{};
    Verdict verdict{.merged = CopyWithoutEntries(*entry.after)};
    TakeLaterTime(base.inode, &*verdict.merged);
    return verdict;
  }

  Result<Verdict> JudgeChanged(const DiffEntry& entry, const Base& base) const {
    const bool changed_here = Changed(entry.differences);
    if (!base.nid) {
      if (!changed_here) return Verdict{.side = Side::kBase};
      return Verdict{.conflict = base.parent_is_directory ? ConflictKind::kRemovedThere
                                                          : ConflictKind::kParentGone};
    }
    if (!SameType(*entry.before, *entry.after) || !SameType(*entry.before, base.inode)) {
      return JudgeType(entry, base);
    }
    MergedInode merged = MergeInodes(*entry.before, *entry.after, base.inode);
    if (merged.conflicts == 0) return Verdict{.merged = std::move(merged.inode)};
    const bool content = (merged.conflicts & (kContent | kTarget)) != 0;
    return Verdict{.conflict =
                       content ? ConflictKind::kBothContent : ConflictKind::kBothAttributes};
  }

  // One side at least has made another type of file of it.
  Result<Verdict> JudgeType(const DiffEntry& entry, const Base& base) const {
    if (!Changed(Differences(*entry.after, base.inode))) return Verdict{};
    if (SameType(*entry.after, base.inode)) return Verdict{.conflict = ConflictKind::kBothAdded};
    if (SameType(*entry.before, *entry.after) && !Changed(entry.differences)) {
      return Verdict{.side = Side::kBase};
    }
    if (SameType(*entry.before, base.inode) && !Changed(Differences(*entry.before, base.inode))) {
      if (!base.inode.IsDirectory()) return Verdict{};
      ASSIGN_OR_RETURN(const bool same,
                       HoldTheSame(*origin_.tree, entry.raw_before->nid, base_, *base.nid));
      if (same) return Verdict{};
    }
    return Verdict{.conflict = ConflictKind::kTypeDiffers};
  }

  Status DecideRemoved(const DiffEntry& entry, const Base& base) {
    if (!base.nid) return Ok();
    removed_.push_back(entry.path);
    if (Changed(Differences(*entry.before, base.inode)) &&
        Report(entry.path, ConflictKind::kRemovedHere, 0) == Side::kBase) {
      Keep(entry.path);
    }
    if (!entry.before->IsDirectory() || !base.inode.IsDirectory()) return Ok();
    ASSIGN_OR_RETURN(const std::vector<std::string> names,
                     NamesOnlyIn(base_, *base.nid, *origin_.tree, entry.raw_before->nid));
    for (const std::string& name : names) {
      const std::string path = entry.path + "/" + name;
      if (Report(path, ConflictKind::kRemovedHere, 0) == Side::kBase) {
        Keep(path);
      } else {
        removed_.push_back(path);
      }
    }
    return Ok();
  }

  void Keep(std::string path) {
    for (; !path.empty() && kept_.insert(path).second; path = ParentPath(path)) {
    }
  }

  // `base` is what lies below the layer's entry: like it, then none is needed.
  Status Take(const DiffEntry& entry, Inode inode, const Base& base) {
    const bool put = !base.nid || Differences(inode, base.inode) != 0;
    if (put) RETURN_IF_ERROR(draft_.Put(entry.path, std::move(inode), entry.raw_after->nid));
    NoteLinks(entry, {.taken = true, .put = put, .base_inode = base.nid});
    return Ok();
  }

  void NoteLinks(const DiffEntry& entry, RebaseLinks::Name name) {
    if (entry.after->IsDirectory()) return;
    if ((entry.differences & kLinks) == 0 && entry.raw_after->nlink < 2) return;
    name.path = entry.path;
    name.image_inode = entry.raw_after->nid;
    name.nlink = entry.raw_after->nlink;
    links_.Note(std::move(name));
  }

  // One whiteout for each removed path that nothing above hides and in which nothing stays.
  Status PutWhiteouts() {
    std::sort(removed_.begin(), removed_.end());
    std::set<std::string> gone;
    for (const std::string& path : removed_) {
      if (kept_.contains(path)) continue;
      if (!gone.contains(ParentPath(path))) {
        RETURN_IF_ERROR(draft_.PutWhiteout(path), Printable("/" + path));
      }
      gone.insert(path);
    }
    return Ok();
  }

  const ComparedImage& origin_;
  const ComparedImage& image_;
  const ErofsReader& base_;
  const RebasePolicy& policy_;
  LayerDraft draft_;
  RebaseLinks links_;
  RebaseResult result_;
  std::unordered_map<std::string, Side> decided_;  // Paths, with everything below.
  std::vector<std::string> removed_;               // Of the base, as far as nothing is kept there.
  std::set<std::string> kept_;                     // Paths and all above them.
};

}  // namespace

Result<RebaseResult> RebaseImage(const ComparedImage& origin, const ComparedImage& image,
                                 const ErofsReader& base, const RebasePolicy& policy) {
  ASSIGN_OR_RETURN(LayerDraft draft, LayerDraft::Create(*image.tree, base));
  return Rebase(origin, image, base, policy, std::move(draft)).Run();
}

}  // namespace strata::imaged
