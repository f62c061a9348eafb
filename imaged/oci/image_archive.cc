#include "imaged/oci/image_archive.h"

#include <archive_entry.h>

#include <algorithm>
#include <set>

#include "common/printable.h"
#include "imaged/archive/archive_tree.h"
#include "imaged/archive/tar_reader.h"
#include "imaged/oci/layer_stream.h"

namespace strata::imaged::oci {
namespace {

constexpr char kLayoutPath[] = "oci-layout";
constexpr char kIndexPath[] = "index.json";
constexpr char kDockerPath[] = "manifest.json";
constexpr char kContainerdName[] = "io.containerd.image.name";
constexpr size_t kNamesShown = 20;
constexpr size_t kHeadEntriesMax = 64;

std::string BlobPath(const Sha256Digest& digest) { return "blobs/sha256/" + digest.Hex(); }

// "web:1" is also the name of "localhost/web:1"; a missing tag is "latest".
bool IsNamed(const std::string& name, const std::string& reference) {
  const auto matches = [&name](const std::string& wanted) {
    return name == wanted || name.ends_with("/" + wanted);
  };
  return matches(reference) ||
         (reference.find_first_of(":@") == std::string::npos && matches(reference + ":latest"));
}

bool IsHex64(std::string_view text) { return Sha256Digest::FromHex(text).ok(); }

enum class NameKind { kForeign, kPossible, kTelling };

// What a file or folder of an archive tells by its name.
NameKind KindOf(const std::vector<std::string_view>& path) {
  if (path.empty()) return NameKind::kPossible;
  const std::string_view first = path[0];
  if (first == "blobs") {
    if (path.size() == 1) return NameKind::kPossible;
    const bool good =
        path[1] == "sha256" && (path.size() == 2 || (path.size() == 3 && IsHex64(path[2])));
    return good ? NameKind::kTelling : NameKind::kForeign;
  }
  if (path.size() == 1 && first == kLayoutPath) return NameKind::kTelling;
  if (path.size() == 1 &&
      (first == kIndexPath || first == kDockerPath || first == "repositories")) {
    return NameKind::kPossible;
  }
  const bool with_suffix =
      path.size() == 1 && (first.ends_with(".json") || first.ends_with(".tar"));
  return IsHex64(with_suffix ? first.substr(0, first.rfind('.')) : first) ? NameKind::kTelling
                                                                          : NameKind::kForeign;
}

}  // namespace

bool LooksLikeImageArchive(std::string_view head) {
  ByteSource bytes = [head, given = false]() mutable -> Result<std::string_view> {
    if (std::exchange(given, true)) return std::string_view();
    return head;
  };
  // TarReader would rather fail than give a part of a compressed stream.
  std::unique_ptr<GzipSource> gzip;
  std::unique_ptr<ZstdSource> zstd;
  if (FormOf(head) == BlobForm::kGzip) {
    gzip = std::make_unique<GzipSource>(std::move(bytes));
    bytes = [&gzip] { return gzip->Next(); };
  } else if (FormOf(head) == BlobForm::kZstd) {
    zstd = std::make_unique<ZstdSource>(std::move(bytes));
    bytes = [&zstd] { return zstd->Next(); };
  }
  TarReader reader(std::move(bytes));
  bool telling = false;
  for (size_t i = 0; i < kHeadEntriesMax; ++i) {
    const auto entry = reader.Next();
    if (!entry.ok() || *entry == nullptr) break;  // Where the head is cut off.
    const auto path = SplitArchivePath(::archive_entry_pathname(*entry));
    const NameKind kind = path.ok() ? KindOf(*path) : NameKind::kForeign;
    if (kind == NameKind::kForeign) return false;
    telling = telling || kind == NameKind::kTelling;
  }
  return telling;
}

Result<std::unique_ptr<ImageArchive>> ImageArchive::Open(EntrySpool spool, ImageArchiveKind kind) {
  std::unique_ptr<ImageArchive> archive(new ImageArchive(std::move(spool)));
  const bool has_oci = archive->spool_.Find(kLayoutPath) && archive->spool_.Find(kIndexPath);
  const bool has_docker = archive->spool_.Find(kDockerPath).has_value();
  if (has_oci && kind != ImageArchiveKind::kDocker) {
    RETURN_IF_ERROR(archive->ReadIndex());
  } else if (has_docker && kind != ImageArchiveKind::kOci) {
    archive->is_docker_ = true;
    RETURN_IF_ERROR(archive->ReadDockerManifest(), kDockerPath);
  } else if (kind == ImageArchiveKind::kDocker) {
    return Error(Code::kInvalidArgument,
                 "this is no archive of docker save: it has no manifest.json");
  } else {
    return Error(Code::kInvalidArgument,
                 "this is no OCI archive: it has no oci-layout and index.json; --format tar takes "
                 "it for the files of one tree");
  }
  if (archive->images_.empty()) return Error(Code::kInvalidArgument, "the archive has no image");
  return archive;
}

Status ImageArchive::ReadIndex() {
  ASSIGN_OR_RETURN(const std::string mark, spool_.Document(kLayoutPath));
  RETURN_IF_ERROR(ParseLayoutMark(mark), kLayoutPath);
  ASSIGN_OR_RETURN(const std::string text, spool_.Document(kIndexPath));
  ASSIGN_OR_RETURN(Index index, ParseIndex(text), kIndexPath);
  // Entries without a name are one image for several platforms.
  std::map<std::string, size_t> by_name;
  for (Descriptor& manifest : index.manifests) {
    std::vector<std::string> names;
    for (const char* key : {kContainerdName, kRefNameAnnotation}) {
      const auto it = manifest.annotations.find(key);
      if (it != manifest.annotations.end()) names.push_back(it->second);
    }
    const auto [it, is_new] = by_name.emplace(names.empty() ? "" : names[0], images_.size());
    if (is_new) images_.push_back({std::move(names), {}, {}});
    images_[it->second].manifests.push_back(std::move(manifest));
  }
  return Ok();
}

Status ImageArchive::ReadDockerManifest() {
  ASSIGN_OR_RETURN(const std::string text, spool_.Document(kDockerPath));
  ASSIGN_OR_RETURN(const auto images, ParseDockerArchive(text));
  for (const DockerArchiveImage& image : images) images_.push_back({image.repo_tags, {}, image});
  return Ok();
}

std::string ImageArchive::Names() const {
  std::set<std::string> names;
  size_t unnamed = 0;
  for (const Image& image : images_) {
    if (image.names.empty()) ++unnamed;
    for (const std::string& name : image.names) names.insert(Printable(name, 200));
  }
  std::string list;
  size_t shown = 0;
  for (const std::string& name : names) {
    if (++shown > kNamesShown) return list + ", …";
    list += (list.empty() ? "" : ", ") + name;
  }
  if (unnamed > 0) list += (list.empty() ? "" : ", ") + std::to_string(unnamed) + " without a name";
  return list;
}

Result<const ImageArchive::Image*> ImageArchive::Choose(const std::string& reference) const {
  if (reference.empty()) {
    if (images_.size() == 1) return &images_[0];
    return Error(Code::kInvalidArgument,
                 "the archive has several images, say which with --ref: " + Names());
  }
  const Image* found = nullptr;
  for (const Image& image : images_) {
    const bool exact =
        std::find(image.names.begin(), image.names.end(), reference) != image.names.end();
    const bool named = std::any_of(image.names.begin(), image.names.end(),
                                   [&](const auto& name) { return IsNamed(name, reference); });
    if (exact) return &image;
    if (!named) continue;
    if (found != nullptr) {
      return Error(Code::kInvalidArgument, "several images of the archive are called '" +
                                               Printable(reference) + "': " + Names());
    }
    found = &image;
  }
  if (found != nullptr) return found;
  return Error(Code::kNotFound,
               "the archive has no image '" + Printable(reference) + "'; there are: " + Names());
}

Result<Descriptor> ImageArchive::Find(const std::string& reference, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const Image* image, Choose(reference));
  if (is_docker_) return DescribeDocker(image->docker, cancel);
  if (image->manifests.size() == 1) return image->manifests[0];
  Index index;
  index.media_type = kOciIndexType;
  index.manifests = image->manifests;
  return AddDocument(kOciIndexType, PrintIndex(index));
}

