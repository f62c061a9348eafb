// MergeInodes: the three-way merge of one inode, field by field. Fields are independent: content
// (of a file, a symbolic link or a device), permissions, owner, each extended attribute. A field
// that one side changed takes this side's value; one that both changed, differently, is a conflict.
//
// mtime is never one: it follows the content of a file. Where neither side changed the content, the
// image's time counts if it changed. A directory has no content: the side that changed its time, or
// the later of both.
#pragma once

#include <cstdint>

#include "imaged/manifest/tree.h"

namespace strata::imaged {

struct MergedInode {
  Inode inode;             // Meaningful when there is no conflict.
  uint32_t conflicts = 0;  // Bits of Difference (image_diff.h).
};

// REQUIRES: the three are of one type.
MergedInode MergeInodes(const Inode& origin, const Inode& image, const Inode& base);

// The later of the times of two directories.
void TakeLaterTime(const Inode& other, Inode* directory);

}  // namespace strata::imaged
