#include "imaged/transfer/base_choice.h"

#include <algorithm>
#include <unordered_map>

#include "imaged/transfer/limits.h"

namespace strata::imaged::transfer {
namespace {

constexpr size_t kHeldTreesMax = 16;
constexpr size_t kAlikePerNameMax = 16;     // Files that differ in their numbers only.
constexpr size_t kMovedFilesMax = 200'000;  // In the index of all larger files.
constexpr uint64_t kMovedBytesMin = 16 * kKiB;
constexpr uint64_t kLargeBytes = 8 * kMiB;  // For the order.
constexpr uint64_t kSizeFactorMax = 4;      // Beyond it, a file of a similar name is another thing.

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

struct Candidate {
  uint64_t size = 0;
  Digest object;
};

using Index = std::unordered_map<std::string, std::vector<Candidate>>;

void AddTo(Index* index, const std::string& name, const Inode& inode) {
  std::vector<Candidate>& alike = (*index)[name];
  if (alike.size() < kAlikePerNameMax) alike.push_back({inode.size, inode.object});
}

bool HasObject(const Inode& inode) { return inode.IsRegular() && !inode.object.IsZero(); }

// A directory of a held tree, as a place to look for bases.
class HeldDirectory {
 public:
  HeldDirectory(const Tree& tree, InodeIndex directory) : tree_(tree), directory_(directory) {}

  const Inode* File(const std::string& name) const {
    const auto found = tree_.Lookup(directory_, name);
    return found && HasObject(tree_.inode(*found)) ? &tree_.inode(*found) : nullptr;
  }

  std::optional<HeldDirectory> Directory(const std::string& name) {
    auto found = tree_.Lookup(directory_, name);
    if (!found || !tree_.inode(*found).IsDirectory()) {
      Read();
      const auto alike = directories_.find(NameWithoutNumbers(name));
      if (alike == directories_.end()) return std::nullopt;
      found = alike->second;
    }
    return HeldDirectory(tree_, *found);
  }

  const std::vector<Candidate>* Alike(const std::string& name_without_numbers) {
    Read();
    const auto found = files_.find(name_without_numbers);
    return found == files_.end() ? nullptr : &found->second;
  }

 private:
  void Read() {
    if (read_) return;
    read_ = true;
    for (const auto& [name, index] : *tree_.inode(directory_).children) {
      const Inode& inode = tree_.inode(index);
      // The last of several, which in order of names is mostly the newest.
      if (inode.IsDirectory()) directories_[NameWithoutNumbers(name)] = index;
      if (HasObject(inode)) AddTo(&files_, NameWithoutNumbers(name), inode);
    }
  }

  const Tree& tree_;
  const InodeIndex directory_;
  bool read_ = false;  // The two below are made when first needed.
  Index files_;
  std::unordered_map<std::string, InodeIndex> directories_;
};

class Chooser {
 public:
  Chooser(std::span<const Tree* const> held, const std::function<bool(const Digest&)>& holds)
      : held_(held.first(std::min(held.size(), kHeldTreesMax))), holds_(holds) {}

  void Visit(const Tree& wanted) {
    std::vector<HeldDirectory> roots;
    for (const Tree* tree : held_) roots.emplace_back(*tree, Tree::kRoot);
    // Depth is bounded by TreeLimits; a stack of our own keeps it off the thread's.
    std::vector<Level> levels;
    levels.emplace_back(wanted, Tree::kRoot, std::move(roots));
    while (!levels.empty()) {
      Level& level = levels.back();
      if (level.next == level.end) {
        levels.pop_back();
        continue;
      }
      const auto& [name, index] = *level.next++;
      const Inode& inode = wanted.inode(index);
      if (inode.IsDirectory()) {
        std::vector<HeldDirectory> below;
        for (HeldDirectory& place : level.places) {
          if (auto found = place.Directory(name)) below.push_back(std::move(*found));
        }
        levels.emplace_back(wanted, index, std::move(below));
      } else if (HasObject(inode)) {
        Want(name, inode, &level.places);
      }
    }
  }

  std::vector<WantedObject> Take() { return std::move(objects_); }

 private:
  struct Level {
    Level(const Tree& tree, InodeIndex directory, std::vector<HeldDirectory> held_places)
        : next(tree.inode(directory).children->begin()),
          end(tree.inode(directory).children->end()),
          places(std::move(held_places)) {}
    std::map<std::string, InodeIndex, std::less<>>::const_iterator next, end;
    std::vector<HeldDirectory> places;
  };

