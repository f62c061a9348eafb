// Takes one file of a directory tree into an Inode: what stat(2) and its attributes say, and its
// content. The directory import and the scan of an overlayfs upper are made of these two calls.
//
// The files are trusted in nothing: the caller opens them with O_PATH | O_NOFOLLOW, only regular
// files are ever opened for reading, and a file may change while it is read.
// Thread-safe: one file per call, several at once.
#pragma once

#include <sys/stat.h>

#include "common/result.h"
#include "imaged/manifest/tree.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

// Contents up to this size pass through memory; larger ones are streamed or reflinked.
inline constexpr size_t kBufferedSizeMax = 1u << 20;

// Mode, owner, time, device number, attributes that a Tree can hold, and a link's target. `fd` may
// be O_PATH and `st` is what fstat says of it. Content is left out: a regular file comes back
// empty.
Result<Inode> CaptureMetadata(int fd, const struct stat& st);

// Puts the content of the regular file behind `fd` (O_PATH or readable) into `inode`: inline when
// it is small, else staged in `ingest`. size, data and object are set, and agree with each other
// even when the file changes meanwhile. kResourceExhausted: the store's disk is full.
Status CaptureContent(int fd, Ingest& ingest, Inode* inode);

}  // namespace strata::imaged
