#include "imaged/oci/layer_stream.h"

namespace strata::imaged::oci {
namespace {

constexpr std::string_view kGzipMagic("\x1f\x8b", 2);
constexpr std::string_view kZstdMagic("\x28\xb5\x2f\xfd", 4);

}  // namespace

BlobForm FormOf(std::string_view head) {
  if (head.starts_with(kGzipMagic)) return BlobForm::kGzip;
  if (head.starts_with(kZstdMagic)) return BlobForm::kZstd;
  return BlobForm::kPlain;
}

LayerStream::LayerStream(BlobSource& source, const Descriptor& blob, const Sha256Digest& diff_id,
                         uint64_t bytes_max, const CancelToken& cancel)
    : blob_(source, blob, cancel), diff_id_(diff_id), bytes_max_(bytes_max) {}

Result<std::string_view> LayerStream::NextOfBlob() {
  if (!head_given_) {
    head_given_ = true;
    if (!head_.empty()) return std::string_view(head_);
  }
  return blob_.Next();
}

Status LayerStream::Start() {
  started_ = true;
  while (head_.size() < kZstdMagic.size()) {
    ASSIGN_OR_RETURN(const std::string_view data, blob_.Next());
    if (data.empty()) break;
    head_ += data;
  }
  const BlobForm form = FormOf(head_);
  const ByteSource bytes = [this] { return NextOfBlob(); };
  if (form == BlobForm::kGzip) gzip_ = std::make_unique<GzipSource>(bytes);
  if (form == BlobForm::kZstd) zstd_ = std::make_unique<ZstdSource>(bytes);
  return Ok();
}

Status LayerStream::Finish() {
  while (true) {
    ASSIGN_OR_RETURN(const std::string_view data, NextOfBlob());
    if (data.empty()) break;
  }
  const Sha256Digest found = hasher_.Finish();
  if (found == diff_id_) return Ok();
  return Error(Code::kCorrupt, "uncompressed it is " + found.ToString() +
                                   ", the configuration names " + diff_id_.ToString());
}

Result<std::string_view> LayerStream::Next() {
  if (end_) return *end_;
  auto data = NextOfTar();
  // Kept: a reader of tars may overlook an error behind the end mark and ask again.
  if (!data.ok() || data->empty()) end_ = data;
  return data;
}

Result<std::string_view> LayerStream::NextOfTar() {
  if (!started_) RETURN_IF_ERROR(Start());
  auto data = gzip_ != nullptr ? gzip_->Next() : zstd_ != nullptr ? zstd_->Next() : NextOfBlob();
  if (!data.ok()) return data;
  if (data->empty()) {
    RETURN_IF_ERROR(Finish());
    return data;
  }
  if (data->size() > bytes_max_ - bytes_) {
    return Error(Code::kResourceExhausted,
                 "it has more than " + std::to_string(bytes_max_) + " bytes when uncompressed");
  }
  bytes_ += data->size();
  hasher_.Update(*data);
  return data;
}

}  // namespace strata::imaged::oci