  void Want(const std::string& name, const Inode& inode, std::vector<HeldDirectory>* places) {
    const auto known = numbers_.find(inode.object);
    if (known != numbers_.end()) {
      WantedObject& object = objects_[known->second];
      if (!object.base) object.base = BaseOf(name, inode, places);
      return;
    }
    if (holds_(inode.object)) return;
    numbers_.emplace(inode.object, objects_.size());
    objects_.push_back({inode.object, inode.size, BaseOf(name, inode, places)});
  }

  std::optional<Digest> BaseOf(const std::string& name, const Inode& inode,
                               std::vector<HeldDirectory>* places) {
    for (const HeldDirectory& place : *places) {
      const Inode* const same = place.File(name);
      if (same != nullptr && holds_(same->object)) return same->object;
    }
    const std::string plain = NameWithoutNumbers(name);
    for (HeldDirectory& place : *places) {
      if (const auto base = Closest(place.Alike(plain), inode.size)) return base;
    }
    if (inode.size < kMovedBytesMin) return std::nullopt;
    IndexMovedFiles();
    const auto moved = moved_.find(plain);
    return moved == moved_.end() ? std::nullopt : Closest(&moved->second, inode.size);
  }

  std::optional<Digest> Closest(const std::vector<Candidate>* alike, uint64_t size) const {
    if (alike == nullptr) return std::nullopt;
    const Candidate* best = nullptr;
    for (const Candidate& each : *alike) {
      if (each.size > size * kSizeFactorMax || size > each.size * kSizeFactorMax) continue;
      const auto distance = [size](uint64_t other) {
        return std::max(size, other) - std::min(size, other);
      };
      // Of equal ones the last, which in order of names is mostly the newest.
      if (best != nullptr && distance(each.size) > distance(best->size)) continue;
      if (holds_(each.object)) best = &each;
    }
    return best == nullptr ? std::nullopt : std::optional(best->object);
  }

  void IndexMovedFiles() {
    if (moved_indexed_) return;
    moved_indexed_ = true;
    size_t count = 0;
    for (const Tree* tree : held_) {
      // The walk's visitor never fails on its own, except to end at the bound.
      (void)tree->Walk([&](const std::string& path, InodeIndex index) -> Status {
        const Inode& inode = tree->inode(index);
        if (!HasObject(inode) || inode.size < kMovedBytesMin / kSizeFactorMax) return Ok();
        if (++count > kMovedFilesMax) return Error(Code::kResourceExhausted, "enough");
        AddTo(&moved_, NameWithoutNumbers(path.substr(path.rfind('/') + 1)), inode);
        return Ok();
      });
    }
  }

  const std::span<const Tree* const> held_;
  const std::function<bool(const Digest&)>& holds_;
  std::vector<WantedObject> objects_;
  std::unordered_map<Digest, size_t, DigestHash> numbers_;  // Place in objects_.
  Index moved_;
  bool moved_indexed_ = false;
};

}  // namespace

std::string NameWithoutNumbers(std::string_view name) {
  std::string plain;
  for (size_t i = 0; i < name.size(); ++i) {
    if (!IsDigit(name[i])) {
      plain += name[i];
      continue;
    }
    plain += '#';
    while (i + 1 < name.size() &&
           (IsDigit(name[i + 1]) ||
            (name[i + 1] == '.' && i + 2 < name.size() && IsDigit(name[i + 2])))) {
      ++i;
    }
  }
  return plain;
}

std::vector<WantedObject> ChooseBases(std::span<const Tree* const> wanted,
                                      std::span<const Tree* const> held,
                                      const std::function<bool(const Digest&)>& holds,
                                      WantOrder order) {
  Chooser chooser(held, holds);
  for (const Tree* tree : wanted) chooser.Visit(*tree);
  std::vector<WantedObject> objects = chooser.Take();
  if (order == WantOrder::kSmallFirst) {
    // Within a class the order of paths stays: neighbours compress well together.
    const auto size_class = [](const WantedObject& object) {
      return object.size_bytes < kSmallBytes ? 0 : object.size_bytes < kLargeBytes ? 1 : 2;
    };
    std::stable_sort(objects.begin(), objects.end(), [&](const auto& one, const auto& other) {
      return size_class(one) < size_class(other);
    });
  }
  return objects;
}

}  // namespace strata::imaged::transfer
