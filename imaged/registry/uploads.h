// Uploads: what is being pushed. Blobs arrive in pieces, are hashed as they come, and wait, by user
// and repository, for the manifest that names them. Nothing of it is visible to anybody else.
//
//   <store>/staging/registry.XXXXXX/N   one blob, or the part of it that has come
//
// All of it is gone when the daemon ends, however it ends (ObjectStore::Open clears staging/), and
// when a user has not gone on with a repository for kUploadIdleMax.
//
// A user has at most kUploadBytesMax, and never more than he may still have in images.
//
// Thread-safe; one writer per upload.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/file_io.h"
#include "common/result.h"
#include "common/sha256.h"
#include "common/unique_fd.h"

namespace strata::imaged {

constexpr uint64_t kUploadBytesMax = 64ull << 30;
constexpr size_t kUploadsPerUserMax = 32;
constexpr size_t kUploadedBlobsPerUserMax = 2048;
constexpr std::chrono::minutes kUploadYieldsAfter{2};
constexpr std::chrono::minutes kUploadIdleMax{60};
// Once an image was made of them, blobs wait for another tag this long.
constexpr std::chrono::minutes kUploadUsedMax{5};

// A file of the spool, removed with the last that holds it.
class SpooledBlob {
 public:
  // kResourceExhausted when the disk is full.
  static Result<std::shared_ptr<SpooledBlob>> Create(std::string path);
  ~SpooledBlob();
  SpooledBlob(const SpooledBlob&) = delete;
  SpooledBlob& operator=(const SpooledBlob&) = delete;

  Status Append(std::string_view data);
  // At most `size` bytes from `offset` on; 0 behind the end.
  Result<size_t> ReadAt(uint64_t offset, char* buffer, size_t size) const;
  // The whole file in pieces.
  Status Read(const std::function<Status(std::string_view)>& sink) const;
  uint64_t size() const { return size_; }

 private:
  SpooledBlob(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  const std::string path_;
  const UniqueFd fd_;
  std::atomic<uint64_t> size_{0};  // One appends, others look.
};

// Whose, and of which repository.
struct UploadPlace {
  uid_t uid = 0;
  std::string repository;
  auto operator<=>(const UploadPlace&) const = default;
};

class Uploads {
 public:
  using Clock = std::chrono::steady_clock;
  // How many bytes more a user may stage; nullopt: no limit.
  using Room = std::function<Result<std::optional<uint64_t>>(uid_t)>;

  // `store_root`: the object store's. `now` is injected, so that tests let uploads grow old.
  static Result<std::unique_ptr<Uploads>> Create(const std::string& store_root, Room room,
                                                 std::function<Clock::time_point()> now);

  // The id of a new upload. With too many of them open, it takes the place of the one that nobody
  // has gone on with for the longest time; kResourceExhausted if that is less than
  // kUploadYieldsAfter.
  Result<std::string> Start(const UploadPlace& place);

  class Writer;
  // Goes on with an upload. kNotFound: there is none, or it is of another place;
  // kFailedPrecondition while another writer has it.
  Result<std::unique_ptr<Writer>> Write(const UploadPlace& place, const std::string& id);
  // Bytes that have come.
  Result<uint64_t> SizeOf(const UploadPlace& place, const std::string& id);
  Status Cancel(const UploadPlace& place, const std::string& id);

  // The blob that came whole; nullptr: none of that digest.
  std::shared_ptr<const SpooledBlob> Find(const UploadPlace& place, const Sha256Digest& digest);
  // Forgets a blob. False: there is none.
  bool Drop(const UploadPlace& place, const Sha256Digest& digest);
  // A document that came in one piece.
  Status Add(const UploadPlace& place, const Sha256Digest& digest, std::string_view bytes);
  // The same blob for another repository of the same user. False: `from` has none.
  bool Mount(const UploadPlace& place, const std::string& from, const Sha256Digest& digest);
  // The blobs of this place made an image.
  void MarkUsed(const UploadPlace& place);

  // Drops what has waited too long.
  void DropOld();

 private:
  struct Upload {
    UploadPlace place;
    std::shared_ptr<SpooledBlob> blob;
    Sha256Hasher hasher;
    bool busy = false;
    Clock::time_point touched;
  };
  struct Repository {
    std::map<Sha256Digest, std::shared_ptr<const SpooledBlob>> blobs;
    Clock::time_point touched;
    bool used = false;
  };

  Uploads(TemporaryDirectory directory, Room room, std::function<Clock::time_point()> now)
      : directory_(std::move(directory)), room_(std::move(room)), now_(std::move(now)) {}
  Repository& Touch(const UploadPlace& place);
  Result<std::shared_ptr<Upload>> FindUpload(const UploadPlace& place, const std::string& id);
  uint64_t BytesOf(uid_t uid) const;
  size_t BlobsOf(uid_t uid) const;
  Result<uint64_t> LimitOf(uid_t uid) const;
  Status Keep(const UploadPlace& place, const Sha256Digest& digest,
              std::shared_ptr<const SpooledBlob> blob);
  std::string NextPath() { return directory_.path() + "/" + std::to_string(next_file_++); }

  const TemporaryDirectory directory_;
  const Room room_;
  const std::function<Clock::time_point()> now_;
  std::mutex mutex_;  // Guards the rest, and which writer has an upload.
  uint64_t next_file_ = 0;
  std::map<std::string, std::shared_ptr<Upload>> uploads_;  // By id.
  std::map<UploadPlace, Repository> repositories_;
};

// One request's piece of an upload. Destroyed at any time, it leaves what has come for the next.
class Uploads::Writer {
 public:
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // kResourceExhausted: more than its user may have.
  Status Append(std::string_view data);
  uint64_t size() const { return upload_->blob->size(); }
  // The blob is complete. kCorrupt when it is another; then it is dropped.
  Status Finish(const Sha256Digest& digest);

 private:
  friend class Uploads;
  Writer(Uploads* uploads, std::string id, std::shared_ptr<Upload> upload, uint64_t bytes_max)
      : uploads_(uploads), id_(std::move(id)), upload_(std::move(upload)), bytes_max_(bytes_max) {}
  Status CheckRoom(size_t more) const;
  Uploads* const uploads_;
  const std::string id_;
  const std::shared_ptr<Upload> upload_;
  const uint64_t bytes_max_;  // Of all that its user has in the spool.
};

}  // namespace strata::imaged
