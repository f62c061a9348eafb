// BlobCache: layers as the registry gives them out. Making one costs much more than reading it
// (docs/registry.md has figures), and a class of students wants the same one at the same time. So
// each is made once, as fast as the machine can, into a file that all its readers follow.
//
//   <directory>/<layer's hex digits>-<sha256>        one blob
//   <directory>/<layer's hex digits>-<sha256>.N.part  that is being made, by this process
//
// The least recently used ones go when all take more than `bytes_max`, and those of layers that the
// store has no more. Derived: all of it may be deleted while imaged is stopped. It knows nothing of
// rights.
//
// Thread-safe. A finished file is durable before it has its name.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "common/cancel.h"
#include "common/digest.h"
#include "common/http/server.h"
#include "common/result.h"
#include "common/sha256.h"

namespace strata::imaged {

constexpr uint64_t kBlobCacheBytesDefault = 4ull << 30;
constexpr size_t kBlobsMadeAtOnceMax = 4;

class BlobCache {
 public:
  // `directory` is made; what was being made when a process died is removed. 0: nothing is cached.
  static Result<std::unique_ptr<BlobCache>> Open(const std::string& directory, uint64_t bytes_max);
  // REQUIRES: all bodies are gone.
  ~BlobCache();

  struct Key {
    Digest layer;
    Sha256Digest blob;
  };
  using Sink = std::function<Status(std::string_view)>;
  using Maker = std::function<Status(const Sink& sink, const CancelToken& cancel)>;
  // Bytes [first, first + size) of the blob, which has `total`. `make` writes all of it, on a
  // thread of the cache. nullptr: it cannot be cached (too large, too many are being made, no
  // room): make it for this reader alone.
  std::unique_ptr<http::BodySource> Read(const Key& key, uint64_t total, uint64_t first,
                                         uint64_t size, Maker make);

  // Removes the blobs of layers that `is_live` does not know.
  void Sweep(const std::function<bool(const Digest& layer)>& is_live);

 private:
  class Blob;
  class Body;
  BlobCache(std::string directory, uint64_t bytes_max)
      : directory_(std::move(directory)), bytes_max_(bytes_max) {}
  Status Load();
  // nullptr: it cannot be cached.
  std::shared_ptr<Blob> Make(const std::string& name, uint64_t total, Maker make);
  // REQUIRES: it has no readers.
  void Drop(std::map<std::string, std::shared_ptr<Blob>>::iterator at);
  // Makes room for `size_bytes` more; false when that is not to be had.
  bool MakeRoom(uint64_t size_bytes);

  const std::string directory_;
  const uint64_t bytes_max_;
  std::mutex mutex_;                                    // Guards the rest.
  std::map<std::string, std::shared_ptr<Blob>> blobs_;  // By file name.
  uint64_t uses_ = 0;                                   // Counts up: the order of uses.
};

}  // namespace strata::imaged
