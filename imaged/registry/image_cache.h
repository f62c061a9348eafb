// ImageCache: images in OCI form that are being pulled now, so that what makes one is done once for
// its manifest, its configuration and its layers. Whether a caller may use an image is asked of the
// catalog every time.
//
// Thread-safe. An image is opened once, however many ask for it at the same time; two are opened at
// a time, because each may read all of its files.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/cancel.h"
#include "common/result.h"
#include "common/sha256.h"
#include "imaged/oci/image_exporter.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

using SharedOciImage = std::shared_ptr<const oci::OciImage>;

class ImageCache {
 public:
  using Clock = std::chrono::steady_clock;

  // `repository` must outlive this.
  explicit ImageCache(Repository* repository) : repository_(repository) {}

  // kNotFound: none that the caller may use; otherwise as OciImage::Open.
  Result<SharedOciImage> Open(uid_t caller, const std::string& reference,
                              const CancelToken& cancel);
  // An image of "owner/name" that has this manifest, configuration or layer and that the caller may
  // use. Looks at those that are open, and at those that were converted before. kNotFound.
  Result<SharedOciImage> FindBlob(uid_t caller, const std::string& owner_and_name,
                                  const Sha256Digest& digest, const CancelToken& cancel);

  // Lets go of images that nobody has asked for since `before`: an open one is kept from
  // collections.
  void DropUnused(Clock::time_point before);

 private:
  struct Entry {
    std::mutex mutex;  // Held while it is opened. Guards `image`.
    SharedOciImage image;
    Clock::time_point used;  // Guarded by the cache's mutex.
  };
  Result<SharedOciImage> OpenVersion(uid_t caller, const v1::Image& image,
                                     const CancelToken& cancel);
  SharedOciImage FindOpen(uid_t caller, const std::string& owner_and_name,
                          const Sha256Digest& digest);
  // Whether opening it costs next to nothing.
  bool IsConverted(const v1::Image& image) const;

  Repository* const repository_;
  std::mutex mutex_;  // Guards what follows. May be taken behind an entry's, never before it.
  std::map<std::string, std::shared_ptr<Entry>> entries_;  // By "owner/name@digest".
  std::condition_variable opened_;
  int opening_ = 0;
};

// Of a blob of it; nullptr: it has none of that digest.
const oci::Descriptor* FindDescriptor(const oci::OciImage& image, const Sha256Digest& digest);

}  // namespace strata::imaged
