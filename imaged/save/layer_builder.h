// Turns a snapshot of an upper directory into the tree of a layer.
//
// A layer is plain: whiteouts and opaque directories are all the marks it has. What overlayfs keeps
// by reference is resolved against the base image's flattened tree (no data is copied, objects are
// shared by digest):
//   metacopy        the content is the base's
//   redirect        a renamed directory: its lower subtree is written out at the new place
//   index           a lower hard link that was copied up: names that were not touched follow it
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/manifest/erofs_reader.h"
#include "imaged/manifest/tree.h"
#include "imaged/save/id_unshift.h"
#include "imaged/save/upper_scan.h"

namespace strata::imaged {

struct BuiltLayer {
  Tree tree;
  uint64_t content_bytes = 0;         // Of the regular files in the layer.
  std::vector<std::string> warnings;  // At most 100.
};

// Of all regular files that have a name.
uint64_t ContentBytes(const Tree& tree);

// `base` is the tree that was the container's lower. kCorrupt names the path when the upper refers
// to something that the base does not have.
Result<BuiltLayer> BuildLayer(const UpperSnapshot& snapshot, const ErofsReader& base,
                              const IdRange& ids);

}  // namespace strata::imaged
