#include "imaged/compare/tree_paths.h"

#include <utility>

#include "imaged/compare/image_diff.h"

namespace strata::imaged {
namespace {

Result<std::vector<ErofsDirEntry>> List(const ErofsReader& tree, Nid directory) {
  std::vector<ErofsDirEntry> entries;
  RETURN_IF_ERROR(tree.ReadDirectory(directory, 0, [&](const ErofsDirEntry& entry) {
    entries.push_back(entry);
    return true;
  }));
  return entries;
}

}  // namespace

std::string ParentPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

Result<PathLookup> FindPath(const ErofsReader& tree, std::string_view path) {
  Nid at = tree.root();
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const bool last = slash == std::string_view::npos;
    ASSIGN_OR_RETURN(const ErofsInode inode, tree.GetInode(at));
    if (!S_ISDIR(inode.mode)) return PathLookup{std::nullopt, false};
    ASSIGN_OR_RETURN(const auto entry, tree.Lookup(at, path.substr(0, slash)));
    if (!entry) return PathLookup{std::nullopt, last};
    at = entry->nid;
    path.remove_prefix(last ? path.size() : slash + 1);
  }
  return PathLookup{at, true};
}

Result<bool> HoldTheSame(const ErofsReader& tree, Nid directory, const ErofsReader& other_tree,
                         Nid other_directory) {
  const uint64_t entries_max = TreeLimits().entries_max;
  uint64_t entries = 0;
  std::vector<std::pair<Nid, Nid>> pending = {{directory, other_directory}};
  while (!pending.empty()) {
    const auto [left, right] = pending.back();
    pending.pop_back();
    ASSIGN_OR_RETURN(const auto ours, List(tree, left));
    ASSIGN_OR_RETURN(const auto theirs, List(other_tree, right));
    if (ours.size() != theirs.size()) return false;
    if ((entries += ours.size()) > entries_max) {
      return Error(Code::kCorrupt, "more entries than an image may have");
    }
    for (size_t i = 0; i < ours.size(); ++i) {
      if (ours[i].name != theirs[i].name) return false;
      ASSIGN_OR_RETURN(const Inode our, tree.ReadInode(ours[i].nid));
      ASSIGN_OR_RETURN(const Inode their, other_tree.ReadInode(theirs[i].nid));
      if ((Differences(our, their) & ~uint32_t{kMtime}) != 0) return false;
      if (our.IsDirectory()) pending.emplace_back(ours[i].nid, theirs[i].nid);
    }
  }
  return true;
}

Result<std::vector<std::string>> NamesOnlyIn(const ErofsReader& tree, Nid directory,
                                             const ErofsReader& other_tree, Nid other_directory) {
  ASSIGN_OR_RETURN(const auto entries, List(tree, directory));
  std::vector<std::string> names;
  for (const ErofsDirEntry& entry : entries) {
    ASSIGN_OR_RETURN(const auto other, other_tree.Lookup(other_directory, entry.name));
    if (!other) names.emplace_back(entry.name);
  }
  return names;
}

}  // namespace strata::imaged
