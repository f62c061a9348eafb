#include "imaged/store/object_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

Result<std::vector<Digest>> ObjectStore::List(uint8_t first_byte) const {
  std::vector<Digest> digests;
  Digest::Bytes first{};
  first[0] = first_byte;
  const std::string prefix = Digest(first).Hex().substr(0, 2);
  const auto names = ListDirectory(objects_.get(), prefix);
  if (!names.ok() && names.error().code() == Code::kNotFound) return digests;
  if (!names.ok()) return names.error().Wrap(Context("list objects"));
  for (const std::string& name : *names) {
    const auto digest = Digest::FromHex(prefix + name);
    if (digest.ok()) digests.push_back(*digest);
  }
  return digests;
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
  return std::unique_ptr<Ingest>(new Ingest(*this, std::move(staging), std::move(fd)));
}

bool ObjectStore::Claims::Add(const Digest& digest) {
  {
    const std::lock_guard lock(mutex_);
    digests_.push_back(digest);
  }
  const std::lock_guard lock(store_.mutex_);
  ++store_.claims_[digest];
  return store_.Has(digest);
}

void ObjectStore::Unclaim(const std::vector<Digest>& digests) {
  const std::lock_guard lock(mutex_);
  if (claim_epoch_) {
    ended_claims_.insert(ended_claims_.end(), digests.begin(), digests.end());
    return;
  }
  for (const Digest& digest : digests) {
    const auto it = claims_.find(digest);
    if (--it->second == 0) claims_.erase(it);
  }
}

ObjectStore::ClaimEpoch ObjectStore::KeepClaims() {
  const std::lock_guard lock(mutex_);
  CHECK(!claim_epoch_);
  claim_epoch_ = true;
  return ClaimEpoch(this);
}

void ObjectStore::EndClaimEpoch() {
  std::vector<Digest> ended;
  {
    const std::lock_guard lock(mutex_);
    claim_epoch_ = false;
    ended.swap(ended_claims_);
  }
  Unclaim(ended);
}

Result<ObjectStore::Collected> ObjectStore::Sweep(uint8_t first_byte,
                                                  const std::vector<Digest>& live, bool remove) {
  Collected collected;
  Digest::Bytes first{};
  first[0] = first_byte;
  const std::string prefix = Digest(first).Hex().substr(0, 2);
  const auto names = ListDirectory(objects_.get(), prefix);
  if (!names.ok() && names.error().code() == Code::kNotFound) return collected;
  if (!names.ok()) return names.error().Wrap(Context("collect"));
  for (const std::string& name : *names) {
    const auto digest = Digest::FromHex(prefix + name);
    const std::string path = prefix + "/" + name;
    if (!digest.ok()) {
      LOG_WARNING(Context("objects/" + path + " is no object, left alone"));
      continue;
    }
    if (std::binary_search(live.begin(), live.end(), *digest)) continue;
    struct stat st;
    if (::fstatat(objects_.get(), path.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // Moved away as damaged just now.
      return Errno(Context("collect: stat " + path));
    }
    const std::lock_guard lock(mutex_);
    if (claims_.contains(*digest)) continue;
    if (remove && ::unlinkat(objects_.get(), path.c_str(), 0) != 0 && errno != ENOENT) {
      return Errno(Context("collect: unlink " + path));
    }
    ++collected.objects;
    collected.bytes += static_cast<uint64_t>(st.st_size);
  }
  return collected;
}

}  // namespace strata::imaged
