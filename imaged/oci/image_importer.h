// Imports one OCI image: each OCI layer becomes one layer of the store, the configuration is kept
// with the image, and the name is published when everything is durable. Used by archives and
// registries alike.
//
// Every blob is hashed and counted while it is read: more than its descriptor says, another digest
// or another diff_id is kCorrupt, and nothing is published. A layer that came here before on the
// same layers below, and that an image of the caller's or shared with him has, is not read again
// (imaged/repository/layer_conversions.h).
#pragma once

#include <sys/types.h>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/oci/blob_source.h"
#include "imaged/oci/documents.h"
#include "imaged/repository/repository.h"

namespace strata::imaged::oci {

struct ImportLimitsOfImage {
  // Of all layers together, uncompressed.
  uint64_t uncompressed_bytes_max = 1ull << 40;
  // Of one layer: at most this many times its compressed size, beyond the first 64 MiB.
  uint64_t ratio_max = 2048;
  TreeLimits tree;
};

struct ImageImport {
  uid_t caller = 0;
  // reference, description, visibility, labels, replace and lineage as for any import (an origin
  // that starts with "import": layers of others are taken for containers', docs/save.md). Command
  // and environment that are given are put over the image's; `base` must be empty.
  v1::ImportOptions options;
  Descriptor manifest;  // As SelectManifest answers.
  // What the configuration must be for; kFailedPrecondition when it is for another.
  Platform platform = HostPlatform();
  ImportLimitsOfImage limits;
};

// Errors: kAlreadyExists and others of Images::Reserve, kCorrupt and kUnsupported name the layer or
// the field, kResourceExhausted a limit, kCancelled. `progress` counts the bytes of the layers as
// they are in the image.
Result<v1::ImportResult> ImportImage(Repository& repository, const ImageImport& import,
                                     BlobSource& source, const CancelToken& cancel,
                                     const ProgressSink& progress);

}  // namespace strata::imaged::oci
