// Reader: what the registry answers to those who pull: manifests, blobs, tags, repositories. A
// private image of others, one that was deleted and one that never was are answered alike.
//
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/http/server.h"
#include "imaged/registry/blob_cache.h"
#include "imaged/registry/image_cache.h"
#include "imaged/registry/pull_log.h"
#include "imaged/registry/route.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

// Part of a body, as a Range field names it.
struct ByteRange {
  uint64_t first = 0;
  uint64_t size = 0;
};
// "bytes=5-", "bytes=5-9" of a body of `total` bytes. nullopt for what is taken as if it were not
// there (RFC 9110, 14.2); a size of 0: it cannot be had.
std::optional<ByteRange> ParseRange(std::string_view text, uint64_t total);

class Reader {
 public:
  // All must outlive this.
  Reader(Repository* repository, ImageCache* cache, BlobCache* blobs, PullLog* pulls)
      : repository_(repository), cache_(cache), blobs_(blobs), pulls_(pulls) {}

  // GET and HEAD. The route's repository is called as its owner is on this host. What is sent is a
  // pull (pull_log.h).
  http::Response Manifest(const Bearer& bearer, const Route& route, const http::Request& request);
  http::Response Blob(const Bearer& bearer, const Route& route, const http::Request& request);
  http::Response Tags(uid_t caller, const Route& route, const http::Request& request);
  // Artifacts are not kept, so nothing refers to anything, whoever asks about whatever.
  http::Response Referrers(const Route& route, const http::Request& request);
  http::Response Catalog(uid_t caller, const http::Request& request);

 private:
  http::Response NoManifest(uid_t caller, const Route& route, const Error& error);
  std::unique_ptr<http::BodySource> BodyOf(const SharedOciImage& image, const Sha256Digest& digest,
                                           const ByteRange& part);
  Repository* const repository_;
  ImageCache* const cache_;
  BlobCache* const blobs_;
  PullLog* const pulls_;
};

}  // namespace strata::imaged
