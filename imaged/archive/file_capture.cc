#include "imaged/archive/file_capture.h"

#include <fcntl.h>

#include <cerrno>
#include <vector>

#include "common/xattr.h"
#include "imaged/archive/file_access.h"
#include "imaged/archive/sparse.h"

namespace strata::imaged {
namespace {

// Reads from the start until end of file or until `buffer` is full.
Result<size_t> ReadUpTo(int fd, std::vector<char>* buffer) {
  size_t at = 0;
  while (at < buffer->size()) {
    const ssize_t n = ::pread(fd, buffer->data() + at, buffer->size() - at, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("read");
    if (n == 0) break;
    at += static_cast<size_t>(n);
  }
  return at;
}

Status CaptureBuffered(std::string_view content, Ingest& ingest, Inode* inode) {
  inode->size = content.size();
  if (content.size() <= kInlineSizeMax) {
    inode->data = content;
    return Ok();
  }
  ASSIGN_OR_RETURN(inode->object, ingest.Add(content));
  return Ok();
}

}  // namespace

Result<Inode> CaptureMetadata(int fd, const struct stat& st) {
  Inode inode;
  inode.mode = st.st_mode;
  inode.uid = st.st_uid;
  inode.gid = st.st_gid;
  inode.mtime_s = st.st_mtim.tv_sec;
  inode.mtime_ns = static_cast<uint32_t>(st.st_mtim.tv_nsec);
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) inode.rdev = st.st_rdev;
  if (S_ISLNK(st.st_mode)) {
    ASSIGN_OR_RETURN(inode.data, ReadLinkTarget(fd));
  }
  ASSIGN_OR_RETURN(inode.xattrs, ReadXattrs(fd));
  std::erase_if(inode.xattrs, [](const Xattr& xattr) { return !IsPortableXattr(xattr.name); });
  return inode;
}

Status CaptureContent(int fd, Ingest& ingest, Inode* inode) {
  UniqueFd reopened;
  if ((::fcntl(fd, F_GETFL) & O_PATH) != 0) {
    ASSIGN_OR_RETURN(reopened, ReopenForReading(fd));
    fd = reopened.get();
  }
  struct stat st;
  if (::fstat(fd, &st) != 0) return Errno("stat");
  if (!S_ISREG(st.st_mode)) return Error(Code::kInvalidArgument, "not a regular file");
  inode->size = 0;
  inode->data.clear();
  inode->object = Digest();
  if (!LooksSparse(st) && static_cast<uint64_t>(st.st_size) <= kBufferedSizeMax) {
    // One byte more than the largest: a file that grows meanwhile is noticed.
    thread_local std::vector<char> buffer(kBufferedSizeMax + 1);
    ASSIGN_OR_RETURN(const size_t size, ReadUpTo(fd, &buffer));
    if (size <= kBufferedSizeMax) return CaptureBuffered({buffer.data(), size}, ingest, inode);
  }
  ASSIGN_OR_RETURN(const Digest object, ingest.AddFile(fd, &inode->size));
  if (inode->size > 0) inode->object = object;
  return Ok();
}

}  // namespace strata::imaged
