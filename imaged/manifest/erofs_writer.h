// Writes a Tree as an uncompressed EROFS metadata image (fs/erofs/erofs_fs.h; conventions of
// composefs, https://github.com/composefs/composefs): the manifest of a layer, or the flattened
// tree of an image. Three readers share the format: the kernel's mount, layerfs (ErofsReader), and
// fsck.erofs.
//
// Deterministic: equal trees give equal bytes, whatever the order in which they were built. The
// digest of the bytes is the layer's id. docs/formats.md describes the image.
#pragma once

#include "common/digest.h"
#include "common/result.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged {

struct WrittenManifest {
  Digest digest;
  uint64_t size_bytes = 0;
};

// Writes at offset 0 of `fd` (an empty regular file), streaming: memory stays proportional to the
// number of inodes, not to the image. Not synced.
// kResourceExhausted: the disk is full. kInvalidArgument: the tree cannot be expressed.
Result<WrittenManifest> WriteErofs(const Tree& tree, int fd);

}  // namespace strata::imaged
