// Pusher: what the registry answers to those who push: uploads of blobs, manifests, deletions. An
// image appears when its manifest comes and everything that it names was uploaded by the same user
// into the same repository, or is in an image there that he may use.
//
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "common/http/server.h"
#include "imaged/oci/blob_source.h"
#include "imaged/registry/image_cache.h"
#include "imaged/registry/route.h"
#include "imaged/registry/uploads.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

// The origin, in its lineage, of an image that was pushed as this manifest or index.
std::string PushOrigin(const Sha256Digest& manifest);

class Pusher {
 public:
  // All must outlive this.
  Pusher(Repository* repository, ImageCache* cache, Uploads* uploads)
      : repository_(repository), cache_(cache), uploads_(uploads) {}

  // Of the routes kUploads and kUpload. `may_mount`: whether the caller's token is for pulling from
  // the repository that he names in `from`.
  http::Answer StartUpload(uid_t caller, const Route& route, const http::Request& request,
                           bool may_mount);
  http::Answer ContinueUpload(uid_t caller, const Route& route, const http::Request& request);
  // PUT of a manifest, or of an index: then the manifest in it for this host is taken.
  http::Answer PutManifest(uid_t caller, const Route& route, const http::Request& request);
  http::Response DeleteManifest(uid_t caller, const Route& route, const http::Request& request);

  // GET and HEAD of a blob or a manifest that the caller has uploaded and that is in no image yet;
  // nullopt: there is none.
  std::optional<http::Response> Uploaded(uid_t caller, const Route& route,
                                         const http::Request& request);

 private:
  http::Response TakeManifest(uid_t caller, const Route& route, const http::Request& request,
                              const std::string& media_type, const std::string& bytes);
  // What of the manifest's blobs is nowhere that the caller may use.
  Status CheckBlobs(const UploadPlace& place, const oci::Manifest& manifest,
                    const CancelToken& cancel);
  Status Import(const UploadPlace& place, const std::string& tag, const oci::Descriptor& start,
                const CancelToken& cancel);

  Repository* const repository_;
  ImageCache* const cache_;
  Uploads* const uploads_;
};

// The blobs that a push may name: uploaded ones first, then those of the repository's images.
class PushedBlobs : public oci::BlobSource {
 public:
  PushedBlobs(UploadPlace place, Uploads* uploads, ImageCache* cache)
      : place_(std::move(place)), uploads_(uploads), cache_(cache) {}
  Status Read(const oci::Descriptor& blob, const ByteSink& sink,
              const CancelToken& cancel) override;

 private:
  const UploadPlace place_;
  Uploads* const uploads_;
  ImageCache* const cache_;
};

}  // namespace strata::imaged
