// DiffImages: what differs between two images, as a stream of entries in byte order of the paths.
//
// Two images that share their lower layers are compared in time proportional to what the layers
// above say (pair_walk.h); two with nothing in common in one walk of both. The answer is the same:
// no entry is reported exactly when the two flattened trees are equal. A directory that a layer
// mentions only because something below it changed is no change. Its mtime usually did change, and
// is reported like every other: `differences` is kMtime alone then, and the summary counts such
// entries apart, so that a caller may leave them out.
//
// Contents are compared by the names of their objects, small ones (kInlineSizeMax) by their bytes
// in the manifests; no object is opened. A renamed or copied file is an added name whose object is
// no new one.
//
// Errors: kCorrupt names the path; an error of the visitor ends the walk and is passed on (that is
// how a caller cancels). Memory: see pair_walk.h, and 40 bytes for each object of a changed file.
// Not thread-safe; several calls may share the readers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/result.h"
#include "imaged/compare/pair_walk.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged {

enum class Change { kAdded, kRemoved, kChanged };

// What differs between two inodes, as bits.
enum Difference : uint32_t {
  kType = 1,     // Then content and target are not compared.
  kContent = 2,  // Bytes of a file, number of a device.
  kTarget = 4,   // Of a symbolic link.
  kMode = 8,     // Permissions.
  kOwner = 16,   // uid or gid.
  kXattrs = 32,
  kMtime = 64,
  kLinks = 128,  // The set of names that share this inode; not of directories.
};

// All but kLinks, which no inode knows of itself.
uint32_t Differences(const Inode& before, const Inode& after);

struct DiffEntry {
  const std::string& path;  // Relative; "" is the root.
  Change change;
  uint32_t differences;  // Bits of Difference; 0 unless changed.
  // Null when added, or removed. They and the path are valid during the call.
  const ErofsInode* raw_before;
  const ErofsInode* raw_after;
  const Inode* before;
  const Inode* after;
};

struct DiffSummary {
  uint64_t added = 0;
  uint64_t removed = 0;
  uint64_t changed = 0;     // More than a time.
  uint64_t times_only = 0;  // Nothing but mtime.
  // Sizes of regular files, each name counted by itself, holes too. A file that takes the place of
  // something else is added, and one that gives its place up is removed.
  uint64_t added_bytes = 0;
  uint64_t removed_bytes = 0;
  uint64_t changed_bytes = 0;  // Files with other content than before: their size now.
  // Distinct objects of added and changed files that `before` does not hold: what would have to
  // move. Inline content is not counted, it is part of the manifest.
  uint64_t new_objects = 0;
  uint64_t new_object_bytes = 0;
  size_t shared_layers = 0;
  uint64_t looked_at = 0;  // Entries and inodes that were read.
};

struct DiffOptions {
  // new_objects looks for an object among all files of `before`: exact, one pass over its inodes if
  // there is any candidate. Otherwise only among the files that are looked at anyway, so that the
  // copy of a file that did not change counts as new.
  bool search_all_of_before = true;
};

using DiffVisitor = std::function<Status(const DiffEntry& entry)>;

// REQUIRES: the readers of both images outlive the call.
Result<DiffSummary> DiffImages(const ComparedImage& before, const ComparedImage& after,
                               const DiffOptions& options, const DiffVisitor& visit);

}  // namespace strata::imaged
