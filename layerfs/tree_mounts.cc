#include "layerfs/tree_mounts.h"

#include <cerrno>

#include "layerfs/kernel_root.h"

namespace strata::layerfs {

Result<TreeMounts::FileId> TreeMounts::Identify(const std::string& tree_path) {
  struct stat st;
  if (::stat(tree_path.c_str(), &st) != 0) return Errno("stat " + tree_path);
  return FileId{st.st_dev, st.st_ino, st.st_ctim};
}

std::shared_ptr<TreeMounts::Entry> TreeMounts::Use(const std::string& tree_path) {
  const std::lock_guard lock(mutex_);
  if (const auto found = slots_.find(tree_path); found != slots_.end()) {
    order_.splice(order_.begin(), order_, found->second.used);
    return found->second.entry;
  }
  if (slots_.size() >= trees_max_) {
    slots_.erase(order_.back());
    order_.pop_back();
  }
  order_.push_front(tree_path);
  auto entry = std::make_shared<Entry>();
  slots_[tree_path] = {entry, order_.begin()};
  return entry;
}

Result<std::shared_ptr<const UniqueFd>> TreeMounts::MountIn(Entry& entry,
                                                            const std::string& tree_path,
                                                            const std::optional<IdShift>& shift) {
  auto& plain = entry.mounts[ShiftKey{0, 0}];
  if (plain == nullptr) {
    ASSIGN_OR_RETURN(UniqueFd mount, MountTree(tree_path));
    plain = std::make_shared<const UniqueFd>(std::move(mount));
  }
  if (!shift.has_value()) return plain;
  auto& shifted = entry.mounts[ShiftKey{shift->first_id, shift->count}];
  if (shifted == nullptr) {
    ASSIGN_OR_RETURN(UniqueFd mount, CloneTree(plain->get(), shift));
    shifted = std::make_shared<const UniqueFd>(std::move(mount));
  }
  return shifted;
}

Result<std::shared_ptr<const UniqueFd>> TreeMounts::Get(const std::string& tree_path,
                                                        const std::optional<IdShift>& shift) {
  ASSIGN_OR_RETURN(const FileId file, Identify(tree_path));
  const std::shared_ptr<Entry> entry = Use(tree_path);
  const std::lock_guard lock(entry->mutex);
  if (!(entry->file == file)) {  // New, or another file has taken the path.
    entry->mounts.clear();
    entry->file = file;
  }
  auto mount = MountIn(*entry, tree_path, shift);
  if (!mount.ok() && shift.has_value() && mount.error().sys_errno() == EINVAL) {
    return Error(Code::kUnsupported, mount.error().message(), EINVAL);
  }
  return mount;
}

void TreeMounts::Forget(const std::string& tree_path) {
  const std::lock_guard lock(mutex_);
  const auto found = slots_.find(tree_path);
  if (found == slots_.end()) return;
  order_.erase(found->second.used);
  slots_.erase(found);
}

Result<UniqueFd> MountKernelRoot(const RootSpec& spec, TreeMounts& trees) {
  const auto tree = trees.Get(spec.tree_path, spec.id_shift);
  if (tree.ok()) {
    auto mount = MountUnion((*tree)->get(), spec, LayerLookup::kDetached);
    if (mount.ok() || mount.error().code() != Code::kUnsupported) return mount;
  } else if (tree.error().code() != Code::kUnsupported) {
    return tree.error();
  }
  return MountKernelRoot(spec);  // An older kernel: it shares nothing, but it works.
}

}  // namespace strata::layerfs
