// Imports what somebody sends as a file: a tar of files, a tar of an OCI image layout, or what
// `docker save` writes. The last two are kept in the store's staging until they are imported: they
// may take as much room there as their owner may still have.
#pragma once

#include <sys/types.h>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/archive/tar_reader.h"
#include "imaged/repository/repository.h"

namespace strata::imaged::oci {

// `options.format()` says which it is; unspecified: its first bytes do. Errors of
// Repository::Import, ImageArchive and ImportImage. `progress`: stages "receive" (image archives),
// "read" and "commit".
Result<v1::ImportResult> ImportArchive(Repository& repository, uid_t caller,
                                       const v1::ImportOptions& options, const ByteSource& stream,
                                       const CancelToken& cancel, const ProgressSink& progress);

}  // namespace strata::imaged::oci
