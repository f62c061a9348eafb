// RebaseImage: an image's own changes, put on another base: a three-way merge of `origin` (what the
// image was made from), `image` and `base` (the new one). The result is one layer for the top of
// `base`; ApplyLayer(layer, base) is the rebased image.
//
// What a path becomes. "Here" is the change origin -> image, "there" origin -> base.
//   changed here only                    the image's
//   changed there only, or not at all    the base's
//   changed to the same on both sides    the image's
//   different fields of one inode        merged (attribute_merge.h)
//   anything else                        a conflict
// mtime alone is no change that could conflict. A directory whose attributes were not changed here
// has those of the base, also where the layer must list it because of something below. A directory
// that was removed here goes with everything below it that did not change there; each path below
// that did is a conflict of its own, and a directory stays while something in it stays. Where one
// side has a directory and the other has not, in a way that cannot be judged below, the conflict is
// of that path and decides for everything below it: one side's subtree, unmixed.
//
// A path in conflict is taken whole from one side, as the policy says. Taking the image's below a
// parent that the base no longer has makes the parents anew, with the image's attributes and only
// with what is taken there (over a file of the base, if one has taken the place).
//
// Hard links. Names that the image links share an inode in the layer when they come out equal, and
// a name that did not change is put in the layer too when it is linked with one that did. A link is
// split when its names come out different (one of them was changed there, or was taken from the
// base); split_links says which. Names that only the base links to a file which was changed here
// keep the base's content.
//
// Time and memory: proportional to the image's changes (image_diff.h) and to what the base holds
// below directories that the image removed or replaced.
// Errors: kCorrupt names the path; kResourceExhausted beyond TreeLimits; otherwise an error of
// reading. Not thread-safe; several calls may share the readers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/compare/pair_walk.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged {

enum class Side { kImage, kBase };

enum class ConflictKind {
  kBothContent,     // Both changed the content (or target, or device number).
  kBothAttributes,  // Both changed the same attribute, differently.
  kBothAdded,       // Both put something different where nothing, or another type, was.
  kTypeDiffers,     // One has another type of file, and the other side was changed too.
  kRemovedHere,     // Removed here, changed (or added below what was removed) there.
  kRemovedThere,    // Changed here, removed there.
  kParentGone,      // Changed here, but the parent is no directory there any more.
};

struct RebaseConflict {
  std::string path;
  ConflictKind kind;
  uint32_t differences;      // Between image and base, bits of Difference; 0 if one has nothing.
  std::optional<Side> side;  // Which was taken; none: refused.
};

struct RebasePolicy {
  // Of the overrides that cover a path (the path itself or a directory above it; "" covers all) the
  // longest counts, the last of equals.
  struct Override {
    std::string prefix;  // Slashes at its ends do not matter.
    Side side;
  };
  std::optional<Side> otherwise;  // None: refuse.
  std::vector<Override> overrides;
};

struct RebaseResult {
  // Absent when a conflict was refused. Never opaque: what goes is whited out.
  std::optional<Tree> layer;
  std::vector<RebaseConflict> conflicts;  // By path.
  std::vector<std::string> split_links;   // The first name of each, by path.
};

// REQUIRES: the readers outlive the call; `base` is flattened. Layers are only needed of `origin`
// and `image`.
Result<RebaseResult> RebaseImage(const ComparedImage& origin, const ComparedImage& image,
                                 const ErofsReader& base, const RebasePolicy& policy);

}  // namespace strata::imaged
