#include "imaged/save/layer_builder.h"

#include <dirent.h>

#include <set>
#include <unordered_map>

namespace strata::imaged {
namespace {

constexpr size_t kWarningsMax = 100;
constexpr int kRedirectDepthMax = 1024;

class Builder {
 public:
  Builder(const UpperSnapshot& snapshot, const ErofsReader& base, const IdRange& ids)
      : snapshot_(snapshot), base_(base), ids_(ids) {}

  Result<BuiltLayer> Build() {
    const UpperEntry& root = snapshot_.entries[0];
    RETURN_IF_ERROR(tree_.CopyAttributes(Tree::kRoot, Metadata(*root.captured, "/")));
    RETURN_IF_ERROR(AddChildren(0, Tree::kRoot, {base_.root(), false}, ""));
    RETURN_IF_ERROR(LinkUntouchedAliases());
    const uint64_t content_bytes = ContentBytes(tree_);
    return BuiltLayer{std::move(tree_), content_bytes, std::move(warnings_)};
  }

 private:
  // The directory of the base that an upper directory is merged with.
  struct Below {
    std::optional<Nid> directory;
    bool materialize = false;  // It lies elsewhere in the base: its entries must be written out.
  };

  void Warn(std::string text) {
    if (warnings_.size() < kWarningsMax) warnings_.push_back(std::move(text));
  }

  Inode Metadata(const CapturedInode& captured, const std::string& path) {
    Inode inode = CopyWithoutEntries(captured.inode);
    if (!UnshiftIds(ids_, &inode)) {
      Warn(path + ": belongs to an id outside the container's range, saved as nobody");
    }
    return inode;
  }

  Status AddChildren(uint32_t position, InodeIndex out, const Below& below,
                     const std::string& path) {
    const UpperEntry& entry = snapshot_.entries[position];
    std::set<std::string_view> touched;
    for (const uint32_t child : entry.children) {
      const UpperEntry& upper = snapshot_.entries[child];
      touched.insert(upper.name);
      RETURN_IF_ERROR(AddEntry(child, out, below, path + "/" + upper.name));
    }
    if (below.materialize && below.directory) {
      RETURN_IF_ERROR(CopyUntouched(*below.directory, out, touched), path);
    }
    return Ok();
  }

  Status AddEntry(uint32_t position, InodeIndex out, const Below& below, const std::string& path) {
    const UpperEntry& upper = snapshot_.entries[position];
    const CapturedInode& captured = *upper.captured;
    std::optional<ErofsDirEntry> lower;
    if (below.directory) {
      ASSIGN_OR_RETURN(lower, base_.Lookup(*below.directory, upper.name), path);
    }
    if (captured.inode.IsWhiteout()) {
      // In a directory that is written out, leaving the name away hides it.
      if (!lower || below.materialize) return Ok();
      Inode whiteout;
      whiteout.mode = S_IFCHR;
      return AddAndLink(std::move(whiteout), out, upper.name, path);
    }
    if (captured.inode.IsDirectory()) return AddDirectory(position, out, below, lower, path);
    return AddFile(upper, out, below, lower, path);
  }

  Status AddDirectory(uint32_t position, InodeIndex out, const Below& below,
                      const std::optional<ErofsDirEntry>& lower, const std::string& path) {
    const UpperEntry& upper = snapshot_.entries[position];
    const OverlayMarks& marks = upper.captured->marks;
    Inode inode = Metadata(*upper.captured, path);
    Below inside;
    if (!marks.redirect.empty()) {
      ASSIGN_OR_RETURN(inside.directory, ResolveRedirect(marks.redirect, below), path);
      inside.materialize = true;
    } else if (!marks.opaque && lower) {
      ASSIGN_OR_RETURN(const ErofsInode lower_inode, base_.GetInode(lower->nid), path);
      if (S_ISDIR(lower_inode.mode)) {
        inside.directory = lower->nid;
        inside.materialize = below.materialize;
      }
    }
    // Hides what the layers below hold at this path, unless this is merged with just that.
    inode.opaque = lower.has_value() && !below.materialize &&
                   (inside.directory != lower->nid || inside.materialize);
    ASSIGN_OR_RETURN(const InodeIndex index, tree_.AddInode(std::move(inode)), path);
    RETURN_IF_ERROR(tree_.Link(out, upper.name, index), path);
    return AddChildren(position, index, inside, path);
  }

