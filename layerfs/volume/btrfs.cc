#include "layerfs/volume/btrfs.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include <cstring>
#include <functional>
#include <optional>
#include <vector>

#include "common/file_io.h"

namespace strata::layerfs {
namespace {

Result<UniqueFd> OpenDirectory(const std::string& path) {
  return Open(path, O_RDONLY | O_DIRECTORY);
}

// Calls `visit` for every item of `tree` between the keys (0, type, first) and (0, type, last), or
// with `object` in the place of 0.
struct SearchRange {
  uint64_t tree;
  uint64_t object;
  uint32_t type;
  uint64_t first;
  uint64_t last;
};
using Visit = std::function<void(uint64_t offset, const void* item, size_t size)>;

Status Search(int fd, const SearchRange& range, const Visit& visit) {
  btrfs_ioctl_search_args args = {};
  btrfs_ioctl_search_key& key = args.key;
  key.tree_id = range.tree;
  key.min_objectid = key.max_objectid = range.object;
  key.min_type = key.max_type = range.type;
  key.min_offset = range.first;
  key.max_offset = range.last;
  key.max_transid = UINT64_MAX;
  while (true) {
    key.nr_items = 4096;
    if (::ioctl(fd, BTRFS_IOC_TREE_SEARCH, &args) != 0) return Errno("search a btrfs tree");
    if (key.nr_items == 0) return Ok();
    size_t at = 0;
    uint64_t offset = 0;
    for (uint32_t i = 0; i < key.nr_items; ++i) {
      btrfs_ioctl_search_header header;
      std::memcpy(&header, args.buf + at, sizeof(header));
      at += sizeof(header);
      offset = header.offset;
      if (header.type == range.type && header.objectid == range.object) {
        visit(offset, args.buf + at, header.len);
      }
      at += header.len;
    }
    if (offset >= range.last) return Ok();
    key.min_offset = offset + 1;
  }
}

Result<bool> QuotaIsOn(int fd) {
  bool on = false;
  const Status searched = Search(fd, {BTRFS_QUOTA_TREE_OBJECTID, 0, BTRFS_QGROUP_STATUS_KEY, 0, 0},
                                 [&](uint64_t, const void* item, size_t size) {
                                   btrfs_qgroup_status_item status;
                                   if (size < sizeof(status)) return;
                                   std::memcpy(&status, item, sizeof(status));
                                   on = (le64toh(status.flags) & BTRFS_QGROUP_STATUS_FLAG_ON) != 0;
                                 });
  if (searched.ok()) return on;
  if (searched.error().sys_errno() == ENOENT) return false;  // No quota tree.
  return searched.error();
}

Status CheckIsBtrfs(int fd, const std::string& directory) {
  struct statfs st;
  if (::fstatfs(fd, &st) != 0) return Errno("statfs " + directory);
  if (st.f_type == BTRFS_SUPER_MAGIC) return Ok();
  return Error(Code::kUnsupported, directory + " is not on btrfs");
}

Result<uint64_t> SubvolumeId(int fd, const std::string& path) {
  btrfs_ioctl_ino_lookup_args args = {};
  args.objectid = BTRFS_FIRST_FREE_OBJECTID;
  if (::ioctl(fd, BTRFS_IOC_INO_LOOKUP, &args) != 0) return Errno("subvolume of " + path);
  return args.treeid;
}

template <typename Args>
Status PutName(const std::string& name, Args* args) {
  if (name.size() >= sizeof(args->name)) {
    return Error(Code::kInvalidArgument, name + " is too long for a subvolume's name");
  }
  std::memcpy(args->name, name.c_str(), name.size() + 1);
  return Ok();
}

Result<bool> SubvolumeExists(int fd, uint64_t id) {
  bool found = false;
  RETURN_IF_ERROR(Search(fd, {BTRFS_ROOT_TREE_OBJECTID, id, BTRFS_ROOT_ITEM_KEY, 0, UINT64_MAX},
                         [&](uint64_t, const void*, size_t) { found = true; }));
  return found;
}

}  // namespace

Status CheckBtrfsQuota(const std::string& directory) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(directory));
  RETURN_IF_ERROR(CheckIsBtrfs(fd.get(), directory));
  ASSIGN_OR_RETURN(const bool on, QuotaIsOn(fd.get()));
  if (on) return Ok();
  return Error(Code::kUnsupported,
               "quotas of this btrfs are off (btrfs quota enable " + directory + ")");
}

Status EnableBtrfsQuota(const std::string& directory) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(directory));
  RETURN_IF_ERROR(CheckIsBtrfs(fd.get(), directory));
  ASSIGN_OR_RETURN(const bool on, QuotaIsOn(fd.get()));
  if (!on) {
    btrfs_ioctl_quota_ctl_args args = {};
    args.cmd = BTRFS_QUOTA_CTL_ENABLE;
    if (::ioctl(fd.get(), BTRFS_IOC_QUOTA_CTL, &args) != 0) {
      return Errno("switch quotas of btrfs on at " + directory);
    }
  }
  if (::ioctl(fd.get(), BTRFS_IOC_QUOTA_RESCAN_WAIT, nullptr) != 0) {
    return Errno("wait for the count of btrfs quotas");
  }
  return Ok();
}

