// ContentPool: hashes and stages small files on all cores while one thread reads the archive.
// Memory is bounded: Submit waits while kBytesMax are in flight.
//
// Submit and Finish belong to one thread. The destructor waits for what is being staged and drops
// what is still queued.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/result.h"
#include "imaged/manifest/tree.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

class ContentPool {
 public:
  static constexpr size_t kBytesMax = 64u << 20;

  // `ingest` must outlive the pool. threads 0: one per core.
  explicit ContentPool(Ingest& ingest, size_t threads = 0);
  ~ContentPool();
  ContentPool(const ContentPool&) = delete;
  ContentPool& operator=(const ContentPool&) = delete;

  // Stages `content` as that of `inode`. An error is one of an earlier content.
  Status Submit(InodeIndex inode, std::string content);
  // An empty string of that size, reusing memory of contents that were staged.
  std::string TakeBuffer(size_t size);
  // Waits for everything that was submitted; the first error.
  Result<std::vector<std::pair<InodeIndex, Digest>>> Finish();

 private:
  struct Job {
    InodeIndex inode;
    std::string content;
  };
  void Run();
  void Done(Job job, Result<Digest> digest);

  Ingest& ingest_;
  std::mutex mutex_;                  // Guards everything below but threads_.
  std::condition_variable queued_;    // For the workers.
  std::condition_variable finished_;  // For the submitting thread.
  std::deque<Job> queue_;
  std::vector<std::string> buffers_;
  std::vector<std::pair<InodeIndex, Digest>> digests_;
  std::optional<Error> error_;
  size_t bytes_in_flight_ = 0;
  size_t jobs_in_flight_ = 0;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace strata::imaged