  Status AddFile(const UpperEntry& upper, InodeIndex out, const Below& below,
                 const std::optional<ErofsDirEntry>& lower, const std::string& path) {
    ASSIGN_OR_RETURN(const InodeIndex index, FileInode(*upper.captured, below, lower, path), path);
    RETURN_IF_ERROR(tree_.Link(out, upper.name, index), path);
    return Ok();
  }

  // The tree's inode for an upper file: one for all its names.
  Result<InodeIndex> FileInode(const CapturedInode& captured, const Below& below,
                               const std::optional<ErofsDirEntry>& lower, const std::string& path) {
    if (const auto it = by_number_.find(captured.number); it != by_number_.end()) return it->second;
    Inode inode = Metadata(captured, path);
    if (captured.marks.metacopy) {
      std::optional<Nid> source;
      if (!captured.marks.redirect.empty()) {
        ASSIGN_OR_RETURN(source, ResolveRedirect(captured.marks.redirect, below));
      } else if (lower) {
        source = lower->nid;
      }
      if (!source) return Error(Code::kCorrupt, "the base lacks the content that it refers to");
      ASSIGN_OR_RETURN(Inode content, base_.ReadInode(*source));
      if (!content.IsRegular()) return Error(Code::kCorrupt, "refers to something that is no file");
      inode.size = content.size;
      inode.object = content.object;
      inode.data = std::move(content.data);
    }
    ASSIGN_OR_RETURN(const InodeIndex index, tree_.AddInode(std::move(inode)));
    by_number_.emplace(captured.number, index);
    return index;
  }

  // "/a/b" from the base's root, "b" beside the entry itself.
  Result<std::optional<Nid>> ResolveRedirect(const std::string& redirect, const Below& below) {
    if (redirect[0] != '/') {
      if (!below.directory) return Error(Code::kCorrupt, "redirect without a lower directory");
      ASSIGN_OR_RETURN(const auto entry, base_.Lookup(*below.directory, redirect));
      if (!entry) return Error(Code::kCorrupt, "the base lacks '" + redirect + "'");
      return std::optional<Nid>(entry->nid);
    }
    Nid at = base_.root();
    std::string_view rest = redirect;
    for (int depth = 0; !rest.empty(); ++depth) {
      if (depth > kRedirectDepthMax) return Error(Code::kCorrupt, "the redirect is too deep");
      rest.remove_prefix(1);
      const size_t slash = rest.find('/');
      const std::string_view name = rest.substr(0, slash);
      ASSIGN_OR_RETURN(const auto entry, base_.Lookup(at, name));
      if (!entry) return Error(Code::kCorrupt, "the base lacks '" + redirect + "'");
      at = entry->nid;
      rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash);
    }
    return std::optional<Nid>(at);
  }

  // Writes out what the base holds in `directory` except the names in `touched`.
  Status CopyUntouched(Nid directory, InodeIndex out, const std::set<std::string_view>& touched) {
    std::vector<std::pair<std::string, Nid>> entries;
    RETURN_IF_ERROR(base_.ReadDirectory(directory, 0, [&](const ErofsDirEntry& entry) {
      if (!touched.contains(entry.name)) entries.emplace_back(entry.name, entry.nid);
      return true;
    }));
    for (const auto& [name, nid] : entries) {
      ASSIGN_OR_RETURN(const InodeIndex index, CopyOfBase(nid), name);
      RETURN_IF_ERROR(tree_.Link(out, name, index), name);
      if (tree_.inode(index).IsDirectory()) RETURN_IF_ERROR(CopyUntouched(nid, index, {}), name);
    }
    return Ok();
  }

  Result<InodeIndex> CopyOfBase(Nid nid) {
    if (const auto it = snapshot_.index.find(nid); it != snapshot_.index.end()) {
      return FileInode(*it->second, {}, IndexOrigin(nid), "index");
    }
    if (const auto it = copied_.find(nid); it != copied_.end()) return it->second;
    ASSIGN_OR_RETURN(Inode inode, base_.ReadInode(nid));
    const bool directory = inode.IsDirectory();
    ASSIGN_OR_RETURN(const InodeIndex index, tree_.AddInode(std::move(inode)));
    if (!directory) copied_.emplace(nid, index);
    return index;
  }

  static std::optional<ErofsDirEntry> IndexOrigin(Nid nid) { return ErofsDirEntry{{}, nid, 0}; }

  // True when other names of this base inode must follow it into the layer: it was copied up (the
  // index says so), or written out with a renamed directory.
  Result<bool> IsLinkedFromLayer(Nid nid) const {
    if (snapshot_.index.contains(nid)) return true;
    if (!copied_.contains(nid)) return false;
    ASSIGN_OR_RETURN(const ErofsInode inode, base_.GetInode(nid));
    return inode.nlink > 1;
  }

