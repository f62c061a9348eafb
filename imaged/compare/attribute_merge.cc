#include "imaged/compare/attribute_merge.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "common/log.h"
#include "imaged/compare/image_diff.h"

namespace strata::imaged {
namespace {

constexpr uint32_t kAnyContent = kContent | kTarget;

std::optional<std::string> ValueOf(const Inode& inode, const std::string& name) {
  const auto xattr = std::lower_bound(
      inode.xattrs.begin(), inode.xattrs.end(), name,
      [](const Xattr& each, const std::string& wanted) { return each.name < wanted; });
  if (xattr == inode.xattrs.end() || xattr->name != name) return std::nullopt;
  return xattr->value;
}

void CopyTime(const Inode& from, Inode* to) {
  to->mtime_s = from.mtime_s;
  to->mtime_ns = from.mtime_ns;
}

class InodeMerge {
 public:
  InodeMerge(const Inode& origin, const Inode& image, const Inode& base)
      : origin_(origin),
        image_(image),
        base_(base),
        here_(Differences(origin, image)),
        there_(Differences(origin, base)),
        apart_(Differences(image, base)) {}

  MergedInode Run() {
    merged_.inode = CopyWithoutEntries(TakesImage(kAnyContent) ? image_ : base_);
    const Inode& mode = TakesImage(kMode) ? image_ : base_;
    const Inode& owner = TakesImage(kOwner) ? image_ : base_;
    merged_.inode.mode = mode.mode;
    merged_.inode.uid = owner.uid;
    merged_.inode.gid = owner.gid;
    MergeXattrs();
    MergeTime();
    return std::move(merged_);
  }

 private:
  bool TakesImage(uint32_t field) {
    const bool here = (here_ & field) != 0;
    if (here && (there_ & field) != 0) merged_.conflicts |= apart_ & field;
    return here;
  }

  void MergeXattrs() {
    std::set<std::string> names;
    for (const Inode* side : {&origin_, &image_, &base_}) {
      for (const Xattr& xattr : side->xattrs) names.insert(xattr.name);
    }
    merged_.inode.xattrs.clear();
    for (const std::string& name : names) {
      const auto origin = ValueOf(origin_, name);
      const auto image = ValueOf(image_, name);
      const auto base = ValueOf(base_, name);
      if (image != origin && base != origin && image != base) merged_.conflicts |= kXattrs;
      const auto& value = image != origin ? image : base;
      if (value) merged_.inode.xattrs.push_back({name, *value});
    }
  }

  void MergeTime() {
    const bool both = (here_ & there_ & kMtime) != 0;
    if (image_.IsDirectory()) {
      CopyTime((here_ & kMtime) != 0 ? image_ : base_, &merged_.inode);
      if (both) TakeLaterTime(base_, &merged_.inode);
    } else if ((here_ & kAnyContent) == 0 && (there_ & kAnyContent) == 0) {
      CopyTime((here_ & kMtime) != 0 ? image_ : base_, &merged_.inode);
    }  // Otherwise it came with the content.
  }

  const Inode& origin_;
  const Inode& image_;
  const Inode& base_;
  const uint32_t here_;
  const uint32_t there_;
  const uint32_t apart_;
  MergedInode merged_;
};

}  // namespace

MergedInode MergeInodes(const Inode& origin, const Inode& image, const Inode& base) {
  CHECK((origin.mode & S_IFMT) == (image.mode & S_IFMT));
  CHECK((origin.mode & S_IFMT) == (base.mode & S_IFMT));
  return InodeMerge(origin, image, base).Run();
}

void TakeLaterTime(const Inode& other, Inode* directory) {
  if (std::tie(other.mtime_s, other.mtime_ns) >
      std::tie(directory->mtime_s, directory->mtime_ns)) {
    CopyTime(other, directory);
  }
}

}  // namespace strata::imaged
