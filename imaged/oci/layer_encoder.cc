#include "imaged/oci/layer_encoder.h"

#include "imaged/archive/tar_export.h"
#include "imaged/oci/block_compressor.h"

namespace strata::imaged::oci {

Result<EncodedLayer> EncodeLayer(const Tree& layer, const ObjectStore& store,
                                 Compression compression, const ByteSink& sink,
                                 const CancelToken& cancel,
                                 const std::function<void(uint64_t)>& progress) {
  EncodedLayer encoded;
  Sha256Hasher of_tar;
  Sha256Hasher of_blob;
  BlockCompressor compressor(compression, [&](std::string_view data) -> Status {
    of_blob.Update(data);
    encoded.size += data.size();
    return sink(data);
  });
  TarExportOptions options;
  options.oci_whiteouts = true;
  options.sparse = SparseFiles::kByContent;
  options.cancel = &cancel;
  uint64_t taken = 0;
  const ByteSink take = [&](std::string_view data) -> Status {
    taken += data.size();
    if (progress) progress(taken);
    // Without compression both are the same bytes: hashed once.
    if (compression != Compression::kNone) of_tar.Update(data);
    return compressor.Write(data);
  };
  RETURN_IF_ERROR(ExportTar(layer, store, take, options));
  RETURN_IF_ERROR(compressor.Finish());
  encoded.digest = of_blob.Finish();
  encoded.diff_id = compression == Compression::kNone ? encoded.digest : of_tar.Finish();
  return encoded;
}

}  // namespace strata::imaged::oci
