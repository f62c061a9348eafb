#include "tests/unit/compare/random_layers.h"

#include <string>
#include <vector>

#include "tests/unit/manifest/sample_trees.h"

namespace strata::imaged::testing {
namespace {

class LayerMaker {
 public:
  LayerMaker(std::mt19937_64* random, const Tree& below) : random_(*random), below_(below) {}

  Tree Make(size_t size) {
    Must(layer_.CopyAttributes(Tree::kRoot, below_.inode(Tree::kRoot)));
    if (OneIn(8)) Must(layer_.CopyAttributes(Tree::kRoot, Altered(below_.inode(Tree::kRoot))));
    for (size_t i = 0; i < size; ++i) AddMark();
    return std::move(layer_);
  }

 private:
  uint64_t Below(uint64_t limit) { return random_() % limit; }
  bool OneIn(uint64_t count) { return Below(count) == 0; }

  Inode Fresh() {
    Inode inode;
    switch (Below(9)) {
      case 0:
      case 1:
        inode = Directory();
        inode.opaque = OneIn(4);
        break;
      case 2:
        inode = Symlink(std::to_string(Below(2)));
        break;
      case 3:
        inode = Device(S_IFBLK, 1, Below(2));
        inode.mode = S_IFBLK | 0644;
        break;
      case 4:
        inode = ObjectFile(std::to_string(Below(3)), 1000);
        break;
      case 5:
        return Whiteout();
      default:
        inode = InlineFile(std::to_string(Below(3)));
    }
    if (OneIn(3)) inode.mtime_s = Below(3);
    return inode;
  }

  // With one field changed.
  Inode Altered(const Inode& from) {
    Inode inode = CopyWithoutEntries(from);
    switch (Below(5)) {
      case 0:
        inode.mode ^= Below(2) == 0 ? 0100 : 0010;
        break;
      case 1:
        inode.uid = Below(3);
        break;
      case 2:
        inode.mtime_s = Below(3);
        break;
      case 3:
        inode.xattrs.clear();
        if (!OneIn(3)) inode.xattrs.push_back({"user.a", std::to_string(Below(2))});
        if (!OneIn(3)) inode.xattrs.push_back({"user.b", std::to_string(Below(2))});
        break;
      default:
        if (inode.IsRegular()) {
          inode.data = std::to_string(Below(4));
          inode.object = Digest();
          inode.size = 1;
        }
    }
    return inode;
  }

  // The directory at `path` in the layer, made like the one below if there is none yet.
  std::optional<InodeIndex> EnsureDirectory(const std::string& path) {
    if (const auto found = layer_.Find(path)) {
      if (!layer_.inode(*found).IsDirectory()) return std::nullopt;
      return found;
    }
    const size_t slash = path.rfind('/');
    const auto parent = EnsureDirectory(slash == std::string::npos ? "" : path.substr(0, slash));
    if (!parent) return std::nullopt;
    const auto under = below_.Find(path);
    const bool merges = under && below_.inode(*under).IsDirectory();
    const InodeIndex index = Must(layer_.AddInode(
        merges ? CopyWithoutEntries(below_.inode(*under)) : Directory()));
    Must(layer_.Link(*parent, path.substr(slash + 1), index));
    return index;
  }

  void AddMark() {
    static const std::string kNames[] = {"a", "b", "b.", "c"};
    std::string directory;
    for (uint64_t depth = Below(4); depth > 1; --depth) {
      directory += (directory.empty() ? "" : "/") + kNames[Below(4)];
    }
    const auto parent = EnsureDirectory(directory);
    const std::string name = kNames[Below(4)];
    if (!parent || layer_.Lookup(*parent, name)) return;
    const auto under = below_.Find(directory.empty() ? name : directory + "/" + name);
    if (!files_.empty() && OneIn(4)) {
      Must(layer_.Link(*parent, name, files_[Below(files_.size())]));
      return;
    }
    const bool alters = under && !OneIn(3);
    const InodeIndex index =
        Must(layer_.AddInode(alters ? Altered(below_.inode(*under)) : Fresh()));
    Must(layer_.Link(*parent, name, index));
    const Inode& inode = layer_.inode(index);
    if (!inode.IsDirectory() && !inode.IsWhiteout()) files_.push_back(index);
  }

  std::mt19937_64& random_;
  const Tree& below_;
  Tree layer_;
  std::vector<InodeIndex> files_;
};

}  // namespace

Tree RandomLayer(std::mt19937_64* random, const Tree& below, size_t size) {
  return LayerMaker(random, below).Make(size);
}

}  // namespace strata::imaged::testing
