#include "layerfs/fuse/inode.h"

namespace strata::layerfs {

Inode::~Inode() {
  if (table_ != nullptr) table_->Remove(this);
}

InodePtr InodeTable::FindLower(Nid nid) const {
  const std::lock_guard lock(mutex_);
  const auto found = lower_.find(nid);
  return found == lower_.end() ? nullptr : found->second.lock();
}

InodePtr InodeTable::FindUpper(uint64_t ino) const {
  const std::lock_guard lock(mutex_);
  const auto found = upper_.find(ino);
  return found == upper_.end() ? nullptr : found->second.lock();
}

InodePtr InodeTable::Enter(const InodePtr& inode, bool by_lower) {
  InodePtr other;  // Released after the lock: its destructor comes back here.
  const std::lock_guard lock(mutex_);
  if (inode->upper) {
    std::weak_ptr<Inode>& slot = upper_[inode->upper.ino];
    if ((other = slot.lock()) != nullptr) return other;
    slot = inode;
    inode->table_upper_ino_ = inode->upper.ino;
  }
  if (by_lower) {
    std::weak_ptr<Inode>& slot = lower_[*inode->lower];
    other = slot.lock();
    // An upper inode that claims a taken origin stays an inode of its own.
    if (other != nullptr && !inode->upper) return other;
    if (other == nullptr) {
      slot = inode;
      inode->table_has_lower_ = true;
    }
  }
  inode->table_ = this;
  return inode;
}

void InodeTable::AddUpper(const InodePtr& inode, uint64_t ino) {
  const std::lock_guard lock(mutex_);
  upper_[ino] = inode;
  inode->table_upper_ino_ = ino;
  inode->table_ = this;
}

void InodeTable::DropUpper(uint64_t ino) {
  const std::lock_guard lock(mutex_);
  upper_.erase(ino);
}

void InodeTable::Remove(const Inode* inode) {
  const std::lock_guard lock(mutex_);
  // The slot may have been taken over by a successor.
  const auto erase = [](auto& map, uint64_t key) {
    const auto found = map.find(key);
    if (found != map.end() && found->second.expired()) map.erase(found);
  };
  if (inode->table_has_lower_) erase(lower_, *inode->lower);
  if (inode->table_upper_ino_ != 0) erase(upper_, inode->table_upper_ino_);
}

}  // namespace strata::layerfs
