#include "imaged/store/object_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "common/log.h"

namespace strata::imaged {
namespace {

struct CloseDir {
  void operator()(DIR* stream) const { ::closedir(stream); }
};
using UniqueDir = std::unique_ptr<DIR, CloseDir>;

Result<std::vector<std::string>> ListDirectory(int parent, const std::string& name) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(parent, name, O_RDONLY | O_DIRECTORY));
  UniqueDir stream(::fdopendir(fd.get()));
  if (stream == nullptr) return Errno("opendir " + name);
  (void)fd.release();  // The stream owns it now.
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  if (errno != 0) return Errno("readdir " + name);
  return names;
}

Result<UniqueFd> TakeLock(const std::string& root) {
  ASSIGN_OR_RETURN(UniqueFd lock, Open(root + "/lock", O_RDWR | O_CREAT, 0600));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return Errno("flock " + root + "/lock");
  return Error(Code::kFailedPrecondition, "store " + root + " is open in another process", EBUSY);
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> ObjectStore::Open(const std::string& root) {
  RETURN_IF_ERROR(MakeDirectories(root + "/objects"), "store " + root);
  std::unique_ptr<ObjectStore> store(new ObjectStore(root));
  ASSIGN_OR_RETURN(store->lock_, TakeLock(root));
  RETURN_IF_ERROR(RemoveTree(root + "/staging"), "store " + root);
  RETURN_IF_ERROR(MakeDirectories(root + "/staging", 0700), "store " + root);
  RETURN_IF_ERROR(SpreadSubdirectories(root + "/staging"), "store " + root);
  ASSIGN_OR_RETURN(store->objects_, strata::Open(root + "/objects", O_PATH | O_DIRECTORY));
  RETURN_IF_ERROR(FsyncDirectory(root));
  return store;
}

std::string ObjectStore::Context(std::string_view what) const {
  return "store " + root_ + ": " + std::string(what);
}

std::string ObjectStore::RelativePath(const Digest& digest) { return digest.ObjectPath(); }

std::string ObjectStore::PathOf(const Digest& digest) const {
  return objects_dir() + "/" + RelativePath(digest);
}

bool ObjectStore::Has(const Digest& digest) const {
  return ::faccessat(objects_.get(), RelativePath(digest).c_str(), F_OK, 0) == 0;
}

Result<UniqueFd> ObjectStore::OpenObject(const Digest& digest) const {
  auto fd = OpenAt(objects_.get(), RelativePath(digest), O_RDONLY | O_NOFOLLOW);
  if (fd.ok()) return fd;
  if (fd.error().sys_errno() == ENOENT) {
    return Error(Code::kNotFound, Context("has no object " + digest.ToString()), ENOENT);
  }
  return fd.error().Wrap(Context("object " + digest.ToString()));
}

Status ObjectStore::Verify(const Digest& digest) const {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenObject(digest));
  ASSIGN_OR_RETURN(const Digest found, HashFile(fd.get()), Context(digest.ToString()));
  if (found == digest) return Ok();
  return Error(Code::kCorrupt, Context("object " + digest.ToString() + " holds the content of " +
                                       found.ToString()));
}

Status ObjectStore::MoveAway(const Digest& digest) {
  RETURN_IF_ERROR(MakeDirectories(root_ + "/damaged", 0700), Context("damaged objects"));
  if (::rename(PathOf(digest).c_str(), DamagedPath(digest).c_str()) != 0 && errno != ENOENT) {
    return Errno(Context("move " + digest.ToString() + " away"));
  }
  return Ok();
}

void ObjectStore::DropDamaged(const Digest& digest) {
  if (::unlink(DamagedPath(digest).c_str()) != 0 && errno != ENOENT) {
    LOG_WARNING(Errno(Context("remove the damaged " + digest.ToString())).message());
  }
}

Result<std::unique_ptr<Ingest>> ObjectStore::StartIngest() {
  ASSIGN_OR_RETURN(TemporaryDirectory staging,
                   TemporaryDirectory::Create(root_ + "/staging", "op."), Context("start"));
  ASSIGN_OR_RETURN(UniqueFd fd, strata::Open(staging.path(), O_PATH | O_DIRECTORY),
                   Context("start"));
  return std::unique_ptr<Ingest>(new Ingest(Pin(), *this, std::move(staging), std::move(fd)));
}

ObjectStore::PinGuard ObjectStore::Pin() {
  std::unique_lock lock(mutex_);
  collected_.wait(lock, [this] { return !collecting_; });
  ++live_operations_;
  return PinGuard(this);
}

void ObjectStore::EndOperation() {
  std::lock_guard lock(mutex_);
  --live_operations_;
}

Result<ObjectStore::Collected> ObjectStore::Collect(const std::function<Result<LiveTest>()>& mark) {
  {
    std::lock_guard lock(mutex_);
    if (live_operations_ > 0 || collecting_) {
      return Error(Code::kFailedPrecondition,
                   Context("other operations run, nothing is collected"));
    }
    collecting_ = true;
  }
  const auto collect = [&]() -> Result<Collected> {
    Collected collected;
    ASSIGN_OR_RETURN(const LiveTest is_live, mark(), Context("collect"));
    ASSIGN_OR_RETURN(const std::vector<std::string> prefixes,
                     ListDirectory(AT_FDCWD, objects_dir()), Context("collect"));
    for (const std::string& prefix : prefixes) {
      RETURN_IF_ERROR(CollectPrefix(prefix, is_live, &collected), Context("collect"));
    }
    return collected;
  };
  auto collected = collect();
  std::lock_guard lock(mutex_);
  collecting_ = false;
  collected_.notify_all();
  return collected;
}

Status ObjectStore::CollectPrefix(const std::string& prefix, const LiveTest& is_live,
                                  Collected* collected) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(objects_.get(), prefix));
  for (const std::string& name : names) {
    const auto digest = Digest::FromHex(prefix + name);
    const std::string path = prefix + "/" + name;
    if (!digest.ok()) {
      LOG_WARNING(Context("objects/" + path + " is no object, left alone"));
      continue;
    }
    if (is_live(*digest)) continue;
    struct stat st;
    if (::fstatat(objects_.get(), path.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return Errno("stat " + path);
    }
    if (::unlinkat(objects_.get(), path.c_str(), 0) != 0) return Errno("unlink " + path);
    ++collected->objects;
    collected->bytes += static_cast<uint64_t>(st.st_size);
  }
  return Ok();
}

}  // namespace strata::imaged
