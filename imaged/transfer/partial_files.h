// Large objects that have arrived in part, kept over breaks and restarts:
//
//   <store>/partial/<hex>          the first bytes of the object of that digest
//   <store>/partial/<hex>.<n>      the same, of a second transfer at the same time; never resumed
//
// Nothing in them is trusted: the object's digest is compared when it is whole, whoever sent which
// part. Nothing is synced either; what a power cut spoils is found in the same way and comes again.
// A file is locked (flock) by the transfer that writes it. Files that are too old, or too much
// together, are removed, the oldest first, when the folder is opened and when a new one is made.
//
// PartialFiles is thread-safe; a PartialFile is used by one thread at a time. The store's lock
// keeps other processes away.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "common/digest.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::imaged::transfer {

// Smaller objects are kept in memory while they come, and come again after a break.
inline constexpr uint64_t kPartialBytesMin = 4u << 20;

struct PartialLimits {
  uint64_t bytes_max = 8ull << 30;
  std::chrono::seconds age_max = std::chrono::hours(7 * 24);
};

class PartialFile {
 public:
  PartialFile(std::string path, UniqueFd fd, uint64_t size)
      : path_(std::move(path)), fd_(std::move(fd)), size_(size) {}

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  // At the end. Zeros alone become a hole. kResourceExhausted: the disk is full.
  Status Append(std::string_view bytes);
  // Takes the file away: it is no good. Ok when it is gone already.
  Status Remove();

 private:
  const std::string path_;
  UniqueFd fd_;  // Holds the flock.
  uint64_t size_;
};

class PartialFiles {
 public:
  // Makes the folder below the root of an open store, and removes what is too old or too much.
  static Result<std::unique_ptr<PartialFiles>> Open(const std::string& store_root,
                                                    const PartialLimits& limits = {});

  // What there is of the object, cut to a whole number of groups (common/digest_tree.h); null when
  // there is nothing, or when another transfer writes it.
  Result<std::unique_ptr<PartialFile>> Resume(const Digest& digest, uint64_t object_bytes);
  // An empty one; others make room for it. One object may be larger than all may be together, but
  // then it is not kept.
  Result<std::unique_ptr<PartialFile>> Create(const Digest& digest, uint64_t object_bytes);

 private:
  PartialFiles(std::string directory, const PartialLimits& limits)
      : directory_(std::move(directory)), limits_(limits) {}
  // Makes room for `bytes` more.
  Status Prune(uint64_t bytes);

  const std::string directory_;
  const PartialLimits limits_;
  std::mutex mutex_;  // One at a time prunes and makes files; guards next_.
  uint64_t next_ = 0;
};

}  // namespace strata::imaged::transfer
