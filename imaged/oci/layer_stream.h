// LayerStream: the uncompressed tar of one OCI layer, from its blob. What it is compressed with
// (gzip, zstd, nothing) is told by its first bytes; media types are often wrong.
//
// Used by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/archive/gzip_source.h"
#include "imaged/archive/zstd_source.h"
#include "imaged/oci/blob_stream.h"

namespace strata::imaged::oci {

// Which compression the first bytes of a stream tell; four bytes are enough.
enum class BlobForm { kPlain, kGzip, kZstd };
BlobForm FormOf(std::string_view head);

class LayerStream {
 public:
  // `bytes_max`: more uncompressed bytes are kResourceExhausted.
  LayerStream(BlobSource& source, const Descriptor& blob, const Sha256Digest& diff_id,
              uint64_t bytes_max, const CancelToken& cancel);

  // The next bytes of the tar; empty at the end, and then blob and tar have their digests. kCorrupt
  // otherwise. After an error the same again.
  Result<std::string_view> Next();

  uint64_t blob_bytes() const { return blob_.bytes(); }
  uint64_t tar_bytes() const { return bytes_; }

 private:
  Result<std::string_view> NextOfTar();
  Result<std::string_view> NextOfBlob();
  Status Start();
  // Reads what is left of the blob: only its end tells that it is the right one.
  Status Finish();

  BlobStream blob_;
  const Sha256Digest diff_id_;
  const uint64_t bytes_max_;
  std::string head_;  // What Start read; given first.
  bool started_ = false;
  bool head_given_ = false;
  // One of them decompresses; both are null when the blob is plain.
  std::unique_ptr<GzipSource> gzip_;
  std::unique_ptr<ZstdSource> zstd_;
  uint64_t bytes_ = 0;
  Sha256Hasher hasher_;
  std::optional<Result<std::string_view>> end_;  // The end, or the error that came instead.
};

}  // namespace strata::imaged::oci
