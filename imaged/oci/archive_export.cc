#include "imaged/oci/archive_export.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

namespace strata::imaged::oci {
namespace {

// "name:tag" as Docker spells names: lower case; empty when it cannot.
std::string DockerName(const v1::Image& image) {
  const bool spelt = std::none_of(image.name().begin(), image.name().end(),
                                  [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!spelt || image.tag().empty()) return "";
  return image.name() + ":" + image.tag();
}

class ArchiveWriter {
 public:
  ArchiveWriter(const OciImage& image, const ByteSink& sink, const CancelToken& cancel)
      : image_(image), writer_(sink), cancel_(cancel) {}

  Status AddDirectory(const std::string& path) { return Begin(path, S_IFDIR | 0755, 0, true); }

  Status AddText(const std::string& path, const std::string& text) {
    RETURN_IF_ERROR(Begin(path, S_IFREG | 0644, text.size(), false));
    RETURN_IF_ERROR(writer_.Write(text));
    return writer_.End();
  }

  // Once, however often the image has it.
  Status AddBlob(const std::string& path, const Descriptor& blob) {
    if (!added_.insert(path).second) return Ok();
    RETURN_IF_ERROR(Begin(path, S_IFREG | 0644, blob.size, false));
    const ByteSink write = [&](std::string_view data) { return writer_.Write(data); };
    RETURN_IF_ERROR(image_.WriteBlob(blob.digest, write, cancel_));
    return writer_.End();
  }

  Status Finish() { return writer_.Finish(); }

 private:
  Status Begin(const std::string& path, uint32_t mode, uint64_t size, bool end) {
    PaxEntry entry;
    entry.path = path;
    entry.mode = mode;
    entry.size = size;
    RETURN_IF_ERROR(writer_.Begin(entry));
    return end ? writer_.End() : Ok();
  }

  const OciImage& image_;
  PaxWriter writer_;
  const CancelToken& cancel_;
  std::set<std::string> added_;
};

Compression CompressionOf(const v1::ExportRequest& request) {
  if (request.format() == v1::ARCHIVE_DOCKER) return Compression::kNone;
  switch (request.compression()) {
    case v1::LAYER_ZSTD:
      return Compression::kZstd;
    case v1::LAYER_PLAIN:
      return Compression::kNone;
    default:
      return Compression::kGzip;
  }
}

}  // namespace

Status WriteOciArchive(const OciImage& image, const ByteSink& sink, const CancelToken& cancel) {
  Index index;
  index.media_type = kOciIndexType;
  Descriptor manifest = image.manifest();
  if (const std::string name = DockerName(image.image()); !name.empty()) {
    manifest.annotations[kRefNameAnnotation] = name;
  }
  index.manifests.push_back(std::move(manifest));
  ArchiveWriter writer(image, sink, cancel);
  // What says what it is comes first, so that a reader of a stream knows.
  RETURN_IF_ERROR(writer.AddText("oci-layout", PrintLayoutMark()));
  RETURN_IF_ERROR(writer.AddText("index.json", PrintIndex(index)));
  RETURN_IF_ERROR(writer.AddDirectory("blobs"));
  RETURN_IF_ERROR(writer.AddDirectory("blobs/sha256"));
  const auto add = [&](const Descriptor& blob) {
    return writer.AddBlob("blobs/sha256/" + blob.digest.Hex(), blob);
  };
  RETURN_IF_ERROR(add(image.manifest()));
  RETURN_IF_ERROR(add(image.config()));
  for (const Descriptor& layer : image.layers()) RETURN_IF_ERROR(add(layer));
  return writer.Finish();
}

Status WriteDockerArchive(const OciImage& image, const ByteSink& sink, const CancelToken& cancel) {
  DockerArchiveImage described;
  described.config_path = image.config().digest.Hex() + ".json";
  if (const std::string name = DockerName(image.image()); !name.empty()) {
    described.repo_tags.push_back(name);
  }
  ArchiveWriter writer(image, sink, cancel);
  RETURN_IF_ERROR(writer.AddBlob(described.config_path, image.config()));
  for (const Descriptor& layer : image.layers()) {
    described.layer_paths.push_back(layer.digest.Hex() + ".tar");
    RETURN_IF_ERROR(writer.AddBlob(described.layer_paths.back(), layer));
  }
  RETURN_IF_ERROR(writer.AddText("manifest.json", PrintDockerArchive({described})));
  return writer.Finish();
}

Status ExportArchive(Repository& repository, uid_t caller, const v1::ExportRequest& request,
                     const ByteSink& sink, const CancelToken& cancel,
                     const ProgressSink& progress) {
  const bool is_oci = request.format() == v1::ARCHIVE_OCI;
  if (!is_oci && request.compression() != v1::LAYER_COMPRESSION_UNSPECIFIED) {
    return Error(Code::kInvalidArgument, "--compression is for --format oci: the others are plain");
  }
  if (!is_oci && request.format() != v1::ARCHIVE_DOCKER) {
    return repository.Export(caller, request.reference(), sink, cancel,
                             {request.paths().begin(), request.paths().end()});
  }
  if (!request.paths().empty()) {
    return Error(Code::kInvalidArgument, "single paths are exported as plain tar alone");
  }
  ASSIGN_OR_RETURN(const auto image, OciImage::Open(repository, caller, request.reference(),
                                                    CompressionOf(request), cancel, progress));
  return is_oci ? WriteOciArchive(*image, sink, cancel) : WriteDockerArchive(*image, sink, cancel);
}

}  // namespace strata::imaged::oci
