#include "imaged/compare/rebase_links.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace strata::imaged {
namespace {

using Group = std::vector<RebaseLinks::Name>;

// Whether the base's own inode can stand for all names of the group that were taken. It can for one
// group only: names that the image took apart must not stay one file.
bool BaseHasThem(const Group& group, std::unordered_set<Nid>* claimed) {
  std::set<Nid> inodes;
  for (const RebaseLinks::Name& name : group) {
    if (name.put) return false;
    if (name.taken && name.base_inode) inodes.insert(*name.base_inode);
  }
  if (inodes.empty()) return true;  // Nothing was taken.
  return inodes.size() == 1 && claimed->insert(*inodes.begin()).second;
}

bool IsSplit(const Group& group, const LayerDraft& draft) {
  const uint32_t nlink = group.front().nlink;
  std::set<std::optional<InodeIndex>> inodes;
  uint32_t taken = 0;
  for (const RebaseLinks::Name& name : group) {
    if (!name.taken) continue;
    ++taken;
    inodes.insert(draft.Find(name.path));
  }
  return nlink > 1 && taken > 0 && (taken < nlink || inodes.size() > 1);
}

}  // namespace

Result<std::vector<std::string>> RebaseLinks::Finish(const ErofsReader& base,
                                                     LayerDraft* draft) const {
  std::unordered_map<Nid, Group> groups;
  for (const Name& name : names_) groups[name.image_inode].push_back(name);
  std::unordered_set<Nid> claimed;
  std::vector<std::string> split;
  for (const Name& name : names_) {
    const Group& group = groups[name.image_inode];
    if (group.front().path != name.path) continue;  // Its group was dealt with.
    if (!BaseHasThem(group, &claimed)) {
      for (const Name& each : group) {
        if (!each.taken || each.put) continue;
        ASSIGN_OR_RETURN(Inode inode, base.ReadInode(*each.base_inode), each.path);
        RETURN_IF_ERROR(draft->Put(each.path, std::move(inode), each.image_inode), each.path);
      }
    }
    if (IsSplit(group, *draft)) split.push_back(name.path);
  }
  return split;
}

}  // namespace strata::imaged
