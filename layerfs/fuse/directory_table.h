// DirectoryTable: the listings behind the kernel's directory handles. Handles of an earlier server
// get a new listing at their next read. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "layerfs/fuse/directory_listing.h"
#include "layerfs/server/server_state.h"

namespace strata::layerfs {

struct OpenDirectory {
  std::mutex mutex;  // Guards what follows; taken before any lock of the union.
  bool listed = false;
  DirectoryListing entries;
};

class DirectoryTable {
 public:
  explicit DirectoryTable(ServerState& state) : state_(state) {}

  uint64_t Enter() { return state_.header().next_directory_handle.fetch_add(1) + 1; }

  std::shared_ptr<OpenDirectory> Find(uint64_t handle) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<OpenDirectory>& directory = directories_[handle];
    if (directory == nullptr) directory = std::make_shared<OpenDirectory>();
    return directory;
  }

  void Remove(uint64_t handle) {
    std::shared_ptr<OpenDirectory> released;  // After the lock: a listing may be long.
    const std::lock_guard lock(mutex_);
    const auto found = directories_.find(handle);
    if (found == directories_.end()) return;
    released = std::move(found->second);
    directories_.erase(found);
  }

 private:
  ServerState& state_;
  std::mutex mutex_;  // Guards directories_; a leaf.
  std::unordered_map<uint64_t, std::shared_ptr<OpenDirectory>> directories_;
};

}  // namespace strata::layerfs
