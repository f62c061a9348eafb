// OpenFile: what a file handle of the kernel (fi->fh) stands for. All handles of an inode (of one
// epoch) share an OpenState: the first one decides between passthrough, ordinary reads and writes,
// and bytes of the tree; the last one ends it.
#pragma once

#include "layerfs/fuse/session.h"

namespace strata::layerfs {

struct OpenFile {
  InodePtr inode;
  std::shared_ptr<OpenState> state;
};

// Opens `inode` for `req` and fills the answer `fi`; `made` is a descriptor of a file that was just
// created, or invalid. `epoch` is the node's: ESTALE makes the kernel look the name up again, when
// the data has been replaced since. REQUIRES: for writing, CopyUp(kData) or (kEmpty) before.
Status AttachFile(fuse_req_t req, const InodePtr& inode, uint32_t epoch, UniqueFd made,
                  fuse_file_info* fi);
// Ends what AttachFile began.
void DetachFile(fuse_req_t req, uint64_t handle);

inline OpenFile& FileOf(const fuse_file_info* fi) { return *reinterpret_cast<OpenFile*>(fi->fh); }

// The descriptor behind an open file, for requests that passthrough does not cover. It stays open
// as long as the file, so that a write error below is seen by the next fsync. -1: bytes of the
// tree.
Result<int> FileDescriptor(Session& session, const OpenFile& file);

}  // namespace strata::layerfs
