// An ObjectSource in memory: what it has, what it is asked, and a gate before its answers.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>

#include "common/file_io.h"
#include "layerfs/objects/object_source.h"

namespace strata::layerfs {

class FakeSource final : public ObjectSource {
 public:
  explicit FakeSource(std::string objects_dir) : objects_dir_(std::move(objects_dir)) {}

  Digest Add(const std::string& content) {
    const std::lock_guard lock(mutex_);
    const Digest digest = Hasher::Of(content);
    contents_[digest] = content;
    return digest;
  }
  void Lose(const Digest& digest) {
    const std::lock_guard lock(mutex_);
    contents_.erase(digest);
  }
  // While it is shut, fetches wait.
  void Shut() {
    const std::lock_guard lock(mutex_);
    shut_ = true;
  }
  void Open() {
    {
      const std::lock_guard lock(mutex_);
      shut_ = false;
    }
    changed_.notify_all();
  }
  int fetches() const {
    const std::lock_guard lock(mutex_);
    return fetches_;
  }
  int cancelled() const {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }
  // Returns when `count` fetches have begun.
  void AwaitFetches(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return fetches_ >= count; });
  }
  void AwaitCancelled(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return cancelled_ >= count; });
  }

  Result<uint64_t> SizeOf(const Digest& digest) override {
    const std::lock_guard lock(mutex_);
    const auto found = contents_.find(digest);
    if (found == contents_.end()) return Error(Code::kNotFound, "the fake has no such object");
    return found->second.size();
  }

  Status Provide(const Digest& digest, bool verify, const CancelToken& cancel) override {
    std::unique_lock lock(mutex_);
    const std::string path = objects_dir_ + "/" + digest.ObjectPath();
    // It may have arrived between its reader's look and its question: nothing is fetched then.
    if (!verify && PathExists(path)) return Ok();
    ++fetches_;
    changed_.notify_all();
    // A real source asks its token now and then, too.
    while (shut_ && !cancel.cancelled()) changed_.wait_for(lock, std::chrono::milliseconds(5));
    if (cancel.cancelled()) {
      ++cancelled_;
      changed_.notify_all();
      return Error(Code::kCancelled, "cancelled");
    }
    if (PathExists(path)) {
      const auto content = ReadFile(path);
      if (content.ok() && Hasher::Of(*content) == digest) return Ok();
      ::unlink(path.c_str());
    }
    const auto found = contents_.find(digest);
    if (found == contents_.end()) return Error(Code::kNotFound, "the fake has no such object");
    RETURN_IF_ERROR(MakeDirectories(path.substr(0, path.rfind('/'))));
    return WriteFileAtomically(path, found->second, 0444);
  }

 private:
  const std::string objects_dir_;
  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::map<Digest, std::string> contents_;
  bool shut_ = false;
  int fetches_ = 0;
  int cancelled_ = 0;
};

}  // namespace strata::layerfs
