// PaxWriter: writes a pax archive (POSIX.1-2017 pax, Interchange Format) with the extensions that
// GNU tar, star and libarchive read: SCHILY.xattr.*, SCHILY.acl.*, GNU sparse files 1.0. The same
// entries give the same bytes. Names are bytes.
//
// For each entry: Begin, then its data with Write, then End. Finish closes the archive.
// Used by one thread. Errors are the sink's.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"
#include "common/xattr.h"
#include "imaged/archive/sparse.h"

namespace strata::imaged {

// Takes the next bytes of an archive, at most kSinkBytesMax at once.
using ByteSink = std::function<Status(std::string_view)>;
inline constexpr size_t kSinkBytesMax = 256 * 1024;

struct PaxEntry {
  std::string path;  // Relative, without a trailing slash; "" is the root.
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  dev_t rdev = 0;
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;
  uint64_t size = 0;  // Regular files: bytes of content, holes included.
  std::string link;   // Target of a symbolic link, or path of the first name of a hard link.
  bool hard_link = false;
  std::vector<Xattr> xattrs;
  bool sparse = false;
  std::vector<Extent> extents;  // Where data is, when sparse.
};

class PaxWriter {
 public:
  explicit PaxWriter(ByteSink sink) : sink_(std::move(sink)) { buffer_.reserve(kSinkBytesMax); }

  // kInvalidArgument: a type that tar does not know (sockets).
  Status Begin(const PaxEntry& entry);
  // Content in order; of a sparse file that of its extents. REQUIRES: not more than Begin said.
  Status Write(std::string_view data);
  // REQUIRES: all content was written.
  Status End();
  Status Finish();

 private:
  struct Header;
  Status Put(std::string_view data);
  Status Pad(uint64_t size);
  Status WriteExtended(const PaxEntry& entry, const std::string& records);

  ByteSink sink_;
  std::string buffer_;
  uint64_t body_bytes_ = 0;  // Of the current entry.
  uint64_t missing_bytes_ = 0;
};

}  // namespace strata::imaged
