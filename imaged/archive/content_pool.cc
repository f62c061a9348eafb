#include "imaged/archive/content_pool.h"

#include <algorithm>

namespace strata::imaged {
namespace {

// Freed buffers that are kept: growing a string means page faults, which cost as much as hashing.
constexpr size_t kBuffersMax = 64;
constexpr size_t kReusedSizeMin = 32 * 1024;
constexpr size_t kJobsMax = 4096;  // Bounds the queue when files are tiny.

}  // namespace

ContentPool::ContentPool(Ingest& ingest, size_t threads) : ingest_(ingest) {
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

ContentPool::~ContentPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    queue_.clear();
  }
  queued_.notify_all();
}

std::string ContentPool::TakeBuffer(size_t size) {
  std::string buffer;
  if (size >= kReusedSizeMin) {
    std::lock_guard lock(mutex_);
    if (!buffers_.empty()) {
      buffer = std::move(buffers_.back());
      buffers_.pop_back();
    }
  }
  buffer.clear();
  buffer.reserve(size);
  return buffer;
}

Status ContentPool::Submit(InodeIndex inode, std::string content) {
  std::unique_lock lock(mutex_);
  const size_t size = content.capacity();  // A reused buffer may be larger than its content.
  finished_.wait(lock, [&] {
    return error_ || jobs_in_flight_ == 0 ||
           (bytes_in_flight_ + size <= kBytesMax && jobs_in_flight_ < kJobsMax);
  });
  if (error_) return *error_;
  bytes_in_flight_ += size;
  ++jobs_in_flight_;
  queue_.push_back({inode, std::move(content)});
  queued_.notify_one();
  return Ok();
}

Result<std::vector<std::pair<InodeIndex, Digest>>> ContentPool::Finish() {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return error_ || jobs_in_flight_ == 0; });
  if (error_) return *error_;
  return std::move(digests_);
}

void ContentPool::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    queued_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    Result<Digest> digest = ingest_.Add(job.content);
    lock.lock();
    Done(std::move(job), std::move(digest));
  }
}

void ContentPool::Done(Job job, Result<Digest> digest) {
  bytes_in_flight_ -= job.content.capacity();
  --jobs_in_flight_;
  if (digest.ok()) {
    digests_.emplace_back(job.inode, *digest);
  } else if (!error_) {
    error_ = digest.error();
    queue_.clear();
  }
  if (buffers_.size() < kBuffersMax && job.content.capacity() >= kReusedSizeMin) {
    buffers_.push_back(std::move(job.content));
  }
  finished_.notify_one();
}

}  // namespace strata::imaged
