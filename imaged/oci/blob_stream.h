// BlobStream: a blob as a stream to pull from, while a thread of its own has the source push.
// Counts and hashes what comes. At most kBytesInFlight wait in between.
//
// Used by one thread. The destructor ends the source's call and waits for it.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/oci/blob_source.h"

namespace strata::imaged::oci {

class BlobStream {
 public:
  static constexpr size_t kBytesInFlight = 8u << 20;

  // `source` must outlive this. `cancel` is the caller's.
  BlobStream(BlobSource& source, const Descriptor& blob, const CancelToken& cancel);
  ~BlobStream();
  BlobStream(const BlobStream&) = delete;
  BlobStream& operator=(const BlobStream&) = delete;

  // The next bytes, valid until the next call; empty at the end, and then the whole blob was as its
  // descriptor says. kCorrupt: it is longer, shorter or another.
  Result<std::string_view> Next();
  uint64_t bytes() const { return bytes_; }

 private:
  void Produce();
  Status Take(std::string_view data);
  Result<std::string> Pop();

  BlobSource& source_;
  const Descriptor blob_;
  const CancelToken& caller_cancel_;
  CancelToken cancel_;  // For the source: the reader gave up.

  std::mutex mutex_;  // Guards the next five.
  std::condition_variable changed_;
  std::deque<std::string> pieces_;
  size_t waiting_bytes_ = 0;
  bool done_ = false;
  bool abandoned_ = false;
  std::optional<Error> error_;

  // The reader's.
  std::string current_;
  uint64_t bytes_ = 0;
  Sha256Hasher hasher_;
  std::optional<Result<std::string_view>> end_;
  std::thread thread_;  // Last: it uses the others.
};

}  // namespace strata::imaged::oci
