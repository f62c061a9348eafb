#include "imaged/oci/image_exporter.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "imaged/oci/stored_config.h"
#include "imaged/repository/scratch_file.h"

namespace strata::imaged::oci {
namespace {

constexpr size_t kReadBytes = 256 * 1024;

// Passes bytes on, but keeps the last of them back until Release().
class HeldBack {
 public:
  explicit HeldBack(const ByteSink& sink) : sink_(sink) {}
  Status Take(std::string_view data) {
    if (data.empty()) return Ok();
    RETURN_IF_ERROR(Release());
    last_ = data;
    return Ok();
  }
  Status Release() {
    const std::string last = std::exchange(last_, {});
    return last.empty() ? Ok() : sink_(last);
  }

 private:
  const ByteSink& sink_;
  std::string last_;
};

}  // namespace

// A layer's blob that was made when the image was opened.
struct OciImage::Spool {
  explicit Spool(ScratchFile made) : file(std::move(made)) {}
  ScratchFile file;
};

OciImage::OciImage(Repository& repository, Liveness::HeldImage held, Compression compression)
    : repository_(repository), held_(std::move(held)), compression_(compression) {}
OciImage::~OciImage() = default;

Result<std::unique_ptr<OciImage>> OciImage::Open(Repository& repository, uid_t caller,
                                                 const std::string& reference,
                                                 Compression compression, const CancelToken& cancel,
                                                 const ProgressSink& progress) {
  ASSIGN_OR_RETURN(Liveness::HeldImage held, repository.HoldImage(caller, reference));
  std::unique_ptr<OciImage> image(new OciImage(repository, std::move(held), compression));
  v1::Progress state;
  state.set_stage("encode");
  for (const v1::Layer& layer : image->image().layers()) {
    state.set_bytes_total(state.bytes_total() + layer.content_bytes());
  }
  const LayerStack& stack = image->held_.hold.stack();
  uint64_t done = 0;
  for (size_t i = 0; i < stack.size(); ++i) {
    const uint64_t size = image->image().layers(static_cast<int>(i)).content_bytes();
    RETURN_IF_ERROR(image->AddLayer(stack[i], cancel, [&](uint64_t bytes) {
      state.set_bytes(done + std::min(bytes, size));  // Headers make the archive larger.
      if (progress) progress(state);
    }));
    done += size;
  }
  image->Describe();
  return image;
}

Status OciImage::AddLayer(const Digest& layer, const CancelToken& cancel,
                          const ByteProgress& progress) {
  const std::string form = EncodingName(compression_);
  LayerConversions& conversions = repository_.layers().conversions();
  auto encoding = conversions.FindEncoding(layer, form);
  if (!encoding) {
    // Plain archives are made faster than a copy is written and read.
    const bool keep = compression_ != Compression::kNone;
    const ByteSink drop = [](std::string_view) { return Ok(); };
    ASSIGN_OR_RETURN(const EncodedLayer made, keep ? EncodeToSpool(layer, cancel, progress)
                                                   : Encode(layer, drop, cancel, progress));
    encoding = {made.diff_id, made.digest, made.size};
    RETURN_IF_ERROR(conversions.RecordEncoding(layer, form, *encoding));
  }
  Descriptor descriptor;
  descriptor.media_type = LayerTypeOf(compression_);
  descriptor.digest = encoding->digest;
  descriptor.size = encoding->size;
  layers_.push_back(std::move(descriptor));
  diff_ids_.push_back(encoding->diff_id);
  return Ok();
}

Result<EncodedLayer> OciImage::Encode(const Digest& layer, const ByteSink& sink,
                                      const CancelToken& cancel,
                                      const ByteProgress& progress) const {
  const std::string name = "layer " + layer.ToString();
  ASSIGN_OR_RETURN(const auto reader, repository_.layers().OpenManifest(layer));
  ASSIGN_OR_RETURN(const Tree tree, reader->LoadTree(), name);
  auto encoded = EncodeLayer(tree, repository_.objects(), compression_, sink, cancel, progress);
  if (!encoded.ok()) return encoded.error().Wrap(name);
  return encoded;
}

Result<EncodedLayer> OciImage::EncodeToSpool(const Digest& layer, const CancelToken& cancel,
                                             const ByteProgress& progress) {
  if (staging_ == nullptr) {
    ASSIGN_OR_RETURN(staging_, repository_.objects().StartIngest());
  }
  ASSIGN_OR_RETURN(ScratchFile file, ScratchFile::Create(staging_->StagingPath(layer.Hex())));
  const ByteSink write = [&](std::string_view data) { return WriteAll(file.fd(), data); };
  ASSIGN_OR_RETURN(const EncodedLayer made, Encode(layer, write, cancel, progress));
  spools_.emplace(made.digest, std::make_unique<Spool>(std::move(file)));
  return made;
}

void OciImage::Describe() {
  config_bytes_ = PrintImageConfig(ConfigOf(image(), diff_ids_));
  config_.media_type = kOciConfigType;
  config_.digest = Sha256Hasher::Of(config_bytes_);
  config_.size = config_bytes_.size();
  Manifest manifest;
  manifest.media_type = kOciManifestType;
  manifest.config = config_;
  manifest.layers = layers_;
  manifest_bytes_ = PrintManifest(manifest);
  manifest_.media_type = kOciManifestType;
  manifest_.digest = Sha256Hasher::Of(manifest_bytes_);
  manifest_.size = manifest_bytes_.size();
}

Status OciImage::WriteBlob(const Sha256Digest& digest, const ByteSink& sink,
                           const CancelToken& cancel) const {
  if (digest == manifest_.digest) return sink(manifest_bytes_);
  if (digest == config_.digest) return sink(config_bytes_);
  const auto it = std::find_if(layers_.begin(), layers_.end(),
                               [&](const Descriptor& each) { return each.digest == digest; });
  if (it == layers_.end()) {
    return Error(Code::kNotFound, "the image has no blob " + digest.ToString());
  }
  const Digest& layer = held_.hold.stack()[static_cast<size_t>(it - layers_.begin())];
  HeldBack held_back(sink);
  uint64_t given = 0;
  bool too_long = false;
  const ByteSink take = [&](std::string_view data) -> Status {
    given += data.size();
    too_long = given > it->size;
    if (too_long) return Error(Code::kCorrupt, "longer than recorded");
    return held_back.Take(data);
  };
  const Result<Sha256Digest> found = WriteLayer(layer, *it, take, cancel);
  if (!found.ok() && !too_long) return found.error();
  if (!too_long && given == it->size && *found == digest) return held_back.Release();
  RETURN_IF_ERROR(
      repository_.layers().conversions().ForgetEncoding(layer, EncodingName(compression_)));
  return Error(Code::kCorrupt, "layer " + layer.ToString() + " comes out otherwise than as " +
                                   digest.ToString() + ", which was recorded: export it again");
}

Result<Sha256Digest> OciImage::WriteLayer(const Digest& layer, const Descriptor& blob,
                                          const ByteSink& sink, const CancelToken& cancel) const {
  const auto spool = spools_.find(blob.digest);
  if (spool != spools_.end()) return ReadSpool(*spool->second, blob.size, sink, cancel);
  ASSIGN_OR_RETURN(const EncodedLayer made, Encode(layer, sink, cancel, {}));
  return made.digest;
}

Result<Sha256Digest> OciImage::ReadSpool(const Spool& spool, uint64_t size, const ByteSink& sink,
                                         const CancelToken& cancel) {
  Sha256Hasher hasher;
  std::string buffer;
  for (uint64_t at = 0; at < size; at += buffer.size()) {
    RETURN_IF_ERROR(cancel.Check());
    buffer.resize(std::min<uint64_t>(kReadBytes, size - at));
    RETURN_IF_ERROR(PReadExactly(spool.file.fd(), buffer.data(), buffer.size(), at));
    hasher.Update(buffer);
    RETURN_IF_ERROR(sink(buffer));
  }
  return hasher.Finish();
}

}  // namespace strata::imaged::oci
