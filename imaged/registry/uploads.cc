#include "imaged/registry/uploads.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <vector>

#include "common/pki/random.h"

namespace strata::imaged {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kIdBytes = 16;

Error NoSuchUpload() { return Error(Code::kNotFound, "there is no such upload"); }

}  // namespace

Result<std::shared_ptr<SpooledBlob>> SpooledBlob::Create(std::string path) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  return std::shared_ptr<SpooledBlob>(new SpooledBlob(std::move(path), std::move(fd)));
}

SpooledBlob::~SpooledBlob() { ::unlink(path_.c_str()); }

Status SpooledBlob::Append(std::string_view data) {
  RETURN_IF_ERROR(PWriteAll(fd_.get(), data, size_), "the upload");
  size_ += data.size();
  return Ok();
}

Result<size_t> SpooledBlob::ReadAt(uint64_t offset, char* buffer, size_t size) const {
  const size_t n = std::min<uint64_t>(size, size_ - std::min<uint64_t>(offset, size_));
  RETURN_IF_ERROR(PReadExactly(fd_.get(), buffer, n, offset));
  return n;
}

Status SpooledBlob::Read(const std::function<Status(std::string_view)>& sink) const {
  std::string buffer(kReadBytes, '\0');
  for (uint64_t at = 0; at < size_;) {
    ASSIGN_OR_RETURN(const size_t n, ReadAt(at, buffer.data(), buffer.size()));
    RETURN_IF_ERROR(sink(std::string_view(buffer).substr(0, n)));
    at += n;
  }
  return Ok();
}

Result<std::unique_ptr<Uploads>> Uploads::Create(const std::string& store_root, Room room,
                                                 std::function<Clock::time_point()> now) {
  ASSIGN_OR_RETURN(TemporaryDirectory directory,
                   TemporaryDirectory::Create(store_root + "/staging", "registry."));
  return std::unique_ptr<Uploads>(
      new Uploads(std::move(directory), std::move(room), std::move(now)));
}

Uploads::Repository& Uploads::Touch(const UploadPlace& place) {
  Repository& repository = repositories_[place];
  repository.touched = now_();
  return repository;
}

uint64_t Uploads::BytesOf(uid_t uid) const {
  std::set<const SpooledBlob*> counted;  // A mounted blob is one file.
  uint64_t bytes = 0;
  for (const auto& [id, upload] : uploads_) {
    if (upload->place.uid == uid) bytes += upload->blob->size();
  }
  for (const auto& [place, repository] : repositories_) {
    if (place.uid != uid) continue;
    for (const auto& [digest, blob] : repository.blobs) {
      if (counted.insert(blob.get()).second) bytes += blob->size();
    }
  }
  return bytes;
}

size_t Uploads::BlobsOf(uid_t uid) const {
  size_t count = 0;
  for (const auto& [place, repository] : repositories_) {
    if (place.uid == uid) count += repository.blobs.size();
  }
  return count;
}

Result<uint64_t> Uploads::LimitOf(uid_t uid) const {
  ASSIGN_OR_RETURN(const std::optional<uint64_t> room, room_(uid));
  return std::min(room.value_or(kUploadBytesMax), kUploadBytesMax);
}

Result<std::string> Uploads::Start(const UploadPlace& place) {
  ASSIGN_OR_RETURN(const std::string random, pki::RandomBytes(kIdBytes));
  const std::lock_guard lock(mutex_);
  size_t open = 0;
  auto oldest = uploads_.end();
  for (auto at = uploads_.begin(); at != uploads_.end(); ++at) {
    if (at->second->place.uid != place.uid) continue;
    ++open;
    if (at->second->busy) continue;
    if (oldest == uploads_.end() || at->second->touched < oldest->second->touched) oldest = at;
  }
  if (open >= kUploadsPerUserMax) {
    if (oldest == uploads_.end() || now_() - oldest->second->touched < kUploadYieldsAfter) {
      return Error(Code::kResourceExhausted, "you have too many uploads open");
    }
    uploads_.erase(oldest);
  }
  auto upload = std::make_shared<Upload>();
  upload->place = place;
  upload->touched = now_();
  ASSIGN_OR_RETURN(upload->blob, SpooledBlob::Create(NextPath()));
  const std::string id = pki::HexOf(random);
  uploads_[id] = std::move(upload);
  Touch(place);
  return id;
}

Result<std::shared_ptr<Uploads::Upload>> Uploads::FindUpload(const UploadPlace& place,
                                                             const std::string& id) {
  const auto found = uploads_.find(id);
  if (found == uploads_.end() || found->second->place != place) return NoSuchUpload();
  if (found->second->busy) {
    return Error(Code::kFailedPrecondition, "another request writes to this upload");
  }
  Touch(place);
  found->second->touched = now_();
  return found->second;
}

Result<std::unique_ptr<Uploads::Writer>> Uploads::Write(const UploadPlace& place,
                                                        const std::string& id) {
  ASSIGN_OR_RETURN(const uint64_t limit, LimitOf(place.uid));
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(std::shared_ptr<Upload> upload, FindUpload(place, id));
  upload->busy = true;
  return std::unique_ptr<Writer>(new Writer(this, id, std::move(upload), limit));
}

