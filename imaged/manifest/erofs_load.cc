// A whole manifest as a Tree, trusting nothing: what comes out was checked like imported data.
#include <dirent.h>
#include <sys/stat.h>

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/printable.h"
#include "imaged/manifest/erofs_reader.h"

namespace strata::imaged {
namespace {

// An impossible attribute is the caller's mistake in a Tree, but corruption in an image.
Error AsCorrupt(const Error& error) {
  if (error.code() != Code::kInvalidArgument && error.code() != Code::kAlreadyExists) return error;
  return Error(Code::kCorrupt, error.message(), error.sys_errno());
}

Error Corrupt(Nid nid, const std::string& what) {
  return Error(Code::kCorrupt, "inode " + std::to_string(nid) + ": " + what);
}

}  // namespace

class ErofsLoader {
 public:
  ErofsLoader(const ErofsReader& reader, const TreeLimits& limits)
      : reader_(reader), tree_(limits), seen_(reader.image_.size() / 32) {}

  Result<Tree> Run() {
    ASSIGN_OR_RETURN(const Inode root, reader_.ReadInode(reader_.root()));
    if (Status status = CheckInode(root); !status.ok()) return AsCorrupt(status.error());
    RETURN_IF_ERROR(tree_.CopyAttributes(Tree::kRoot, root));
    tree_.mutable_inode(Tree::kRoot).opaque = root.opaque;
    seen_[reader_.root()] = true;
    pending_.push_back({reader_.root(), reader_.root(), Tree::kRoot, ""});
    while (!pending_.empty()) {
      const Directory directory = std::move(pending_.back());
      pending_.pop_back();
      RETURN_IF_ERROR(LoadDirectory(directory));
    }
    RETURN_IF_ERROR(CheckLinkCounts());
    return std::move(tree_);
  }

 private:
  struct Directory {
    Nid nid;
    Nid parent;
    InodeIndex index;
    std::string path;  // "" is the root, then "/a/b": errors name what is wrong by it.
  };

  Status LoadDirectory(const Directory& directory) {
    std::string at;  // The entry that is wrong; "": the directory itself.
    const Status loaded = LoadEntries(directory, &at);
    if (loaded.ok()) return Ok();
    return AsCorrupt(loaded.error()).Wrap(Printable(directory.path + "/" + at));
  }

  Status LoadEntries(const Directory& directory, std::string* at) {
    RETURN_IF_ERROR(reader_.CheckDots(directory.nid, directory.parent));
    ASSIGN_OR_RETURN(const ErofsInode inode, reader_.GetInode(directory.nid));
    Status status;
    uint64_t subdirectories = 0;
    RETURN_IF_ERROR(reader_.ReadDirectory(directory.nid, 0, [&](const ErofsDirEntry& entry) {
      if (entry.type == DT_DIR) ++subdirectories;
      status = LoadEntry(directory, entry);
      if (!status.ok()) *at = entry.name;
      return status.ok();
    }));
    RETURN_IF_ERROR(status);
    if (inode.nlink != subdirectories + 2) return Corrupt(directory.nid, "a wrong link count");
    return Ok();
  }

  Status LoadEntry(const Directory& directory, const ErofsDirEntry& entry) {
    ASSIGN_OR_RETURN(const ErofsInode inode, reader_.GetInode(entry.nid));
    if (IFTODT(inode.mode) != entry.type) return Corrupt(entry.nid, "a type unlike its entry's");
    if (seen_[entry.nid]) {  // In range: GetInode checked it.
      const auto known = hard_links_.find(entry.nid);
      if (known == hard_links_.end()) return Corrupt(entry.nid, "a name that is not counted");
      return tree_.Link(directory.index, entry.name, known->second);
    }
    seen_[entry.nid] = true;
    ASSIGN_OR_RETURN(Inode attributes, reader_.ReadInode(entry.nid));
    ASSIGN_OR_RETURN(const InodeIndex index, tree_.AddInode(std::move(attributes)));
    RETURN_IF_ERROR(tree_.Link(directory.index, entry.name, index));
    if (S_ISDIR(inode.mode)) {
      pending_.push_back(
          {entry.nid, directory.nid, index, directory.path + "/" + std::string(entry.name)});
    } else if (inode.nlink > 1) {
      hard_links_.emplace(entry.nid, index);
    }
    return Ok();
  }

  Status CheckLinkCounts() {
    for (const auto& [nid, index] : hard_links_) {
      ASSIGN_OR_RETURN(const ErofsInode inode, reader_.GetInode(nid));
      if (inode.nlink == tree_.inode(index).nlink) continue;
      return Corrupt(nid, "a wrong link count").Wrap(Printable("/" + PathOf(index)));
    }
    return Ok();
  }

  std::string PathOf(InodeIndex wanted) const {
    std::string found;
    const Status walked = tree_.Walk([&](const std::string& path, InodeIndex index) -> Status {
      if (index == wanted && found.empty()) found = path;
      return Ok();
    });
    return walked.ok() ? found : std::string();
  }

  const ErofsReader& reader_;
  Tree tree_;
  std::vector<bool> seen_;  // By nid: an image must not name an inode more often than it says.
  std::unordered_map<Nid, InodeIndex> hard_links_;
  std::vector<Directory> pending_;
};

Result<Inode> ErofsReader::ReadInode(Nid nid) const {
  ASSIGN_OR_RETURN(const ErofsInode raw, GetInode(nid));
  Inode inode;
  inode.mode = raw.mode;
  inode.uid = raw.uid;
  inode.gid = raw.gid;
  inode.nlink = raw.nlink;
  inode.rdev = raw.rdev;
  inode.mtime_s = raw.mtime_s;
  inode.mtime_ns = raw.mtime_ns;
  ASSIGN_OR_RETURN(inode.xattrs, GetXattrs(nid));
  if (S_ISDIR(raw.mode)) {
    ASSIGN_OR_RETURN(inode.opaque, IsOpaque(nid));
  } else if (S_ISLNK(raw.mode)) {
    ASSIGN_OR_RETURN(const std::string_view target, ReadLink(nid));
    inode.data = target;
  } else if (S_ISREG(raw.mode)) {
    inode.size = raw.size;
    ASSIGN_OR_RETURN(inode.object, GetObject(nid));
    ASSIGN_OR_RETURN(const std::string_view data, GetInlineData(nid));
    inode.data = data;
  } else if (raw.size != 0) {
    return Corrupt(nid, "a special file with a size");
  }
  return inode;
}

Result<Tree> ErofsReader::LoadTree(const TreeLimits& limits) const {
  return ErofsLoader(*this, limits).Run();
}

}  // namespace strata::imaged
