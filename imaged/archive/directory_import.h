// Reads a directory of this host into a layer, contents on all cores. Hard links, attributes and
// holes are kept; sockets and what is mounted below are left out with a warning. What changes
// meanwhile is taken as it was at some moment, each file by itself.
//
// Errors name the path. kPermissionDenied: a device node from a caller who is not root.
// kResourceExhausted: a limit or the store's disk. kCancelled. Nothing is durable: the caller
// commits the Ingest, or drops it.
#pragma once

#include <string>

#include "common/result.h"
#include "imaged/archive/import.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

struct DirectoryImportOptions {
  bool caller_is_root = false;
  ImportLimits limits;
};

Result<ImportedLayer> ImportDirectory(const std::string& directory, Ingest& ingest,
                                      const DirectoryImportOptions& options,
                                      const ImportControl& control = {});

}  // namespace strata::imaged
