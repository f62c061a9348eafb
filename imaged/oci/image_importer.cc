#include "imaged/oci/image_importer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/printable.h"
#include "imaged/archive/tar_import.h"
#include "imaged/oci/image_selection.h"
#include "imaged/oci/layer_stream.h"
#include "imaged/oci/stored_config.h"

namespace strata::imaged::oci {
namespace {

constexpr uint64_t kRatioFreeBytes = 64u << 20;

class ImageImportOperation {
 public:
  ImageImportOperation(Repository& repository, const ImageImport& import, BlobSource& source,
                       const CancelToken& cancel, const ProgressSink& progress)
      : repository_(repository),
        import_(import),
        options_(import.options),
        source_(source),
        cancel_(cancel),
        progress_(progress) {}

  Result<v1::ImportResult> Run() {
    RETURN_IF_ERROR(CheckOptions());
    ASSIGN_OR_RETURN(
        const Images::Reservation name,
        repository_.images().Reserve(import_.caller, options_.reference(), options_.replace()));
    RETURN_IF_ERROR(ReadDocuments());
    ASSIGN_OR_RETURN(room_, repository_.usage().Room(name.name().owner_uid));
    for (size_t i = 0; i < manifest_.layers.size(); ++i) {
      RETURN_IF_ERROR(cancel_.Check());
      RETURN_IF_ERROR(AddLayer(name, i), "layer " + std::to_string(i + 1) + " of " +
                                             std::to_string(manifest_.layers.size()));
    }
    Report("commit");
    ASSIGN_OR_RETURN(v1::ImportResult result, repository_.PublishStack(name, Draft()));
    summary_.set_new_objects(result.summary().new_objects());
    summary_.set_new_bytes(result.summary().new_bytes());
    for (const std::string& warning : warnings_.texts()) summary_.add_warnings(warning);
    *result.mutable_summary() = std::move(summary_);
    return result;
  }

 private:
  Status CheckOptions() const {
    RETURN_IF_ERROR(CheckDescription(options_.description()));
    RETURN_IF_ERROR(CheckLabels(options_.labels()));
    if (options_.base().empty()) return Ok();
    return Error(Code::kInvalidArgument,
                 "an OCI image brings all its layers: it cannot be put on the image '" +
                     options_.base() + "'");
  }

  Status ReadDocuments() {
    ASSIGN_OR_RETURN(const std::string manifest, ReadDocument(source_, import_.manifest, cancel_),
                     "manifest");
    ASSIGN_OR_RETURN(manifest_, ParseManifest(manifest), "manifest");
    ASSIGN_OR_RETURN(const std::string config, ReadDocument(source_, manifest_.config, cancel_),
                     "configuration");
    ASSIGN_OR_RETURN(config_, ParseImageConfig(config), "configuration");
    if (!Matches(config_.platform, import_.platform)) {
      return Error(Code::kFailedPrecondition, "the image is for " +
                                                  Printable(config_.platform.ToString(), 100) +
                                                  ", not for " + import_.platform.ToString() +
                                                  ": --platform takes it all the same");
    }
    if (config_.diff_ids.size() != manifest_.layers.size()) {
      return Error(Code::kCorrupt, "the manifest has " + std::to_string(manifest_.layers.size()) +
                                       " layers, the configuration names " +
                                       std::to_string(config_.diff_ids.size()));
    }
    if (manifest_.layers.empty()) {
      return Error(Code::kUnsupported, "the image has no layers, so there is nothing to run from");
    }
    for (const Descriptor& layer : manifest_.layers) bytes_total_ += layer.size;
    return Ok();
  }

  Status AddLayer(const Images::Reservation& name, size_t i) {
    const Descriptor& blob = manifest_.layers[i];
    chain_ = ChainId(chain_, config_.diff_ids[i]);
    if (Reuse()) {
      bytes_done_ += blob.size;
      Report("read");
      return Ok();
    }
    RETURN_IF_ERROR(LoadBase());
    const uint64_t left = import_.limits.uncompressed_bytes_max - tar_bytes_;
    const uint64_t of_ratio =
        kRatioFreeBytes + import_.limits.ratio_max * std::min<uint64_t>(blob.size, 1ull << 40);
    LayerStream stream(source_, blob, config_.diff_ids[i], std::min(left, of_ratio), cancel_);
    ASSIGN_OR_RETURN(const auto ingest, StartIngest(name));
    ASSIGN_OR_RETURN(const ImportedLayer layer, ReadLayer(&stream, *ingest));
    tar_bytes_ += stream.tar_bytes();
    bytes_done_ += blob.size;
    new_bytes_ += ingest->stats().new_bytes;
    return Commit(layer, ingest.get());
  }

  // Takes the layer that this chain became before, if the caller may use it.
  bool Reuse() {
    const bool is_root = import_.caller == 0;
    // Root's have all that others' have, and more.
    if (ReuseOf(/*as_root=*/true)) return true;
    return !is_root && ReuseOf(/*as_root=*/false);
  }

  bool ReuseOf(bool as_root) {
    const auto known = repository_.layers().conversions().FindChain(*chain_, as_root);
    if (!known) return false;
    std::optional<v1::Layer> layer;
    auto hold = repository_.liveness().HoldIf({*known}, [&] {
      layer = repository_.images().ReadableLayer(import_.caller, *known);
      return layer && PathExists(repository_.layers().ManifestPath(*known));
    });
    if (!hold) return false;
    layers_.push_back({std::move(*layer), std::move(*hold)});
    return true;
  }

