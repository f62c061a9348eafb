#include "tests/property/checker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <set>

namespace strata::property {
namespace {

std::string ErrorName(int error) { return error == 0 ? "success" : ::strerror(error); }

std::string Differs(const char* what, uint64_t seen, uint64_t expected) {
  return std::string(what) + " is " + std::to_string(seen) + " instead of " +
         std::to_string(expected) + "; ";
}

std::string DataDiffers(const std::string& seen, const std::string& expected) {
  const auto [at, other] = std::mismatch(
      seen.begin(),
      seen.begin() + static_cast<std::ptrdiff_t>(std::min(seen.size(), expected.size())),
      expected.begin());
  return std::to_string(seen.size()) + " bytes instead of " + std::to_string(expected.size()) +
         ", the first that differs is " + std::to_string(at - seen.begin());
}

std::map<std::string, std::string> XattrsOf(const Inode& inode) {
  std::map<std::string, std::string> xattrs = inode.xattrs;
  if (inode.access_acl) xattrs["system.posix_acl_access"] = AclValue(*inode.access_acl);
  if (inode.default_acl) xattrs["system.posix_acl_default"] = AclValue(*inode.default_acl);
  return xattrs;
}

std::string XattrsDiffer(const std::map<std::string, std::string>& seen,
                         const std::map<std::string, std::string>& expected) {
  std::string text = "attributes:";
  for (const auto& [name, value] : expected) {
    const auto found = seen.find(name);
    if (found == seen.end()) {
      text += " " + name + " is missing";
    } else if (found->second != value) {
      text += " " + name + " has another value";
    }
  }
  for (const auto& [name, value] : seen) {
    if (!expected.contains(name)) text += " " + name + " is there";
  }
  return text + "; ";
}

bool AllZero(const std::string& data, size_t from, size_t to) {
  for (size_t i = from; i < std::min(to, data.size()); ++i) {
    if (data[i] != '\0') return false;
  }
  return true;
}

std::string Mtime(const Inode& inode, const struct stat& st, std::time_t start) {
  switch (inode.mtime_kind) {
    case MtimeKind::kExact:
      if (st.st_mtim.tv_sec == inode.mtime_seconds && st.st_mtim.tv_nsec == 0) return "";
      return Differs("mtime", static_cast<uint64_t>(st.st_mtim.tv_sec),
                     static_cast<uint64_t>(inode.mtime_seconds));
    case MtimeKind::kRecent:
      if (st.st_mtim.tv_sec >= start - 1) return "";
      return "mtime was not set: " + std::to_string(st.st_mtim.tv_sec) + "; ";
    case MtimeKind::kUnknown:
      return "";
  }
  return "";
}

}  // namespace

void Checker::ForgetNumbers() {
  numbers_.clear();
  owners_.clear();
}

std::string Checker::CheckNumber(Id id, const struct stat& st) {
  const Number number{st.st_dev, st.st_ino};
  const auto [mine, is_new] = numbers_.try_emplace(id, number);
  if (!is_new && mine->second != number) {
    const std::string text = Differs("st_ino", number.second, mine->second.second);
    mine->second = number;
    return text;
  }
  const auto [owner, unowned] = owners_.try_emplace(number, id);
  if (!unowned && owner->second != id) {
    // A number may be used again.
    if (model_.Has(owner->second) && numbers_[owner->second] == number) {
      return "st_ino " + std::to_string(number.second) + " is another inode's too; ";
    }
    owner->second = id;
  }
  return "";
}

std::string Checker::CheckInode(Id id, const Seen& seen) {
  const Inode& inode = model_.inode(id);
  const struct stat& st = seen.st;
  if ((st.st_mode & S_IFMT) != (inode.mode & S_IFMT)) {
    return Differs("type", st.st_mode & S_IFMT, inode.mode & S_IFMT);
  }
  std::string text;
  if (st.st_mode != inode.mode) text += Differs("mode", st.st_mode, inode.mode);
  if (st.st_uid != inode.uid) text += Differs("uid", st.st_uid, inode.uid);
  if (st.st_gid != inode.gid) text += Differs("gid", st.st_gid, inode.gid);
  const bool stays_lower =
      model_.quirks().unlinked_files_stay_lower && inode.from_image && inode.links == 0;
  if (!inode.IsDirectory() && st.st_nlink != inode.links && !stays_lower) {
    text += Differs("link count", st.st_nlink, inode.links);
  }
  if ((inode.IsRegular() || inode.IsSymlink()) &&
      st.st_size != static_cast<off_t>(inode.data.size())) {
    text += Differs("size", static_cast<uint64_t>(st.st_size), inode.data.size());
  }
  if (S_ISCHR(inode.mode) && st.st_rdev != inode.rdev) {
    text += Differs("device", st.st_rdev, inode.rdev);
  }
  if (!inode.IsDirectory() || !model_.quirks().directory_times_vary) {
    text += Mtime(inode, st, start_);
  }
  if (const auto expected = XattrsOf(inode); seen.xattrs != expected) {
    text += XattrsDiffer(seen.xattrs, expected);
  }
  return text + CheckNumber(id, st);
}

// Holes may be told of as data, data never as a hole.
std::string Checker::CheckSeek(const Operation& op, Id id, const Outcome& outcome) const {
  const std::string& data = model_.inode(id).data;
  if (op.at >= data.size()) return outcome.error == ENXIO ? "" : "seek beyond the end answers";
  const bool for_data = op.number % 2 == 0;
  if (outcome.error == ENXIO && for_data) {
    return AllZero(data, op.at, data.size()) ? "" : "no data is told of where there is some";
  }
  if (outcome.error != 0) return ErrorName(outcome.error);
  const size_t found = static_cast<size_t>(outcome.count);
  if (outcome.count < 0 || found < op.at || found > data.size()) return "seek leaves the file";
  if (for_data && !AllZero(data, op.at, found)) return "data is told of as a hole";
  if (!for_data && found < data.size() && data[found] != '\0') return "data is told of as a hole";
  return "";
}

std::string Checker::CheckOutcome(const Operation& op, const Expected& expected,
                                  const Outcome& outcome) {
  if (op.kind == Kind::kSeek && expected.inode) return CheckSeek(op, *expected.inode, outcome);
  if (outcome.error != expected.error) {
    return "answers " + ErrorName(outcome.error) + " instead of " + ErrorName(expected.error);
  }
  if (outcome.error != 0) return "";
  if (expected.count != 0 && outcome.count != static_cast<int64_t>(expected.count)) {
    return "moves " + std::to_string(outcome.count) + " bytes instead of " +
           std::to_string(expected.count);
  }
  if (expected.bytes && outcome.bytes != *expected.bytes) {
    const bool lags = old_readers_may_lag_ && expected.other_bytes == outcome.bytes;
    if (!lags && op.kind == Kind::kList) {
      return "lists\n" + outcome.bytes + "instead of\n" + *expected.bytes;
    }
    if (!lags) return "reads " + DataDiffers(outcome.bytes, *expected.bytes);
  }
  if (expected.inode) return CheckInode(*expected.inode, outcome.seen);
  return "";
}

std::string Checker::CheckHandles(const Executor& executor) {
  for (int slot = 0; slot < kSlots; ++slot) {
    const auto& handle = model_.handle(slot);
    if (!handle) continue;
    const std::string where = "open file " + std::to_string(slot) + ": ";
    Seen seen;
    if (const int error = Look(executor.fd(slot), &seen); error != 0) {
      return where + ErrorName(error);
    }
    if (std::string text = CheckInode(handle->inode, seen); !text.empty()) return where + text;
    const Inode& inode = model_.inode(handle->inode);
    if (!inode.IsRegular() || !handle->reads) continue;
    std::string data;
    if (const int error = ReadWhole(executor.fd(slot), &data); error != 0) {
      return where + ErrorName(error);
    }
    const bool lags = old_readers_may_lag_ && handle->image_data && data == *handle->image_data;
    if (data != inode.data && !lags) return where + "content: " + DataDiffers(data, inode.data);
  }
  return "";
}

std::string Checker::CheckEntry(int dir_fd, const std::string& name, unsigned char type, Id id) {
  const Inode& inode = model_.inode(id);
  if (type != DT_UNKNOWN && type != (inode.mode & S_IFMT) >> 12) {
    return name + ": " + Differs("listed type", type, (inode.mode & S_IFMT) >> 12);
  }
  const UniqueFd fd(::openat(dir_fd, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return name + ": listed, but " + ErrorName(errno);
  Seen seen;
  if (const int error = Look(fd.get(), &seen); error != 0) return name + ": " + ErrorName(error);
  if (std::string text = CheckInode(id, seen); !text.empty()) return name + ": " + text;
  if (inode.IsRegular()) {
    const UniqueFd file(::openat(dir_fd, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    std::string data;
    const int error = file.valid() ? ReadWhole(file.get(), &data) : errno;
    if (error != 0) return name + ": read: " + ErrorName(error);
    if (data != inode.data) return name + ": content: " + DataDiffers(data, inode.data);
  } else if (inode.IsSymlink()) {
    char target[4096];
    const ssize_t size = ::readlinkat(fd.get(), "", target, sizeof(target));
    if (size < 0) return name + ": readlink: " + ErrorName(errno);
    if (inode.data != std::string_view(target, static_cast<size_t>(size))) {
      return name + ": another target";
    }
  } else if (inode.IsDirectory()) {
    if (std::string text = CheckDirectory(fd.get(), id); !text.empty()) return name + "/" + text;
  }
  return "";
}

std::string Checker::CheckDirectory(int dir_fd, Id id) {
  const int fd = ::openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return "opendir: " + ErrorName(errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd), ::closedir);
  std::map<std::string, unsigned char> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (!names.try_emplace(name, entry->d_type).second) return name + ": listed twice";
  }
  const auto& entries = model_.inode(id).entries;
  for (const auto& [name, type] : names) {
    if (!entries.contains(name)) return name + ": is there and should not be";
  }
  for (const auto& [name, child] : entries) {
    const auto listed = names.find(name);
    if (listed == names.end()) return name + ": is not listed";
    if (std::string text = CheckEntry(dir_fd, name, listed->second, child); !text.empty()) {
      return text;
    }
  }
  return "";
}

std::string Checker::CheckTree(const std::string& path, Id id) {
  const UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return "open " + path + ": " + ErrorName(errno);
  return CheckDirectory(fd.get(), id);
}

}  // namespace strata::property
