#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "imaged/store/object_store.h"

namespace strata::imaged {
namespace {

constexpr size_t kCopySize = 256 * 1024;
constexpr mode_t kObjectMode = 0444;

Status HashZeros(Hasher* hasher, uint64_t size, const CancelToken* cancel) {
  static constexpr std::array<char, kCopySize> kZeros{};
  while (size > 0) {
    if (cancel != nullptr) RETURN_IF_ERROR(cancel->Check());
    const size_t n = std::min<uint64_t>(size, kZeros.size());
    hasher->Update(kZeros.data(), n);
    size -= n;
  }
  return Ok();
}

}  // namespace

class StagedWriter : public ObjectWriter {
 public:
  StagedWriter(Ingest& ingest, std::string name, UniqueFd fd)
      : ingest_(ingest), name_(std::move(name)), fd_(std::move(fd)) {}
  ~StagedWriter() override {
    if (fd_.valid()) ::unlinkat(ingest_.staging_fd_.get(), name_.c_str(), 0);
  }

  int fd() const { return fd_.get(); }
  uint64_t size() const { return size_; }

  Status Write(std::string_view data) override {
    if (size_ + data.size() > ingest_.new_bytes_max_) return ingest_.OverLimit();
    if (Status status = PWriteAll(fd_.get(), data, size_); !status.ok()) {
      return ingest_.Fail(status.error());
    }
    hasher_.Update(data);
    size_ += data.size();
    return Ok();
  }

  Status WriteHole(uint64_t size) override {
    if (size > ingest_.new_bytes_max_ - std::min<uint64_t>(size_, ingest_.new_bytes_max_)) {
      return ingest_.OverLimit();
    }
    // The file is grown first: an impossible size fails before its zeros are hashed.
    if (size > std::numeric_limits<off_t>::max() - size_) return ingest_.Fail(Errno("grow", EFBIG));
    if (::ftruncate(fd_.get(), static_cast<off_t>(size_ + size)) != 0) {
      return ingest_.Fail(Errno("grow"));
    }
    RETURN_IF_ERROR(HashZeros(&hasher_, size, ingest_.cancel_));
    size_ += size;
    return Ok();
  }

  Result<Digest> Finish() override { return FinishAs(hasher_.Finish()); }

  // For content that came by reflink and was hashed in place.
  Result<Digest> FinishCloned() {
    struct stat st;
    if (::fstat(fd_.get(), &st) != 0) return ingest_.Fail(Errno("stat"));
    size_ = static_cast<uint64_t>(st.st_size);
    if (size_ > ingest_.new_bytes_max_) return ingest_.OverLimit();
    auto digest = HashFile(fd_.get(), ingest_.cancel_);
    if (!digest.ok()) return ingest_.Fail(digest.error());
    return FinishAs(*digest);
  }

 private:
  Result<Digest> FinishAs(const Digest& digest) {
    const bool known = ingest_.Offer(digest, size_);
    if (known) return digest;  // The destructor drops the copy.
    Status sealed = ingest_.Seal(std::move(fd_));
    if (!sealed.ok()) {
      ::unlinkat(ingest_.staging_fd_.get(), name_.c_str(), 0);
      return ingest_.Fail(sealed.error());
    }
    RETURN_IF_ERROR(ingest_.Adopt(digest, size_, name_));
    return digest;
  }

