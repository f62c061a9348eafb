// BackgroundCheck: compares every object and manifest with its digest, at a bounded rate, while the
// store is in use. A pass goes through 256 folders; its place is kept in a file, so that it goes on
// after a restart. A damaged object is moved away and fetched anew (ObjectProvider::Heal); what
// nobody has is reported once, and asked for again at the end of every pass. A damaged manifest
// stays where it is and is reported.
//
// Bytes are read with O_DIRECT: from the disk, though the page cache may have them, and without
// taking the place of what containers read. A file system that cannot do that is read through the
// page cache, where damage shows only in what was not cached.
//
// Thread-safe; one thread calls CheckNextFolder.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/repository/layer_store.h"
#include "imaged/repository/object_provider.h"
#include "imaged/store/object_store.h"
#include "imaged/transfer/rate_limiter.h"

namespace strata::imaged {

class BackgroundCheck {
 public:
  // The place is kept in the file `path`; one that cannot be read begins anew. The stores and the
  // clock must outlive this.
  BackgroundCheck(ObjectStore& objects, LayerStore& layers, ObjectProvider& provider,
                  std::string path);

  // What is read in a second, and how often a pass begins. REQUIRES: above 0; called before the
  // checks begin.
  struct Schedule {
    uint64_t bytes_per_second = 20u << 20;
    int64_t every_ms = 7LL * 24 * 3600 * 1000;
    transfer::Clock* clock = &transfer::Clock::System();
  };
  void SetSchedule(const Schedule& schedule);

  // Whether a pass is under way, or it is time for one.
  bool IsDue(int64_t now_unix_ms) const;
  // Goes on with the pass, or begins one. kCancelled: the folder is checked again next time.
  Status CheckNextFolder(int64_t now_unix_ms, const CancelToken& cancel);
  v1::BackgroundCheck State() const;

 private:
  Status CheckObject(const Digest& digest, const CancelToken& cancel);
  Status CheckManifest(const Digest& layer, const CancelToken& cancel);
  // Whether any layer names the object.
  Result<bool> IsNamed(const Digest& object) const;
  // Asks again for what is missing, and forgets what is there.
  Status RetryUnhealed(const CancelToken& cancel);
  // Remembers what nobody has. False: it was known.
  bool AddUnhealed(const std::string& what);
  // The digest of the file's bytes on disk.
  Result<Digest> ReadDigest(const std::string& path, const CancelToken& cancel);
  Status Save();

  ObjectStore& objects_;
  LayerStore& layers_;
  ObjectProvider& provider_;
  const std::string path_;
  int64_t every_ms_ = Schedule().every_ms;
  uint64_t piece_bytes_ = 0;
  std::unique_ptr<transfer::RateLimiter> limiter_;
  mutable std::mutex mutex_;  // Guards state_.
  v1::BackgroundCheck state_;
};

}  // namespace strata::imaged
