#include "tests/unit/compare/rebase_oracle.h"

#include <sys/stat.h>

#include <algorithm>
#include <tuple>

#include "tests/unit/manifest/sample_trees.h"

namespace strata::imaged::testing {
namespace {

std::string Up(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

const Entry* At(const Paths& paths, const std::string& path) {
  const auto found = paths.find(path);
  return found == paths.end() ? nullptr : &found->second;
}

bool IsDirectory(const Entry* entry) { return entry != nullptr && S_ISDIR(entry->type); }

bool Same(const Entry* a, const Entry* b) {  // But for the time.
  if (a == nullptr || b == nullptr) return a == b;
  return a->type == b->type && a->fields == b->fields;
}

// Everything below `path` in `paths`, with or without itself.
Paths Under(const Paths& paths, const std::string& path) {
  Paths found;
  for (const auto& [each, entry] : paths) {
    if (each.starts_with(path + "/")) found.emplace(each, entry);
  }
  return found;
}

bool SameBelow(const Paths& a, const Paths& b, const std::string& path) {
  const Paths left = Under(a, path);
  const Paths right = Under(b, path);
  return left.size() == right.size() &&
         std::all_of(left.begin(), left.end(), [&](const auto& item) {
           return Same(&item.second, At(right, item.first));
         });
}

class Oracle {
 public:
  Oracle(const Paths& origin, const Paths& image, const Paths& base, Side side)
      : origin_(origin), image_(image), base_(base), side_(side) {}

  Expected Run() {
    std::set<std::string> all;
    for (const Paths* paths : {&origin_, &image_, &base_}) {
      for (const auto& [path, entry] : *paths) all.insert(path);
    }
    for (const std::string& path : all) {  // Parents come first.
      if (!path.empty()) {
        // A whole subtree that was decided goes one way.
        const auto above = whole_.find(Up(path));
        if (above != whole_.end()) {
          whole_[path] = above->second;
          Choose(path, above->second);
          continue;
        }
      }
      Judge(path);
    }
    AddParents();
    return std::move(expected_);
  }

 private:
  void Choose(const std::string& path, Side side) {
    const Entry* entry = At(side == Side::kImage ? image_ : base_, path);
    if (entry != nullptr) expected_.paths[path] = *entry;
  }
  void Dispute(const std::string& path, ConflictKind kind, bool whole) {
    expected_.conflicts[path] = kind;
    Settle(path, side_, whole);
  }
  void Settle(const std::string& path, Side side, bool whole) {
    Choose(path, side);
    if (whole) whole_[path] = side;
  }

  void Judge(const std::string& path) {
    const Entry* o = At(origin_, path);
    const Entry* i = At(image_, path);
    const Entry* n = At(base_, path);
    const bool parent_lost = !path.empty() && IsDirectory(At(origin_, Up(path))) &&
                             IsDirectory(At(image_, Up(path))) && !IsDirectory(At(base_, Up(path)));
    // Below such a path nothing can be judged by itself.
    const bool whole = i == nullptr ? !IsDirectory(o) && IsDirectory(n)
                       : IsDirectory(i) ? !IsDirectory(o) && !IsDirectory(n)
                                        : IsDirectory(n);
    if (i == nullptr) return JudgeAbsent(path, o, n, whole);
    const bool changed = !Same(o, i);
    if (!changed && n == nullptr) return;
    if (parent_lost) return Dispute(path, ConflictKind::kParentGone, whole);
    if (n == nullptr && o != nullptr) return Dispute(path, ConflictKind::kRemovedThere, whole);
    if (n == nullptr) return Settle(path, Side::kImage, whole);
    if (o == nullptr || (i->type == n->type && o->type != n->type)) {
      if (!Same(i, n)) return Dispute(path, ConflictKind::kBothAdded, whole);
      Settle(path, Side::kImage, whole);
      if (IsDirectory(i) && o == nullptr) {
        expected_.paths[path].time = std::max(i->time, n->time);
      }
      return;
    }
    if (o->type == i->type && i->type == n->type) return Merge(path, *o, *i, *n);
    if (!changed) return Settle(path, Side::kBase, whole);
    if (Same(o, n) && (!IsDirectory(o) || SameBelow(origin_, base_, path))) {
      return Settle(path, Side::kImage, whole);
    }
    Dispute(path, ConflictKind::kTypeDiffers, whole);
  }

  void JudgeAbsent(const std::string& path, const Entry* o, const Entry* n, bool whole) {
    if (n == nullptr) return;
    if (o != nullptr) {
      if (!Same(o, n)) Dispute(path, ConflictKind::kRemovedHere, whole);
      return;
    }
    // Only the base has it.
    const std::string up = Up(path);
    if (IsDirectory(At(origin_, up)) && At(image_, up) == nullptr) {
      return Dispute(path, ConflictKind::kRemovedHere, true);
    }
    Settle(path, Side::kBase, IsDirectory(n));
  }

  void Merge(const std::string& path, const Entry& o, const Entry& i, const Entry& n) {
    std::set<std::string> names;
    for (const Entry* entry : {&o, &i, &n}) {
      for (const auto& [name, value] : entry->fields) names.insert(name);
    }
    const auto value = [](const Entry& entry, const std::string& name) {
      const auto found = entry.fields.find(name);
      return found == entry.fields.end() ? std::optional<std::string>() : found->second;
    };
    Entry merged = n;
    std::optional<ConflictKind> conflict;
    for (const std::string& name : names) {
      const auto [was, here, there] = std::tuple(value(o, name), value(i, name), value(n, name));
      if (was == here) continue;
      if (there != was && there != here && conflict != ConflictKind::kBothContent) {
        conflict = name == "content" ? ConflictKind::kBothContent : ConflictKind::kBothAttributes;
      }
      merged.fields.erase(name);
      if (here) merged.fields[name] = *here;
    }
    if (conflict) return Dispute(path, *conflict, false);
    const bool content_here = value(o, "content") != value(i, "content");
    const bool content_there = value(o, "content") != value(n, "content");
    if (content_here || (!content_there && i.time != o.time)) merged.time = i.time;
    if (S_ISDIR(o.type) && i.time != o.time && n.time != o.time) {
      merged.time = std::max(i.time, n.time);
    }
    expected_.paths[path] = merged;
  }

  // What is there needs directories above it.
  void AddParents() {
    const Paths found = expected_.paths;
    for (const auto& [path, entry] : found) {
      for (std::string up = path; !up.empty();) {
        up = Up(up);
        if (IsDirectory(At(expected_.paths, up))) continue;
        const Entry* there = At(base_, up);
        expected_.paths[up] = IsDirectory(there) ? *there : *At(image_, up);
      }
    }
  }

  const Paths& origin_;
  const Paths& image_;
  const Paths& base_;
  const Side side_;
  std::map<std::string, Side> whole_;
  Expected expected_;
};

}  // namespace

Paths PathsOf(const Tree& tree) {
  Paths paths;
  Must(tree.Walk([&](const std::string& path, InodeIndex index) -> Status {
    const Inode& inode = tree.inode(index);
    Entry& entry = paths[path];
    entry.type = inode.mode & S_IFMT;
    entry.time = inode.mtime_s;
    entry.fields["mode"] = std::to_string(inode.mode & 07777);
    entry.fields["owner"] = std::to_string(inode.uid) + ":" + std::to_string(inode.gid);
    entry.fields["content"] = inode.object.Hex() + std::to_string(inode.size) + ":" + inode.data +
                              ":" + std::to_string(inode.rdev);
    for (const Xattr& xattr : inode.xattrs) entry.fields["x/" + xattr.name] = xattr.value;
    return Ok();
  }));
  return paths;
}

std::vector<std::string> Lines(const Paths& paths) {
  std::vector<std::string> lines;
  for (const auto& [path, entry] : paths) {
    lines.push_back(path + " type=" + std::to_string(entry.type >> 12) +
                    " time=" + std::to_string(entry.time));
    for (const auto& [name, value] : entry.fields) lines.back() += " " + name + "=" + value;
  }
  return lines;
}

Expected ExpectRebase(const Paths& origin, const Paths& image, const Paths& base, Side side) {
  return Oracle(origin, image, base, side).Run();
}

}  // namespace strata::imaged::testing
