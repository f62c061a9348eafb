// Opening and closing files. All handles (fi->fh, handle_table.h) of an inode of one epoch share an
// OpenState: the first one decides between passthrough, ordinary reads and writes, and bytes of the
// tree; the last one ends it.
#pragma once

#include "layerfs/fuse/session.h"

namespace strata::layerfs {

// Opens `node`, whose number is `number`, for `req` and fills the answer `fi`; `made` is a
// descriptor of a file that was just created, or invalid. ESTALE makes the kernel look the name up
// again, when the node's data has been replaced since. REQUIRES: for writing, CopyUp(kData) or
// (kEmpty) before.
Status AttachFile(fuse_req_t req, uint64_t number, const Node& node, UniqueFd made,
                  fuse_file_info* fi);
// Ends what AttachFile began. A handle that is gone already is left alone.
void DetachFile(fuse_req_t req, uint64_t handle);

// The descriptor behind an open file, for requests that passthrough does not cover. It stays open
// as long as the file, so that a write error below is seen by the next fsync. -1: bytes of the
// tree.
Result<int> FileDescriptor(Session& session, const OpenFile& file);

// Makes the handles that an earlier server's state records into open files again, with the backing
// files that the kernel still holds. REQUIRES: all recorded nodes are adopted; no request is
// served.
void AdoptOpenFiles(Session& session);

}  // namespace strata::layerfs
