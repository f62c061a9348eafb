#include "vclusterd/volumes/shared_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "common/file_io.h"
#include "common/idmapped_mount.h"
#include "common/pki/random.h"
#include "common/remove_tree.h"
#include "vclusterd/volumes/stored_ids.h"

namespace strata::vcluster {
namespace {

constexpr char kIdFile[] = "/strata-shared";
constexpr std::string_view kIdHeader = "strata shared 1\n";
constexpr size_t kIdBytes = 8;
constexpr char kVclusters[] = "vclusters";
constexpr char kHomes[] = "homes";
constexpr char kTrash[] = "trash";

bool IsAll(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

// Up to the separator, which is taken away too; all of it where there is none.
std::string_view Take(std::string_view* text, char separator) {
  const size_t end = std::min(text->find(separator), text->size());
  const std::string_view taken = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return taken;
}

Result<UniqueFd> OpenStrictly(int directory, const std::string& path, uint64_t flags) {
  open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof(how))));
  if (!fd.valid()) return Errno("open " + path);
  return fd;
}

// Durable, owned by root until the caller says otherwise.
Status MakeBelow(int directory, const std::string& name, mode_t mode) {
  if (::mkdirat(directory, name.c_str(), mode) == 0) {
    ASSIGN_OR_RETURN(const UniqueFd readable, OpenAt(directory, ".", O_RDONLY | O_DIRECTORY));
    return ::fsync(readable.get()) == 0 ? Ok() : Status(Errno("fsync"));
  }
  return errno == EEXIST ? Ok() : Status(Errno("mkdir " + name));
}

// What is root's was made and not given away yet: root of a node cannot make anything so.
Status GiveAway(int directory, const StoredOwner& owner) {
  struct stat st;
  if (::fstat(directory, &st) != 0) return Errno("stat");
  if (st.st_uid != 0 || st.st_gid != 0) return Ok();
  return ::fchownat(directory, "", owner.user, owner.group, AT_EMPTY_PATH) == 0
             ? Ok()
             : Status(Errno("chown"));
}

}  // namespace

std::string VolumesDirectory(uint32_t number, int64_t created_unix_ms) {
  return std::string(kVclusters) + "/" + std::to_string(number) + "-" +
         std::to_string(created_unix_ms);
}

std::string VolumeDirectory(const std::string& volumes_directory, std::string_view name,
                            uint32_t id) {
  return volumes_directory + "/" + std::string(name) + "." + std::to_string(id);
}

std::string HomeDirectory(uint32_t uid) { return std::string(kHomes) + "/" + std::to_string(uid); }

bool IsVolumeDirectory(std::string_view path) {
  constexpr std::string_view kDigits = "0123456789";
  constexpr size_t kPathMax = 128;
  if (path.size() > kPathMax || Take(&path, '/') != kVclusters) return false;
  std::string_view vcluster = Take(&path, '/');
  std::string_view volume = path;
  const std::string_view number = Take(&vcluster, '-');
  const std::string_view name = Take(&volume, '.');
  return IsAll(number, kDigits) && IsAll(vcluster, kDigits) && IsAll(volume, kDigits) &&
         IsAll(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
}

Result<SharedDir> SharedDir::Open(const std::string& path) {
  SharedDir shared(path);
  ASSIGN_OR_RETURN(const UniqueFd top, shared.OpenBelow("."));
  ASSIGN_OR_RETURN(const UniqueFd probe, CloneMountAt(top.get()), path);
  ASSIGN_OR_RETURN(const IdMap ids, StoredIds(0, kStoredIdFirst));
  Status mapped = MapMountIds(probe.get(), ids, 0);
  if (mapped.ok()) return shared;
  if (mapped.error().code() != Code::kUnsupported) return mapped.error().Wrap(path);
  return Error(Code::kUnsupported,
               path + ": " + mapped.error().message() +
                   " (NFS does not; ext4, xfs, btrfs, tmpfs and CephFS do), so the ids of files "
                   "would depend on the host");
}

Result<UniqueFd> SharedDir::OpenBelow(const std::string& path) const {
  ASSIGN_OR_RETURN(const UniqueFd top, strata::Open(path_, O_PATH | O_DIRECTORY));
  auto opened = OpenStrictly(top.get(), path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!opened.ok()) return opened.error().Wrap(path_);
  return opened;
}

Result<std::string> SharedDir::ReadId() const {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path_ + kIdFile, 4096));
  std::string_view rest = text;
  if (rest.starts_with(kIdHeader)) {
    rest.remove_prefix(kIdHeader.size());
    const std::string_view id = Take(&rest, '\n');
    if (rest.empty() && id.size() == 2 * kIdBytes && IsAll(id, "0123456789abcdef")) {
      return std::string(id);
    }
  }
  return Error(Code::kCorrupt, path_ + kIdFile + " holds no id of a shared directory");
}

