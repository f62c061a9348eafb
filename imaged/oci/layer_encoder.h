// One layer of the store as a blob of an OCI image: a deterministic pax archive (ExportTar with OCI
// whiteouts), compressed in independent pieces on all cores. How many threads there are does not
// change the bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/cancel.h"
#include "common/result.h"
#include "common/sha256.h"
#include "imaged/archive/pax_writer.h"
#include "imaged/manifest/tree.h"
#include "imaged/store/object_store.h"

namespace strata::imaged::oci {

enum class Compression { kNone, kGzip, kZstd };

// The media type of OCI's layers that are compressed so.
const char* LayerTypeOf(Compression compression);
// Names everything that the bytes depend on besides the layer: our version and the library's.
std::string EncodingName(Compression compression);

struct EncodedLayer {
  Sha256Digest diff_id;
  Sha256Digest digest;
  uint64_t size = 0;
};

// Errors of ExportTar and of `sink`. `progress`, if given: uncompressed bytes so far.
Result<EncodedLayer> EncodeLayer(const Tree& layer, const ObjectStore& store,
                                 Compression compression, const ByteSink& sink,
                                 const CancelToken& cancel,
                                 const std::function<void(uint64_t)>& progress = {});

}  // namespace strata::imaged::oci
