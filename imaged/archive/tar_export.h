// Writes a Tree and its objects as a pax archive: hard links, attributes, ACLs, devices, holes.
// Deterministic: entries in the order of Tree::Walk, no time of day (but see SparseFiles).
// ImportTar reads back an equal tree. Sockets are left out: tar has none.
//
// Every object is verified while it is streamed. kCorrupt names the path and the digest (the
// archive is then cut off without an end mark), kNotFound an object that is gone, kCancelled, and
// errors of the sink. kInvalidArgument: the tree cannot be written in this style.
#pragma once

#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/archive/pax_writer.h"
#include "imaged/manifest/tree.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

enum class SparseFiles {
  kByHoles,   // As they lie on this disk: fast, but another store may write another archive.
  kByContent  // Of large objects that are mostly zeros, whatever the disk has: reads them twice.
};

struct TarExportOptions {
  // For a layer: whiteouts and opaque directories in OCI's spelling. A file that itself is called
  // .wh.* is then refused. Without it a tree with whiteouts is refused.
  bool oci_whiteouts = false;
  // GNU sparse entries for objects with holes.
  SparseFiles sparse = SparseFiles::kByHoles;
  const CancelToken* cancel = nullptr;
  // Only these entries ("a/b") and what is below them; empty: all.
  std::vector<std::string> paths;
};

Status ExportTar(const Tree& tree, const ObjectStore& store, const ByteSink& sink,
                 const TarExportOptions& options = {});

}  // namespace strata::imaged
