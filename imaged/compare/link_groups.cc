#include "imaged/compare/link_groups.h"

#include <dirent.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "common/digest.h"

namespace strata::imaged {

Result<LinkGroups> LinkGroups::Collect(PairWalk* walk, const ComparedImage& before,
                                       const ComparedImage& after) {
  LinkGroups links;
  RETURN_IF_ERROR(walk->Run(
      {}, [&links](const std::string& path, const auto& before_inode, const auto& after_inode) {
        Add(path, before_inode, &links.before_);
        Add(path, after_inode, &links.after_);
        return Ok();
      }));
  RETURN_IF_ERROR(links.FindOtherNames(*before.tree, links.before_));
  RETURN_IF_ERROR(links.FindOtherNames(*after.tree, links.after_));
  return links;
}

void LinkGroups::Add(const std::string& path, const std::optional<ErofsInode>& inode,
                     Groups* groups) {
  if (!inode || S_ISDIR(inode->mode) || inode->nlink < 2) return;
  const Digest digest = Hasher::Of(path);
  std::array<uint64_t, 2> words;
  std::memcpy(words.data(), digest.bytes().data(), sizeof(words));
  Group& group = (*groups)[inode->nid];
  group.nlink = inode->nlink;
  ++group.names;
  for (size_t i = 0; i < words.size(); ++i) group.sum[i] += words[i];
}

Status LinkGroups::FindOtherNames(const ErofsReader& tree, const Groups& groups) {
  const auto partial = [](const auto& item) { return IsPartial(item.second); };
  if (std::none_of(groups.begin(), groups.end(), partial)) return Ok();
  const TreeLimits limits;
  uint64_t entries = 0;
  std::vector<std::pair<Nid, std::string>> directories = {{tree.root(), ""}};
  while (!directories.empty()) {
    // No structured binding, which clang does not let a lambda capture.
    const Nid directory = directories.back().first;
    const std::string prefix = std::move(directories.back().second);
    directories.pop_back();
    RETURN_IF_ERROR(tree.ReadDirectory(directory, 0, [&](const ErofsDirEntry& entry) {
      ++entries;
      const auto group = groups.find(entry.nid);
      if (entry.type == DT_DIR) {
        directories.emplace_back(entry.nid, prefix + std::string(entry.name) + "/");
      } else if (group != groups.end() && partial(*group)) {
        also_visit_.insert(prefix + std::string(entry.name));
      }
      return entries <= limits.entries_max;
    }));
    if (entries > limits.entries_max) {
      return Error(Code::kCorrupt, "more entries than an image may have");
    }
  }
  looked_at_ += entries;
  return Ok();
}

bool LinkGroups::Differ(const ErofsInode& before, const ErofsInode& after) const {
  if (before.nlink != after.nlink) return true;
  if (before.nlink < 2) return false;
  const auto b = before_.find(before.nid);
  const auto a = after_.find(after.nid);
  if (b == before_.end() || a == after_.end()) return true;  // A name that was found later.
  return b->second.sum != a->second.sum;
}

}  // namespace strata::imaged
