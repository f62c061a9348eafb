#include "imaged/transfer/arrivals.h"

#include <fcntl.h>

#include <utility>

#include "common/file_io.h"

namespace strata::imaged::transfer {

void Arrivals::Advance() {
  ++advances_;
  changed_.notify_all();
}

void Arrivals::Staged(const Digest& digest, const std::shared_ptr<const Ingest>& ingest) {
  std::shared_ptr<const Ingest> before;  // May be the last to go, with its folder.
  const std::lock_guard lock(mutex_);
  if (staging_ != ingest) before = std::exchange(staging_, ingest);
  if (const auto found = growing_.find(digest); found != growing_.end()) {
    found->second.object->Verified(found->second.object->size_bytes());
    growing_.erase(found);
  }
  Advance();
}

std::shared_ptr<GrowingObject> Arrivals::Begin(const Digest& digest, const std::string& path,
                                               uint64_t size_bytes,
                                               std::vector<GroupValue> values) {
  const std::lock_guard lock(mutex_);
  Growing& growing = growing_[digest];
  growing.path = path;
  if (growing.object == nullptr) {
    growing.object = std::make_shared<GrowingObject>(size_bytes, std::move(values));
  }
  Advance();
  return growing.object;
}

void Arrivals::Drop(const Digest& digest) {
  const std::lock_guard lock(mutex_);
  const auto found = growing_.find(digest);
  if (found == growing_.end()) return;
  found->second.object->End();
  growing_.erase(found);
}

void Arrivals::End() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  for (const auto& [digest, growing] : growing_) growing.object->End();
  Advance();
}

Result<SourceObject> Arrivals::Look(const Digest& digest, uint64_t* advances, bool* ended) const {
  std::shared_ptr<const Ingest> staging;
  Growing growing;
  {
    const std::lock_guard lock(mutex_);
    *advances = advances_;
    *ended = ended_;
    staging = staging_;
    if (const auto found = growing_.find(digest); found != growing_.end()) growing = found->second;
  }
  if (auto fd = store_.OpenObject(digest); fd.ok()) return SourceObject(std::move(*fd));
  if (growing.object != nullptr) {
    if (auto fd = Open(growing.path, O_RDONLY | O_NOFOLLOW); fd.ok()) {
      return SourceObject(std::move(*fd), growing.object);
    }
  }
  if (staging != nullptr) {
    if (auto fd = staging->OpenContent(digest); fd.ok()) return SourceObject(std::move(*fd));
  }
  return Error(Code::kNotFound, "object " + digest.ToString() + " is not here");
}

Result<SourceObject> Arrivals::WaitFor(const Digest& digest, std::chrono::milliseconds stall_max) {
  while (true) {
    uint64_t seen;
    bool ended;
    if (auto object = Look(digest, &seen, &ended); object.ok() || ended) return object;
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, stall_max, [&] { return ended_ || advances_ != seen; })) {
      return Error(Code::kUnavailable, "the image does not come on here");
    }
  }
}

bool Arrivals::IsHere(const Digest& digest) const {
  uint64_t seen;
  bool ended;
  return Look(digest, &seen, &ended).ok() || ended;
}

}  // namespace strata::imaged::transfer