  // Names of the base whose inode is in the layer under another name, and which nothing in the
  // upper hides: in the merged view they are one file, so the layer names it there too.
  Status LinkUntouchedAliases() {
    if (snapshot_.index.empty() && copied_.empty()) return Ok();
    struct Alias {
      std::string path;
      Nid nid;
    };
    std::vector<Alias> aliases;
    std::vector<std::pair<std::string, Nid>> stack = {{"", base_.root()}};
    while (!stack.empty()) {
      // No structured binding, which clang does not let a lambda capture.
      const std::string path = std::move(stack.back().first);
      const Nid directory = stack.back().second;
      stack.pop_back();
      Status inner = Ok();
      RETURN_IF_ERROR(base_.ReadDirectory(directory, 0, [&](const ErofsDirEntry& entry) {
        if (entry.type == DT_DIR) {
          stack.emplace_back(path + "/" + std::string(entry.name), entry.nid);
          return true;
        }
        const Result<bool> linked = IsLinkedFromLayer(entry.nid);
        if (!linked.ok()) {
          inner = linked.error();
          return false;
        }
        if (*linked) aliases.push_back({path + "/" + std::string(entry.name), entry.nid});
        return true;
      }));
      RETURN_IF_ERROR(inner);
    }
    for (const Alias& alias : aliases)
      RETURN_IF_ERROR(LinkAlias(alias.path, alias.nid), alias.path);
    return Ok();
  }

  Status LinkAlias(const std::string& path, Nid nid) {
    InodeIndex at = Tree::kRoot;
    Nid base_at = base_.root();
    std::string_view rest = std::string_view(path).substr(1);
    // First see whether the layer hides the path; only then make the directories on the way.
    for (bool make : {false, true}) {
      at = Tree::kRoot;
      base_at = base_.root();
      rest = std::string_view(path).substr(1);
      while (true) {
        const size_t slash = rest.find('/');
        const std::string_view name = rest.substr(0, slash);
        const std::optional<InodeIndex> in_layer = tree_.Lookup(at, name);
        if (slash == std::string_view::npos) {
          if (in_layer) return Ok();  // Touched: the upper's own entry decides.
          break;
        }
        ASSIGN_OR_RETURN(const auto base_entry, base_.Lookup(base_at, name));
        if (!base_entry) return Error(Code::kCorrupt, "the base lost a directory");
        base_at = base_entry->nid;
        if (in_layer) {
          const Inode& inode = tree_.inode(*in_layer);
          if (!inode.IsDirectory() || inode.opaque) return Ok();  // Hidden.
          at = *in_layer;
        } else if (make) {
          ASSIGN_OR_RETURN(Inode inode, base_.ReadInode(base_at));
          ASSIGN_OR_RETURN(const InodeIndex made, tree_.AddInode(std::move(inode)));
          RETURN_IF_ERROR(tree_.Link(at, name, made));
          at = made;
        } else {
          break;  // From here on the base shows through.
        }
        rest.remove_prefix(slash + 1);
      }
    }
    ASSIGN_OR_RETURN(const InodeIndex index, CopyOfBase(nid));
    return tree_.Link(at, rest, index);
  }

  Status AddAndLink(Inode inode, InodeIndex out, const std::string& name, const std::string& path) {
    ASSIGN_OR_RETURN(const InodeIndex index, tree_.AddInode(std::move(inode)), path);
    RETURN_IF_ERROR(tree_.Link(out, name, index), path);
    return Ok();
  }

  const UpperSnapshot& snapshot_;
  const ErofsReader& base_;
  const IdRange ids_;
  Tree tree_;
  std::unordered_map<uint64_t, InodeIndex> by_number_;  // Upper st_ino -> inode in the tree.
  std::unordered_map<Nid, InodeIndex> copied_;          // Base files written out so far.
  std::vector<std::string> warnings_;
};

}  // namespace

uint64_t ContentBytes(const Tree& tree) {
  uint64_t bytes = 0;
  for (InodeIndex i = 0; i < tree.inode_count(); ++i) {
    const Inode& inode = tree.inode(i);
    if (inode.IsRegular() && inode.nlink > 0) bytes += inode.size;
  }
  return bytes;
}

Result<BuiltLayer> BuildLayer(const UpperSnapshot& snapshot, const ErofsReader& base,
                              const IdRange& ids) {
  return Builder(snapshot, base, ids).Build();
}

}  // namespace strata::imaged
