// Tries FUSE for real: a mount whose root is one regular file, served by a thread that knows just
// enough of the protocol (linux/fuse.h) to open that file, with passthrough to a backing file where
// the kernel offers it.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"

namespace strata::layerfs {

struct FuseFeatures {
  uint32_t protocol_major = 0;
  uint32_t protocol_minor = 0;
  bool passthrough = false;  // A read through the mount returned the backing file's content.
  bool id_map = false;       // FUSE_ALLOW_IDMAP is offered (6.12).
  bool io_uring = false;     // FUSE_OVER_IO_URING is offered (6.14).
  bool resend = false;       // FUSE_HAS_RESEND is offered (6.9).
  std::string passthrough_error;
};

// `backing_path` is a readable file on the file system that containers' data will be on.
// kUnsupported when FUSE itself is missing; nothing is left behind in any case.
Result<FuseFeatures> ProbeFuse(const std::string& backing_path);

}  // namespace strata::layerfs