Descriptor ImageArchive::AddDocument(const char* media_type, std::string text) {
  Descriptor descriptor;
  descriptor.media_type = media_type;
  descriptor.digest = Sha256Hasher::Of(text);
  descriptor.size = text.size();
  documents_.emplace(descriptor.digest, std::move(text));
  return descriptor;
}

Result<Descriptor> ImageArchive::DescribeDocker(const DockerArchiveImage& image,
                                                const CancelToken& cancel) {
  ASSIGN_OR_RETURN(std::string text, spool_.Document(image.config_path));
  ASSIGN_OR_RETURN(const ImageConfig config, ParseImageConfig(text), Printable(image.config_path));
  if (config.diff_ids.size() != image.layer_paths.size()) {
    return Error(Code::kCorrupt, "manifest.json names " + std::to_string(image.layer_paths.size()) +
                                     " layers, the configuration " +
                                     std::to_string(config.diff_ids.size()));
  }
  Manifest manifest;
  manifest.media_type = kOciManifestType;
  manifest.config = AddDocument(kDockerConfigType, std::move(text));
  for (size_t i = 0; i < image.layer_paths.size(); ++i) {
    ASSIGN_OR_RETURN(manifest.layers.emplace_back(),
                     DescribeDockerLayer(image.layer_paths[i], config.diff_ids[i], cancel));
  }
  return AddDocument(kOciManifestType, PrintManifest(manifest));
}

Result<Descriptor> ImageArchive::DescribeDockerLayer(const std::string& path,
                                                     const Sha256Digest& diff_id,
                                                     const CancelToken& cancel) {
  Descriptor layer;
  layer.media_type = kOciLayerType;
  layer.digest = diff_id;
  const auto components = SplitArchivePath(path);
  if (!components.ok()) return components.error().Wrap(Printable(path));
  const auto file = spool_.Find(path);
  if (!file) return Error(Code::kNotFound, "the archive has no file " + Printable(path));
  layer.size = file->size;
  // Plain as a rule, and then its digest is the diff_id; of a compressed one nobody tells it.
  ASSIGN_OR_RETURN(const std::string head, spool_.Head(*file, 4));
  if (FormOf(head) != BlobForm::kPlain) {
    Sha256Hasher hasher;
    RETURN_IF_ERROR(spool_.Give(
        *file,
        [&](std::string_view data) {
          hasher.Update(data);
          return Ok();
        },
        cancel));
    layer.digest = hasher.Finish();
  }
  docker_layers_[layer.digest] = *file;
  return layer;
}

Status ImageArchive::Read(const Descriptor& blob, const ByteSink& sink, const CancelToken& cancel) {
  if (const auto it = documents_.find(blob.digest); it != documents_.end()) return sink(it->second);
  if (const auto it = docker_layers_.find(blob.digest); it != docker_layers_.end()) {
    return spool_.Give(it->second, sink, cancel);
  }
  const auto file = spool_.Find(BlobPath(blob.digest));
  if (!file) return Error(Code::kNotFound, "the archive has no file " + BlobPath(blob.digest));
  return spool_.Give(*file, sink, cancel);
}

}  // namespace strata::imaged::oci
