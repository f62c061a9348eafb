// BlockCompressor: compresses a stream in blocks of a fixed size, each by itself (a gzip member, a
// zstd frame; RFC 1952 and RFC 8878 let them follow each other), on all cores. The bytes depend on
// the content and the library alone, not on the number of threads.
//
// Memory: about two blocks per thread. Used by one thread; the destructor drops what is unfinished.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/result.h"
#include "imaged/archive/pax_writer.h"
#include "imaged/oci/layer_encoder.h"

namespace strata::imaged::oci {

// One block as a whole stream of its own.
Result<std::string> CompressBlock(Compression compression, std::string_view block);

class BlockCompressor {
 public:
  static constexpr size_t kBlockBytes = 1u << 20;

  // `sink` is called from Write and Finish. threads 0: one per core. kNone passes through.
  BlockCompressor(Compression compression, ByteSink sink, size_t threads = 0);
  ~BlockCompressor();
  BlockCompressor(const BlockCompressor&) = delete;
  BlockCompressor& operator=(const BlockCompressor&) = delete;

  Status Write(std::string_view data);
  Status Finish();

 private:
  struct Job {
    std::string block;
    Result<std::string> compressed = std::string();
    bool done = false;  // Guarded by mutex_.
  };
  void Run();
  void Submit();
  // Gives the oldest block to the sink, when there are more than `in_flight_max`.
  Status Drain(size_t in_flight_max);

  const Compression compression_;
  const ByteSink sink_;
  std::string block_;
  std::deque<std::shared_ptr<Job>> in_flight_;  // In order; the submitting thread's.
  size_t in_flight_max_;

  std::mutex mutex_;                  // Guards queue_, stopping_ and Job::done.
  std::condition_variable queued_;    // For the workers.
  std::condition_variable finished_;  // For the submitting thread.
  std::deque<std::shared_ptr<Job>> queue_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace strata::imaged::oci