Result<std::string> SharedDir::Claim(const std::string& known) const {
  Result<std::string> id = ReadId();
  if (!id.ok() && id.error().sys_errno() != ENOENT) return id.error();
  if (!known.empty() && (!id.ok() || *id != known)) {
    return Error(Code::kFailedPrecondition,
                 path_ + " is not the directory that this cluster's volumes are in (" + known +
                     "): is its file system mounted?");
  }
  if (!id.ok()) {
    ASSIGN_OR_RETURN(const std::string random, pki::RandomBytes(kIdBytes));
    id = pki::HexOf(random);
    RETURN_IF_ERROR(WriteFileDurably(path_ + kIdFile, std::string(kIdHeader) + *id + "\n", 0644));
  }
  ASSIGN_OR_RETURN(const UniqueFd top, OpenBelow("."));
  RETURN_IF_ERROR(MakeBelow(top.get(), kVclusters, 0711), path_);
  RETURN_IF_ERROR(MakeBelow(top.get(), kHomes, 0711), path_);
  RETURN_IF_ERROR(MakeBelow(top.get(), kTrash, 0700), path_);
  return id;
}

Status SharedDir::Check(const std::string& id) const {
  const Result<std::string> own = ReadId();
  if (own.ok() && *own == id) return Ok();
  return Error(Code::kFailedPrecondition,
               path_ + " is not the directory that the master has its volumes in (" +
                   (own.ok() ? *own : own.error().message()) +
                   "): is its file system mounted, and the same as the master's?");
}

Result<UniqueFd> SharedDir::Mount(const std::string& directory, uint32_t owner_uid,
                                  uint32_t id_first, bool read_only) const {
  ASSIGN_OR_RETURN(const IdMap ids, StoredIds(owner_uid, id_first));
  std::string_view rest = directory;
  const std::string first(Take(&rest, '/'));
  ASSIGN_OR_RETURN(UniqueFd parent, OpenBelow(first));
  while (true) {
    const std::string name(Take(&rest, '/'));
    const bool last = rest.empty();
    RETURN_IF_ERROR(MakeBelow(parent.get(), name, last ? 0700 : 0711), path_);
    ASSIGN_OR_RETURN(UniqueFd child,
                     OpenStrictly(parent.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW),
                     path_ + "/" + directory);
    parent = std::move(child);
    if (last) break;
  }
  RETURN_IF_ERROR(GiveAway(parent.get(), StoredOwnerOf(owner_uid)), path_ + "/" + directory);
  ASSIGN_OR_RETURN(UniqueFd mount, CloneMountAt(parent.get()), path_ + "/" + directory);
  const uint64_t attributes =
      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (read_only ? MOUNT_ATTR_RDONLY : 0);
  RETURN_IF_ERROR(MapMountIds(mount.get(), ids, attributes), path_ + "/" + directory);
  return mount;
}

Status SharedDir::Discard(const std::string& directory) const {
  ASSIGN_OR_RETURN(const std::string random, pki::RandomBytes(kIdBytes));
  ASSIGN_OR_RETURN(const UniqueFd top, OpenBelow("."));
  const size_t slash = directory.rfind('/');
  const auto parent = OpenStrictly(top.get(), directory.substr(0, slash), O_RDONLY | O_DIRECTORY);
  if (!parent.ok()) {
    return parent.error().sys_errno() == ENOENT ? Ok() : Status(parent.error().Wrap(path_));
  }
  RETURN_IF_ERROR(MakeBelow(top.get(), kTrash, 0700), path_);
  ASSIGN_OR_RETURN(const UniqueFd trash, OpenBelow(kTrash));
  const std::string name = directory.substr(slash + 1);
  if (::renameat(parent->get(), name.c_str(), trash.get(), pki::HexOf(random).c_str()) != 0) {
    return errno == ENOENT ? Ok() : Status(Errno("discard " + path_ + "/" + directory));
  }
  return ::fsync(parent->get()) == 0 ? Ok() : Status(Errno("fsync " + path_));
}

Status SharedDir::EmptyTrash(const CancelToken& cancel) const {
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const std::string trash = path_ + "/" + kTrash;
  const std::unique_ptr<DIR, Close> dir(::opendir(trash.c_str()));
  if (dir == nullptr) return errno == ENOENT ? Ok() : Status(Errno("opendir " + trash));
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    RETURN_IF_ERROR(RemoveTree(trash + "/" + std::string(name), cancel));
  }
  return Ok();
}

}  // namespace strata::vcluster
