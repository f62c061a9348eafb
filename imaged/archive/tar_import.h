// Reads a tar stream into a layer: ustar, pax, GNU (long names, sparse files) and what Docker
// writes, plain or compressed as a whole with gzip, zstd, xz or bzip2. One thread reads the
// archive, small contents are hashed and staged on all cores, large ones are streamed; memory is
// bounded by the tree's metadata and a fixed window, whatever the archive's size.
//
// Names are bytes. A leading "/" or "./" is dropped, ".." is refused, parents are resolved
// literally (a symbolic link is never followed), later entries replace earlier ones. Whiteouts are
// OCI's
// (.wh.name, .wh..wh..opq; image-spec, layer.md) or character devices 0:0, as GNU tar archives an
// overlayfs upper. Foreign trusted.overlay.* attributes are kept and never interpreted.
//
// Errors name the entry. kCorrupt: the archive is damaged, cut off or lacks its end mark.
// kInvalidArgument: an entry that cannot be. kPermissionDenied: a device node from a caller who is
// not root. kResourceExhausted: a limit (the message says which) or the store's disk.
// kCancelled. Nothing is durable: the caller commits the Ingest, or drops it.
#pragma once

#include "common/result.h"
#include "imaged/archive/import.h"
#include "imaged/archive/tar_reader.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

struct TarImportOptions {
  bool caller_is_root = false;
  // What the layer will lie on: gives missing parents their attributes, and hard links targets.
  const Tree* base = nullptr;
  // Entries called .wh.* are whiteouts. False for archives of a plain file system.
  bool oci_whiteouts = true;
  bool may_be_compressed = true;  // As a whole.
  ImportLimits limits;
};

// `source` is called on the calling thread only, until it answers empty or an error.
Result<ImportedLayer> ImportTar(const ByteSource& source, Ingest& ingest,
                                const TarImportOptions& options, const ImportControl& control = {});

}  // namespace strata::imaged
