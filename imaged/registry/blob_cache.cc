#include "imaged/registry/blob_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <vector>

#include "common/file_io.h"
#include "common/log.h"
#include "common/unique_fd.h"

namespace strata::imaged {
namespace {

constexpr std::string_view kPart = ".part";

}  // namespace

// One file: whole, or growing while a thread makes it.
class BlobCache::Blob {
 public:
  // `part_path`: where it grows, nobody else's.
  Blob(std::string path, std::string part_path, uint64_t total)
      : path_(std::move(path)), part_path_(std::move(part_path)), total_(total) {}
  ~Blob() {
    cancel_.Cancel();
    if (maker_.joinable()) maker_.join();
    if (!whole_ && part_.valid()) ::unlink(part_path_.c_str());
  }

  const std::string& path() const { return path_; }
  uint64_t total() const { return total_; }
  // Costs more than the end of its writing.
  bool IsBeingMade() const {
    const std::lock_guard lock(mutex_);
    return !whole_ && !failed_ && written_ < total_;
  }
  void SetWhole() {
    whole_ = true;
    written_ = total_;
  }
  Status Start(Maker make) {
    ASSIGN_OR_RETURN(part_, strata::Open(part_path_, O_RDWR | O_CREAT | O_TRUNC, 0600));
    maker_ = std::thread([this, make = std::move(make)] { Run(make); });
    return Ok();
  }

  // Readers. False: it has failed or was given up. When the last leaves a blob that is not whole,
  // nobody waits for it: it is given up.
  bool Join() {
    const std::lock_guard lock(mutex_);
    if (!whole_ && (failed_ || cancel_.cancelled())) return false;
    if (whole_ && maker_.joinable()) maker_.join();  // It has nothing more to do.
    ++readers_;
    return true;
  }
  void Leave() {
    const std::lock_guard lock(mutex_);
    if (--readers_ == 0 && written_ < total_) cancel_.Cancel();
  }
  bool HasReaders() const {
    const std::lock_guard lock(mutex_);
    return readers_ > 0;
  }
  bool HasFailed() const {
    const std::lock_guard lock(mutex_);
    return failed_;
  }

  Result<UniqueFd> OpenFile() const {
    const std::lock_guard lock(mutex_);
    return strata::Open(whole_ ? path_ : part_path_, O_RDONLY);
  }
  // Waits until there is more than `offset`, and answers how much there is.
  Result<uint64_t> AwaitBeyond(uint64_t offset, const CancelToken& reader) {
    std::unique_lock lock(mutex_);
    // The reader's token can only be asked.
    while (!whole_ && !failed_ && written_ <= offset) {
      RETURN_IF_ERROR(reader.Check());
      changed_.wait_for(lock, std::chrono::milliseconds(100));
    }
    if (whole_) return total_;
    if (written_ > offset) return written_;
    return Error(Code::kUnavailable, "the blob could not be made");
  }

  uint64_t used = 0;  // Guarded by the cache's mutex.

 private:
  void Run(const Maker& make) {
    Status status;
    try {
      status = Make(make);
    } catch (const std::exception& e) {
      status = Error(Code::kInternal, e.what());
    }
    if (!status.ok() && !cancel_.cancelled()) {
      LOG_WARNING("registry: " + path_ + ": " + status.error().message());
    }
    const std::lock_guard lock(mutex_);
    // One step for those who open it.
    whole_ = status.ok() && ::rename(part_path_.c_str(), path_.c_str()) == 0;
    failed_ = !whole_;
    changed_.notify_all();
  }

  Status Make(const Maker& make) {
    uint64_t written = 0;
    RETURN_IF_ERROR(make(
        [&](std::string_view data) -> Status {
          RETURN_IF_ERROR(PWriteAll(part_.get(), data, written));
          written += data.size();
          const std::lock_guard lock(mutex_);
          written_ = written;
          changed_.notify_all();
          return cancel_.Check();
        },
        cancel_));
    if (written != total_) return Error(Code::kCorrupt, "it came out with another size");
    if (::fdatasync(part_.get()) != 0) return Errno("fdatasync");
    return Ok();
  }

  const std::string path_;
  const std::string part_path_;
  const uint64_t total_;
  UniqueFd part_;
  CancelToken cancel_;
  mutable std::mutex mutex_;  // Guards the rest. Taken behind the cache's.
  std::condition_variable changed_;
  int readers_ = 0;
  uint64_t written_ = 0;
  bool whole_ = false;
  bool failed_ = false;
  std::thread maker_;
};

class BlobCache::Body : public http::BodySource {
 public:
  Body(std::shared_ptr<Blob> blob, uint64_t first, uint64_t size)
      : blob_(std::move(blob)), at_(first), end_(first + size) {}
  ~Body() override { blob_->Leave(); }

