#include "imaged/compare/rebase_links.h"

#include <set>
#include <unordered_map>
#include <unordered_set>

#include "imaged/compare/image_diff.h"

namespace strata::imaged {
namespace {

using Name = RebaseLinks::Name;
using Group = std::vector<Name>;

// Names that came out equal, and that the base has just so.
struct Alike {
  Inode inode;
  std::vector<const Name*> names;
};

bool IsSplit(const Group& group, const LayerDraft& draft) {
  const uint32_t nlink = group.front().nlink;
  std::set<std::pair<std::optional<InodeIndex>, Nid>> inodes;  // In the layer, or in the base.
  uint32_t taken = 0;
  for (const Name& name : group) {
    if (!name.taken) continue;
    ++taken;
    const std::optional<InodeIndex> index = draft.Find(name.path);
    inodes.emplace(index, index ? 0 : *name.base_inode);
  }
  return nlink > 1 && taken > 0 && (taken < nlink || inodes.size() > 1);
}

class LinkPlacing {
 public:
  LinkPlacing(const ErofsReader& base, LayerDraft* draft) : base_(base), draft_(*draft) {}

  Status Place(const Group& group) {
    std::vector<Alike> rest;
    for (const Name& name : group) {
      if (!name.taken || name.put) continue;
      ASSIGN_OR_RETURN(Inode inode, base_.ReadInode(*name.base_inode), name.path);
      if (draft_.WouldLink(inode, name.image_inode)) {
        RETURN_IF_ERROR(Put(name, inode));
      } else {
        Sort(name, std::move(inode), &rest);
      }
    }
    for (const Alike& alike : rest) {
      if (BaseHas(alike)) continue;
      for (const Name* name : alike.names) RETURN_IF_ERROR(Put(*name, alike.inode));
    }
    return Ok();
  }

 private:
  static void Sort(const Name& name, Inode inode, std::vector<Alike>* rest) {
    for (Alike& alike : *rest) {
      if (Differences(alike.inode, inode) != 0) continue;
      alike.names.push_back(&name);
      return;
    }
    rest->push_back({std::move(inode), {&name}});
  }

  // Whether one inode of the base can stand for the names. It can do so once: names that the image
  // took apart must not stay one file.
  bool BaseHas(const Alike& alike) {
    const Nid inode = *alike.names.front()->base_inode;
    for (const Name* name : alike.names) {
      if (*name->base_inode != inode) return false;
    }
    return claimed_.insert(inode).second;
  }

  Status Put(const Name& name, const Inode& inode) {
    RETURN_IF_ERROR(draft_.Put(name.path, CopyWithoutEntries(inode), name.image_inode), name.path);
    return Ok();
  }

  const ErofsReader& base_;
  LayerDraft& draft_;
  std::unordered_set<Nid> claimed_;
};

}  // namespace

Result<std::vector<std::string>> RebaseLinks::Finish(const ErofsReader& base,
                                                     LayerDraft* draft) const {
  std::unordered_map<Nid, Group> groups;
  for (const Name& name : names_) groups[name.image_inode].push_back(name);
  LinkPlacing placing(base, draft);
  std::vector<std::string> split;
  for (const Name& name : names_) {
    const Group& group = groups[name.image_inode];
    if (group.front().path != name.path) continue;  // Its group was dealt with.
    RETURN_IF_ERROR(placing.Place(group));
    if (IsSplit(group, *draft)) split.push_back(name.path);
  }
  return split;
}

}  // namespace strata::imaged
