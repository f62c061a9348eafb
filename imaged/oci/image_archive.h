// ImageArchive: the images of an archive: a tar of an OCI image layout (image-spec,
// image-layout.md) or what `docker save` writes, old (a folder per layer), new (OCI's blobs
// besides) and as podman, skopeo and containerd do.
//
// A BlobSource of the image that Find answered. Find is called by one thread, before Read.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/oci/blob_source.h"
#include "imaged/oci/documents.h"
#include "imaged/oci/entry_spool.h"

namespace strata::imaged::oci {

enum class ImageArchiveKind { kAny, kOci, kDocker };

class ImageArchive : public BlobSource {
 public:
  // kAny: OCI's index when there is one. kInvalidArgument: it is no archive of that kind.
  static Result<std::unique_ptr<ImageArchive>> Open(EntrySpool spool, ImageArchiveKind kind);

  // The image called `reference`, for SelectManifest; "": the only one. kInvalidArgument lists the
  // names when it does not say which, kNotFound when there is none of that name.
  Result<Descriptor> Find(const std::string& reference, const CancelToken& cancel);

  Status Read(const Descriptor& blob, const ByteSink& sink, const CancelToken& cancel) override;

 private:
  // One image, or one for several platforms.
  struct Image {
    std::vector<std::string> names;
    std::vector<Descriptor> manifests;  // OCI.
    DockerArchiveImage docker;          // Docker: its files.
  };
  explicit ImageArchive(EntrySpool spool) : spool_(std::move(spool)) {}
  Status ReadIndex();
  Status ReadDockerManifest();
  Result<const Image*> Choose(const std::string& reference) const;
  std::string Names() const;
  // A document that is not in the archive as it is.
  Descriptor AddDocument(const char* media_type, std::string text);
  // Makes a manifest of what Docker's manifest.json names.
  Result<Descriptor> DescribeDocker(const DockerArchiveImage& image, const CancelToken& cancel);
  Result<Descriptor> DescribeDockerLayer(const std::string& path, const Sha256Digest& diff_id,
                                         const CancelToken& cancel);

  EntrySpool spool_;
  bool is_docker_ = false;
  std::vector<Image> images_;
  std::map<Sha256Digest, std::string> documents_;
  std::map<Sha256Digest, EntrySpool::File> docker_layers_;
};

// Whether the first bytes of a stream, compressed as a whole or not, are of such an archive rather
// than of a tar of files: every entry that they hold is called as such archives call theirs, and
// one of them as nothing else does. 64 KiB tell.
bool LooksLikeImageArchive(std::string_view head);

}  // namespace strata::imaged::oci