  Result<size_t> Read(char* buffer, size_t size) override {
    if (at_ == end_) return size_t{0};
    ASSIGN_OR_RETURN(const uint64_t there, blob_->AwaitBeyond(at_, cancel_));
    if (!fd_.valid()) {
      ASSIGN_OR_RETURN(fd_, blob_->OpenFile());
    }
    const size_t n = std::min<uint64_t>(size, std::min(there, end_) - at_);
    RETURN_IF_ERROR(PReadExactly(fd_.get(), buffer, n, at_));
    at_ += n;
    return n;
  }
  void Cancel() override { cancel_.Cancel(); }

 private:
  const std::shared_ptr<Blob> blob_;
  UniqueFd fd_;  // Of the same file before and after it gets its name.
  uint64_t at_;
  const uint64_t end_;
  CancelToken cancel_;
};

Result<std::unique_ptr<BlobCache>> BlobCache::Open(const std::string& directory,
                                                   uint64_t bytes_max) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  std::unique_ptr<BlobCache> cache(new BlobCache(directory, bytes_max));
  RETURN_IF_ERROR(cache->Load());
  return cache;
}

BlobCache::~BlobCache() = default;

Status BlobCache::Load() {
  std::error_code error;
  std::filesystem::directory_iterator entries(directory_, error);
  if (error) return Error(Code::kInternal, directory_ + ": " + error.message());
  std::vector<std::pair<std::filesystem::file_time_type, std::string>> names;
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename();
    if (name.ends_with(kPart)) {
      ::unlink(entry.path().c_str());
    } else {
      names.emplace_back(entry.last_write_time(error), name);
    }
  }
  std::sort(names.begin(), names.end());  // The oldest go first.
  for (const auto& [time, name] : names) {
    const std::string path = directory_ + "/" + name;
    auto blob = std::make_shared<Blob>(path, "", std::filesystem::file_size(path, error));
    blob->SetWhole();
    blob->used = ++uses_;
    blobs_[name] = std::move(blob);
  }
  MakeRoom(0);
  return Ok();
}

void BlobCache::Drop(std::map<std::string, std::shared_ptr<Blob>>::iterator at) {
  const std::string path = at->second->path();
  blobs_.erase(at);  // Waits for a thread that is giving it its name.
  ::unlink(path.c_str());
}

bool BlobCache::MakeRoom(uint64_t size_bytes) {
  if (size_bytes > bytes_max_) return false;
  uint64_t bytes = 0;
  for (const auto& [name, blob] : blobs_) bytes += blob->total();
  while (bytes + size_bytes > bytes_max_) {
    auto oldest = blobs_.end();
    for (auto at = blobs_.begin(); at != blobs_.end(); ++at) {
      if (at->second->HasReaders() || at->second->IsBeingMade()) continue;
      if (oldest == blobs_.end() || at->second->used < oldest->second->used) oldest = at;
    }
    if (oldest == blobs_.end()) return false;
    bytes -= oldest->second->total();
    Drop(oldest);
  }
  return true;
}

std::shared_ptr<BlobCache::Blob> BlobCache::Make(const std::string& name, uint64_t total,
                                                 Maker make) {
  const auto made = std::count_if(blobs_.begin(), blobs_.end(),
                                  [](const auto& entry) { return entry.second->IsBeingMade(); });
  if (static_cast<size_t>(made) >= kBlobsMadeAtOnceMax || !MakeRoom(total)) return nullptr;
  const std::string path = directory_ + "/" + name;
  auto blob = std::make_shared<Blob>(
      path, path + "." + std::to_string(++uses_) + std::string(kPart), total);
  if (const Status started = blob->Start(std::move(make)); !started.ok()) {
    LOG_WARNING("registry: " + started.error().message());
    return nullptr;
  }
  blobs_[name] = blob;
  return blob;
}

std::unique_ptr<http::BodySource> BlobCache::Read(const Key& key, uint64_t total, uint64_t first,
                                                  uint64_t size, Maker make) {
  const std::string name = key.layer.Hex() + "-" + key.blob.Hex();
  const std::lock_guard lock(mutex_);
  const auto found = blobs_.find(name);
  std::shared_ptr<Blob> blob = found == blobs_.end() ? nullptr : found->second;
  if (blob == nullptr || blob->total() != total || !blob->Join()) {
    if (blob != nullptr) blobs_.erase(found);
    blob = Make(name, total, std::move(make));
    if (blob == nullptr || !blob->Join()) return nullptr;
  }
  blob->used = ++uses_;
  return std::make_unique<Body>(blob, first, size);
}

void BlobCache::Sweep(const std::function<bool(const Digest& layer)>& is_live) {
  const std::lock_guard lock(mutex_);
  for (auto at = blobs_.begin(); at != blobs_.end();) {
    const auto layer = Digest::FromHex(at->first.substr(0, at->first.find('-')));
    const bool keep = at->second->HasReaders() || at->second->IsBeingMade() ||
                      (!at->second->HasFailed() && layer.ok() && is_live(*layer));
    const auto next = std::next(at);
    if (!keep) Drop(at);
    at = next;
  }
}

}  // namespace strata::imaged
