#include "imaged/oci/block_compressor.h"

#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>

#include "imaged/oci/documents.h"

namespace strata::imaged::oci {
namespace {

// Figures of both are in docs/oci.md.
constexpr int kGzipLevel = 4;
constexpr int kZstdLevel = 3;

Result<std::string> CompressGzip(std::string_view block) {
  const std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor(
      ::libdeflate_alloc_compressor(kGzipLevel), &::libdeflate_free_compressor);
  if (compressor == nullptr) return Error(Code::kResourceExhausted, "no memory to compress");
  std::string compressed(::libdeflate_gzip_compress_bound(compressor.get(), block.size()), '\0');
  const size_t size = ::libdeflate_gzip_compress(compressor.get(), block.data(), block.size(),
                                                 compressed.data(), compressed.size());
  if (size == 0) return Error(Code::kInternal, "libdeflate did not finish a block");
  compressed.resize(size);
  return compressed;
}

Result<std::string> CompressZstd(std::string_view block) {
  std::string compressed(::ZSTD_compressBound(block.size()), '\0');
  const size_t size =
      ::ZSTD_compress(compressed.data(), compressed.size(), block.data(), block.size(), kZstdLevel);
  if (::ZSTD_isError(size) != 0) return Error(Code::kInternal, ::ZSTD_getErrorName(size));
  compressed.resize(size);
  return compressed;
}

}  // namespace

const char* LayerTypeOf(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return kOciLayerGzipType;
    case Compression::kZstd:
      return kOciLayerZstdType;
    case Compression::kNone:
      break;
  }
  return kOciLayerType;
}

std::string EncodingName(Compression compression) {
  // Counted up when ExportTar, PaxWriter or the blocks change.
  constexpr char kTarVersion[] = "tar1";
  switch (compression) {
    case Compression::kGzip:
      return std::string(kTarVersion) + "+gzip" + std::to_string(kGzipLevel) +
             "-libdeflate" LIBDEFLATE_VERSION_STRING;
    case Compression::kZstd:
      return std::string(kTarVersion) + "+zstd" + std::to_string(kZstdLevel) + "-" +
             ::ZSTD_versionString();
    case Compression::kNone:
      break;
  }
  return kTarVersion;
}

Result<std::string> CompressBlock(Compression compression, std::string_view block) {
  return compression == Compression::kGzip ? CompressGzip(block) : CompressZstd(block);
}

BlockCompressor::BlockCompressor(Compression compression, ByteSink sink, size_t threads)
    : compression_(compression), sink_(std::move(sink)) {
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  in_flight_max_ = 2 * threads;
  if (compression == Compression::kNone) return;
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

BlockCompressor::~BlockCompressor() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  queued_.notify_all();
}

void BlockCompressor::Run() {
  while (true) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      queued_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    Result<std::string> compressed = CompressBlock(compression_, job->block);
    const std::lock_guard lock(mutex_);
    job->compressed = std::move(compressed);
    job->done = true;
    finished_.notify_one();
  }
}

void BlockCompressor::Submit() {
  auto job = std::make_shared<Job>();
  job->block = std::move(block_);
  block_.clear();
  block_.reserve(kBlockBytes);
  in_flight_.push_back(job);
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(job));
  }
  queued_.notify_one();
}

Status BlockCompressor::Drain(size_t in_flight_max) {
  while (in_flight_.size() > in_flight_max) {
    const std::shared_ptr<Job> job = std::move(in_flight_.front());
    in_flight_.pop_front();
    {
      std::unique_lock lock(mutex_);
      finished_.wait(lock, [&] { return job->done; });
    }
    if (!job->compressed.ok()) return job->compressed.error();
    RETURN_IF_ERROR(sink_(*job->compressed));
  }
  return Ok();
}

Status BlockCompressor::Write(std::string_view data) {
  if (compression_ == Compression::kNone) return sink_(data);
  while (!data.empty()) {
    const size_t n = std::min(data.size(), kBlockBytes - block_.size());
    block_ += data.substr(0, n);
    data.remove_prefix(n);
    if (block_.size() < kBlockBytes) break;
    Submit();
    RETURN_IF_ERROR(Drain(in_flight_max_));
  }
  return Ok();
}

Status BlockCompressor::Finish() {
  if (compression_ == Compression::kNone) return Ok();
  if (!block_.empty()) Submit();
  return Drain(0);
}

}  // namespace strata::imaged::oci