Result<uint64_t> Uploads::SizeOf(const UploadPlace& place, const std::string& id) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const std::shared_ptr<Upload> upload, FindUpload(place, id));
  return upload->blob->size();
}

Status Uploads::Cancel(const UploadPlace& place, const std::string& id) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(FindUpload(place, id));
  uploads_.erase(id);
  return Ok();
}

std::shared_ptr<const SpooledBlob> Uploads::Find(const UploadPlace& place,
                                                 const Sha256Digest& digest) {
  const std::lock_guard lock(mutex_);
  const auto repository = repositories_.find(place);
  if (repository == repositories_.end()) return nullptr;
  const auto blob = repository->second.blobs.find(digest);
  if (blob == repository->second.blobs.end()) return nullptr;
  repository->second.touched = now_();
  return blob->second;
}

bool Uploads::Drop(const UploadPlace& place, const Sha256Digest& digest) {
  const std::lock_guard lock(mutex_);
  const auto repository = repositories_.find(place);
  return repository != repositories_.end() && repository->second.blobs.erase(digest) > 0;
}

Status Uploads::Keep(const UploadPlace& place, const Sha256Digest& digest,
                     std::shared_ptr<const SpooledBlob> blob) {
  if (BlobsOf(place.uid) >= kUploadedBlobsPerUserMax) {
    return Error(Code::kResourceExhausted, "you have uploaded too many blobs without a manifest");
  }
  Repository& repository = Touch(place);
  repository.used = false;
  repository.blobs[digest] = std::move(blob);
  return Ok();
}

Status Uploads::Add(const UploadPlace& place, const Sha256Digest& digest, std::string_view bytes) {
  ASSIGN_OR_RETURN(const uint64_t limit, LimitOf(place.uid));
  const std::lock_guard lock(mutex_);
  if (BytesOf(place.uid) + bytes.size() > limit) {
    return Error(Code::kResourceExhausted, "you may not upload as much");
  }
  ASSIGN_OR_RETURN(const auto blob, SpooledBlob::Create(NextPath()));
  RETURN_IF_ERROR(blob->Append(bytes));
  return Keep(place, digest, blob);
}

bool Uploads::Mount(const UploadPlace& place, const std::string& from, const Sha256Digest& digest) {
  const auto blob = Find({place.uid, from}, digest);
  if (blob == nullptr) return false;
  const std::lock_guard lock(mutex_);
  return Keep(place, digest, blob).ok();
}

void Uploads::MarkUsed(const UploadPlace& place) {
  const std::lock_guard lock(mutex_);
  Touch(place).used = true;
}

void Uploads::DropOld() {
  std::vector<std::shared_ptr<const void>> dropped;  // Removed without the lock.
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = now_();
  for (auto at = repositories_.begin(); at != repositories_.end();) {
    const Repository& repository = at->second;
    const UploadPlace& place = at->first;
    const auto open = std::any_of(uploads_.begin(), uploads_.end(), [&](const auto& entry) {
      return entry.second->place == place && entry.second->busy;
    });
    const auto age_max = repository.used ? kUploadUsedMax : kUploadIdleMax;
    if (open || now - repository.touched < age_max) {
      ++at;
      continue;
    }
    for (auto upload = uploads_.begin(); upload != uploads_.end();) {
      if (upload->second->place == place) {
        dropped.push_back(upload->second);
        upload = uploads_.erase(upload);
      } else {
        ++upload;
      }
    }
    for (const auto& [digest, blob] : repository.blobs) dropped.push_back(blob);
    at = repositories_.erase(at);
  }
}

Uploads::Writer::~Writer() {
  const std::lock_guard lock(uploads_->mutex_);
  upload_->busy = false;
  upload_->touched = uploads_->now_();
  uploads_->Touch(upload_->place);
}

Status Uploads::Writer::CheckRoom(size_t more) const {
  const std::lock_guard lock(uploads_->mutex_);
  if (uploads_->BytesOf(upload_->place.uid) + more <= bytes_max_) return Ok();
  return Error(Code::kResourceExhausted, "your uploads are more than you may still have in images");
}

Status Uploads::Writer::Append(std::string_view data) {
  RETURN_IF_ERROR(CheckRoom(data.size()));
  RETURN_IF_ERROR(upload_->blob->Append(data));
  upload_->hasher.Update(data);
  return Ok();
}

Status Uploads::Writer::Finish(const Sha256Digest& digest) {
  const bool right = upload_->hasher.Finish() == digest;
  const std::lock_guard lock(uploads_->mutex_);
  uploads_->uploads_.erase(id_);
  if (!right) {
    return Error(Code::kCorrupt, "what was uploaded has not the digest " + digest.ToString());
  }
  return uploads_->Keep(upload_->place, digest, upload_->blob);
}

}  // namespace strata::imaged