  // What the next layer will lie on: layers that were reused are read only when one is not.
  Status LoadBase() {
    for (; base_layers_ < layers_.size(); ++base_layers_) {
      const std::string& layer = layers_[base_layers_].layer.digest();
      ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(layer));
      ASSIGN_OR_RETURN(const auto reader, repository_.layers().OpenManifest(digest));
      ASSIGN_OR_RETURN(const Tree tree, reader->LoadTree(), "layer " + layer);
      RETURN_IF_ERROR(ApplyLayer(tree, &base_), "layer " + layer);
    }
    return Ok();
  }

  // Bound by what the owner may still have, the layers before this one counted.
  Result<std::unique_ptr<Ingest>> StartIngest(const Images::Reservation& name) {
    ASSIGN_OR_RETURN(auto ingest, repository_.StartIngest(name, cancel_));
    if (room_) ingest->LimitNewBytes(*room_ - std::min(*room_, new_bytes_));
    return ingest;
  }

  Result<ImportedLayer> ReadLayer(LayerStream* stream, Ingest& ingest) {
    TarImportOptions options;
    options.caller_is_root = import_.caller == 0;
    options.base = layers_.empty() ? nullptr : &base_;
    options.may_be_compressed = false;  // The stream decompressed it.
    options.limits.tree = import_.limits.tree;
    options.limits.content_bytes_max = import_.limits.uncompressed_bytes_max;
    const uint64_t entries_before = summary_.entries();
    ImportControl control;
    control.cancel = &cancel_;
    control.progress = [&](uint64_t entries, uint64_t) {
      summary_.set_entries(entries_before + entries);
      Report("read", stream->blob_bytes());
    };
    ASSIGN_OR_RETURN(ImportedLayer layer,
                     ImportTar([stream] { return stream->Next(); }, ingest, options, control));
    // Only at its end the digests are compared: not left to how far a reader of tars reads.
    while (true) {
      ASSIGN_OR_RETURN(const std::string_view rest, stream->Next());
      if (rest.empty()) break;
    }
    for (const std::string& warning : layer.warnings.texts()) warnings_.Add(warning);
    return layer;
  }

  Status Commit(const ImportedLayer& layer, Ingest* ingest) {
    ASSIGN_OR_RETURN(Repository::CommittedLayer committed,
                     repository_.CommitLayer({layer.tree, layer.content_bytes, ingest}));
    summary_.set_objects(summary_.objects() + ingest->stats().objects);
    summary_.set_bytes(summary_.bytes() + layer.content_bytes);
    summary_.set_manifest_bytes(summary_.manifest_bytes() + committed.layer.manifest_bytes());
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(committed.layer.digest()));
    RETURN_IF_ERROR(repository_.layers().conversions().RecordChain(
        *chain_, /*as_root=*/import_.caller == 0, digest));
    RETURN_IF_ERROR(ApplyLayer(layer.tree, &base_));
    layers_.push_back(std::move(committed));
    base_layers_ = layers_.size();
    return Ok();
  }

  v1::Image Draft() {
    v1::Image draft;
    std::vector<std::string> digests;
    for (const auto& committed : layers_) {
      *draft.add_layers() = committed.layer;
      digests.push_back(committed.layer.digest());
    }
    draft.set_description(options_.description());
    draft.set_visibility(options_.visibility());
    *draft.mutable_labels() = options_.labels();
    std::vector<std::string> left_out;
    *draft.mutable_config() = StoreConfig(config_, digests, &left_out);
    for (std::string& warning : left_out) warnings_.Add(std::move(warning));
    *draft.mutable_config()->mutable_command() = options_.config().command();
    MergeEnvironment(options_.config().env(), draft.mutable_config()->mutable_env());
    draft.mutable_lineage()->set_origin(
        options_.lineage().origin().empty() ? "import" : options_.lineage().origin());
    draft.mutable_lineage()->set_command(options_.lineage().command());
    return draft;
  }

  void Report(const char* stage, uint64_t bytes_of_layer = 0) {
    if (!progress_) return;
    v1::Progress state;
    state.set_stage(stage);
    state.set_entries(summary_.entries());
    state.set_bytes(bytes_done_ + bytes_of_layer);
    state.set_bytes_total(bytes_total_);
    progress_(state);
  }

  Repository& repository_;
  const ImageImport& import_;
  const v1::ImportOptions& options_;
  BlobSource& source_;
  const CancelToken& cancel_;
  const ProgressSink& progress_;

  Manifest manifest_;
  ImageConfig config_;
  std::optional<uint64_t> room_;
  std::optional<Sha256Digest> chain_;
  std::vector<Repository::CommittedLayer> layers_;  // Bottom first.
  Tree base_;                                       // The first base_layers_ of them, flattened.
  size_t base_layers_ = 0;
  uint64_t bytes_total_ = 0;  // Of the blobs.
  uint64_t bytes_done_ = 0;
  uint64_t tar_bytes_ = 0;
  uint64_t new_bytes_ = 0;
  v1::IngestSummary summary_;
  ImportWarnings warnings_;
};

}  // namespace

Result<v1::ImportResult> ImportImage(Repository& repository, const ImageImport& import,
                                     BlobSource& source, const CancelToken& cancel,
                                     const ProgressSink& progress) {
  return ImageImportOperation(repository, import, source, cancel, progress).Run();
}

}  // namespace strata::imaged::oci