Status CreateSubvolume(const std::string& parent, const std::string& name) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(parent));
  btrfs_ioctl_vol_args args = {};
  RETURN_IF_ERROR(PutName(name, &args));
  if (::ioctl(fd.get(), BTRFS_IOC_SUBVOL_CREATE, &args) != 0) {
    return Errno("make subvolume " + parent + "/" + name);
  }
  return Ok();
}

Status SnapshotSubvolume(const std::string& path, const std::string& parent,
                         const std::string& name) {
  ASSIGN_OR_RETURN(const UniqueFd source, OpenDirectory(path));
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(parent));
  btrfs_ioctl_vol_args_v2 args = {};
  args.fd = source.get();
  args.flags = BTRFS_SUBVOL_RDONLY;
  RETURN_IF_ERROR(PutName(name, &args));
  if (::ioctl(fd.get(), BTRFS_IOC_SNAP_CREATE_V2, &args) != 0) return Errno("snapshot " + path);
  return Ok();
}

Status DeleteSubvolume(const std::string& parent, const std::string& name) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(parent));
  btrfs_ioctl_vol_args args = {};
  RETURN_IF_ERROR(PutName(name, &args));
  if (::ioctl(fd.get(), BTRFS_IOC_SNAP_DESTROY, &args) != 0 && errno != ENOENT) {
    return Errno("delete subvolume " + parent + "/" + name);
  }
  return Ok();
}

Status LimitSubvolume(const std::string& path, uint64_t limit_bytes) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(path));
  btrfs_ioctl_qgroup_limit_args args = {};
  ASSIGN_OR_RETURN(args.qgroupid, SubvolumeId(fd.get(), path));
  args.lim.flags = BTRFS_QGROUP_LIMIT_MAX_RFER;
  args.lim.max_rfer = limit_bytes;
  if (::ioctl(fd.get(), BTRFS_IOC_QGROUP_LIMIT, &args) != 0) return Errno("limit " + path);
  return Ok();
}

Result<SubvolumeUsage> UsageOfSubvolume(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(path));
  ASSIGN_OR_RETURN(const uint64_t id, SubvolumeId(fd.get(), path));
  SubvolumeUsage usage;
  RETURN_IF_ERROR(Search(fd.get(), {BTRFS_QUOTA_TREE_OBJECTID, 0, BTRFS_QGROUP_INFO_KEY, id, id},
                         [&](uint64_t, const void* item, size_t size) {
                           btrfs_qgroup_info_item info;
                           if (size < sizeof(info)) return;
                           std::memcpy(&info, item, sizeof(info));
                           usage.referenced_bytes = le64toh(info.rfer);
                         }),
                  "usage of " + path);
  RETURN_IF_ERROR(Search(fd.get(), {BTRFS_QUOTA_TREE_OBJECTID, 0, BTRFS_QGROUP_LIMIT_KEY, id, id},
                         [&](uint64_t, const void* item, size_t size) {
                           btrfs_qgroup_limit_item limit;
                           if (size < sizeof(limit)) return;
                           std::memcpy(&limit, item, sizeof(limit));
                           if ((le64toh(limit.flags) & BTRFS_QGROUP_LIMIT_MAX_RFER) != 0) {
                             usage.limit_bytes = le64toh(limit.max_rfer);
                           }
                         }),
                  "limit of " + path);
  return usage;
}

Status RemoveStaleQgroups(const std::string& directory) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDirectory(directory));
  std::vector<uint64_t> qgroups;
  constexpr uint64_t kLevelZeroLast = (1ull << BTRFS_QGROUP_LEVEL_SHIFT) - 1;
  RETURN_IF_ERROR(Search(fd.get(),
                         {BTRFS_QUOTA_TREE_OBJECTID, 0, BTRFS_QGROUP_INFO_KEY,
                          BTRFS_FIRST_FREE_OBJECTID, kLevelZeroLast},
                         [&](uint64_t id, const void*, size_t) { qgroups.push_back(id); }));
  for (const uint64_t id : qgroups) {
    ASSIGN_OR_RETURN(const bool exists, SubvolumeExists(fd.get(), id));
    if (exists) continue;
    btrfs_ioctl_qgroup_create_args args = {};
    args.qgroupid = id;
    // EBUSY: blocks of a deleted subvolume are still being freed; the next start tries again.
    if (::ioctl(fd.get(), BTRFS_IOC_QGROUP_CREATE, &args) != 0 && errno != EBUSY &&
        errno != ENOENT) {
      return Errno("remove qgroup " + std::to_string(id));
    }
  }
  return Ok();
}

}  // namespace strata::layerfs