  Ingest& ingest_;
  const std::string name_;
  UniqueFd fd_;  // Valid until the file is sealed.
  Hasher hasher_;
  uint64_t size_ = 0;
};

Ingest::Ingest(ObjectStore& store, TemporaryDirectory staging, UniqueFd staging_fd)
    : store_(store),
      staging_(std::move(staging)),
      staging_fd_(std::move(staging_fd)),
      claims_(store) {}

Ingest::~Ingest() = default;

Error Ingest::Fail(const Error& error) const { return error.Wrap("store " + store_.root()); }

Error Ingest::OverLimit() const {
  return Error(Code::kResourceExhausted,
               "there is more than the " + std::to_string(new_bytes_max_ >> 20) +
                   " MiB that its owner may still have ('vimage usage'): delete images, or ask "
                   "for more");
}

bool Ingest::Offer(const Digest& digest, uint64_t size) {
  {
    std::lock_guard lock(mutex_);
    stats_.bytes += size;
    if (staged_.contains(digest) || seen_.contains(digest)) return true;
  }
  if (!claims_.Add(digest)) return false;
  std::lock_guard lock(mutex_);
  if (seen_.insert(digest).second) ++stats_.objects;
  return true;
}

Result<UniqueFd> Ingest::CreateStaged(const std::string& name) {
  return OpenAt(staging_fd_.get(), name, O_RDWR | O_CREAT | O_EXCL, kObjectMode);
}

Status Ingest::Seal(UniqueFd fd) {
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return Errno("stat");
  // Only a narrow umask or a default ACL makes the second call necessary.
  if ((st.st_mode & 07777) != kObjectMode && ::fchmod(fd.get(), kObjectMode) != 0) {
    return Errno("chmod");
  }
  return fd.Close();
}

Status Ingest::Adopt(const Digest& digest, uint64_t size, const std::string& staged_name) {
  {
    std::lock_guard lock(mutex_);
    if (stats_.new_bytes + size > new_bytes_max_) return OverLimit();
    if (staged_.emplace(digest, Staged{staged_name, size}).second) {
      ++stats_.objects;
      ++stats_.new_objects;
      stats_.new_bytes += size;
      return Ok();
    }
  }
  // Another thread staged the same content meanwhile.
  if (::unlinkat(staging_fd_.get(), staged_name.c_str(), 0) != 0) {
    return Fail(Errno("unlink staged " + staged_name));
  }
  return Ok();
}

Result<Digest> Ingest::Add(std::string_view content) {
  const Digest digest = Hasher::Of(content);
  if (Offer(digest, content.size())) return digest;
  const std::string name = NextStagedName();
  const auto stage = [&]() -> Status {
    ASSIGN_OR_RETURN(UniqueFd fd, CreateStaged(name));
    Status written = WriteAll(fd.get(), content);
    if (written.ok()) written = Seal(std::move(fd));
    if (!written.ok()) ::unlinkat(staging_fd_.get(), name.c_str(), 0);
    return written;
  };
  if (Status status = stage(); !status.ok()) return Fail(status.error());
  RETURN_IF_ERROR(Adopt(digest, content.size(), name));
  return digest;
}

Result<std::unique_ptr<ObjectWriter>> Ingest::NewWriter() {
  std::string name = NextStagedName();
  auto fd = CreateStaged(name);
  if (!fd.ok()) return Fail(fd.error());
  return std::unique_ptr<ObjectWriter>(
      std::make_unique<StagedWriter>(*this, std::move(name), std::move(*fd)));
}

namespace {

// Copies [from, to), or up to where the file ends meanwhile.
Status CopyRange(int fd, uint64_t from, uint64_t to, std::vector<char>* buffer,
                 ObjectWriter* writer) {
  while (from < to) {
    const size_t want = std::min<uint64_t>(buffer->size(), to - from);
    const ssize_t n = ::pread(fd, buffer->data(), want, static_cast<off_t>(from));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("read");
    if (n == 0) return Ok();
    RETURN_IF_ERROR(writer->Write({buffer->data(), static_cast<size_t>(n)}));
    from += static_cast<uint64_t>(n);
  }
  return Ok();
}

// Where data goes on at or after `from`; `size` when only a hole is left. A file system that knows
// no holes answers EINVAL: everything is data there.
Result<uint64_t> SeekExtent(int fd, uint64_t from, uint64_t size, int whence) {
  const off_t at = ::lseek(fd, static_cast<off_t>(from), whence);
  if (at >= 0) return std::min(static_cast<uint64_t>(at), size);
  if (errno == ENXIO) return size;
  if (errno == EINVAL) return whence == SEEK_DATA ? from : size;
  return Errno("lseek");
}

Status CopySparse(int fd, uint64_t size, StagedWriter* writer) {
  std::vector<char> buffer(std::min<uint64_t>(size, kCopySize));
  uint64_t at = 0;
  while (at < size) {
    ASSIGN_OR_RETURN(const uint64_t data, SeekExtent(fd, at, size, SEEK_DATA));
    if (data > at) RETURN_IF_ERROR(writer->WriteHole(data - at));
    ASSIGN_OR_RETURN(const uint64_t hole, SeekExtent(fd, data, size, SEEK_HOLE));
    RETURN_IF_ERROR(CopyRange(fd, data, hole, &buffer, writer));
    if (writer->size() < hole) return Ok();  // It was truncated meanwhile.
    at = hole;
  }
  return Ok();
}

}  // namespace

Result<Digest> Ingest::AddFile(int fd, uint64_t* size_bytes) {
  struct stat st;
  if (::fstat(fd, &st) != 0) return Errno("stat");
  std::string name = NextStagedName();
  auto staged = CreateStaged(name);
  if (!staged.ok()) return Fail(staged.error());
  StagedWriter writer(*this, std::move(name), std::move(*staged));
  Result<Digest> digest = Digest();
  if (::ioctl(writer.fd(), FICLONE, fd) == 0) {
    digest = writer.FinishCloned();
  } else {
    RETURN_IF_ERROR(CopySparse(fd, static_cast<uint64_t>(st.st_size), &writer));
    digest = writer.Finish();
  }
  if (digest.ok() && size_bytes != nullptr) *size_bytes = writer.size();
  return digest;
}

Result<UniqueFd> Ingest::OpenContent(const Digest& digest) const {
  std::string name;
  {
    std::lock_guard lock(mutex_);
    if (const auto it = staged_.find(digest); it != staged_.end()) name = it->second.name;
  }
  if (name.empty()) return store_.OpenObject(digest);
  auto fd = OpenAt(staging_fd_.get(), name, O_RDONLY);
  if (fd.ok()) return fd;
  // Committed meanwhile.
  if (fd.error().code() == Code::kNotFound) return store_.OpenObject(digest);
  return Fail(fd.error());
}

Status Ingest::KeepOnly(const std::unordered_set<Digest, DigestHash>& named) {
  std::lock_guard lock(mutex_);
  for (auto it = staged_.begin(); it != staged_.end();) {
    if (named.contains(it->first)) {
      ++it;
      continue;
    }
    const Staged& staged = it->second;
    if (::unlinkat(staging_fd_.get(), staged.name.c_str(), 0) != 0) {
      return Fail(Errno("unlink staged " + staged.name));
    }
    --stats_.new_objects;
    stats_.new_bytes -= staged.size_bytes;
    it = staged_.erase(it);
  }
  return Ok();
}

Status Ingest::TakeFile(const std::string& path, const Digest& digest) {
  auto fd = Open(path, O_RDONLY | O_NOFOLLOW);
  if (!fd.ok()) return Fail(fd.error());
  const auto found = HashFile(fd->get());
  if (!found.ok()) return Fail(found.error());
  if (*found != digest) {
    return Error(Code::kCorrupt,
                 "the bytes for " + digest.ToString() + " have the digest " + found->ToString());
  }
  struct stat st;
  if (::fstat(fd->get(), &st) != 0) return Fail(Errno("stat"));
  const auto size = static_cast<uint64_t>(st.st_size);
  if (Offer(digest, size)) {
    if (::unlink(path.c_str()) != 0) return Fail(Errno("unlink " + path));
    return Ok();
  }
  const std::string name = NextStagedName();
  if (::renameat(AT_FDCWD, path.c_str(), staging_fd_.get(), name.c_str()) != 0) {
    return Fail(Errno("take " + path));
  }
  if (Status sealed = Seal(std::move(*fd)); !sealed.ok()) {
    ::unlinkat(staging_fd_.get(), name.c_str(), 0);
    return Fail(sealed.error());
  }
  return Adopt(digest, size, name);
}

Status Ingest::PublishStaged() {
  std::array<bool, 256> made{};
  for (const auto& [digest, staged] : staged_) {
    const std::string path = ObjectStore::RelativePath(digest);
    bool& known = made[digest.bytes()[0]];
    if (!known && ::mkdirat(store_.objects_.get(), path.substr(0, 2).c_str(), 0755) != 0 &&
        errno != EEXIST) {
      return Errno("mkdir objects/" + path.substr(0, 2));
    }
    known = true;
    if (::renameat2(staging_fd_.get(), staged.name.c_str(), store_.objects_.get(), path.c_str(),
                    RENAME_NOREPLACE) == 0) {
      continue;
    }
    // Committed by another operation meanwhile; ours goes with the staging directory.
    if (errno != EEXIST) return Errno("rename to objects/" + path);
  }
  return Ok();
}

Status Ingest::Commit() {
  std::lock_guard lock(mutex_);
  // Also covers what was found present: another operation may have renamed it a moment ago.
  RETURN_IF_ERROR(SyncFileSystem(staging_.path()), store_.Context("commit"));
  if (staged_.empty()) return Ok();
  RETURN_IF_ERROR(PublishStaged(), store_.Context("commit"));
  // One more syncfs, not an fsync of each of up to 256 directories.
  RETURN_IF_ERROR(SyncFileSystem(staging_.path()), store_.Context("commit"));
  return Ok();
}

Status Ingest::CommitFiles() {
  std::lock_guard lock(mutex_);
  for (const auto& [digest, staged] : staged_) {
    ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(staging_fd_.get(), staged.name, O_RDONLY));
    if (::fdatasync(fd.get()) != 0) return Fail(Errno("sync " + digest.ToString()));
  }
  RETURN_IF_ERROR(PublishStaged(), store_.Context("commit"));
  return Ok();
}

IngestStats Ingest::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace strata::imaged
