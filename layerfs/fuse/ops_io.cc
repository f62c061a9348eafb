// Callbacks on open files. Reads and writes come here only where the kernel does not pass them
// through.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "layerfs/fuse/open_file.h"
#include "layerfs/server/request_loop.h"

namespace strata::layerfs {
namespace {

// Runs `body(file, fd)`; fd is -1 for a file that consists of bytes of the tree.
template <typename Body>
void WithFile(fuse_req_t req, fuse_ino_t number, const fuse_file_info* fi, const Body& body) {
  Guarded(req, number, [&](Session& session, const Node&) {
    const OpenFile file = session.handles.Find(fi->fh);
    if (file.inode == nullptr) {
      fuse_reply_err(req, EBADF);
      return;
    }
    const Result<int> fd = FileDescriptor(session, file);
    if (!fd.ok()) {
      ReplyError(req, fd.error());
      return;
    }
    body(file, *fd);
  });
}

void ReplyResult(fuse_req_t req, int result) { fuse_reply_err(req, result == 0 ? 0 : errno); }

void Read(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, fuse_file_info* fi) {
  WithFile(req, number, fi, [&](const OpenFile& file, int fd) {
    if (fd < 0) {
      const std::string_view bytes = file.state->bytes;
      const size_t at = std::min(bytes.size(), static_cast<size_t>(offset));
      const std::string_view part = bytes.substr(at, size);
      fuse_reply_buf(req, part.data(), part.size());
      return;
    }
    StandAside();
    std::vector<char> buffer(size);
    const ssize_t n = ::pread(fd, buffer.data(), size, offset);
    if (n < 0) {
      fuse_reply_err(req, errno);
    } else {
      fuse_reply_buf(req, buffer.data(), static_cast<size_t>(n));
    }
  });
}

void Write(fuse_req_t req, fuse_ino_t number, const char* data, size_t size, off_t offset,
           fuse_file_info* fi) {
  WithFile(req, number, fi, [&](const OpenFile&, int fd) {
    StandAside();
    const ssize_t n = fd < 0 ? (errno = EBADF, -1) : ::pwrite(fd, data, size, offset);
    if (n < 0) {
      fuse_reply_err(req, errno);
    } else {
      fuse_reply_write(req, static_cast<size_t>(n));
    }
  });
}

void Sync(fuse_req_t req, fuse_ino_t number, int data_only, fuse_file_info* fi) {
  WithFile(req, number, fi, [&](const OpenFile&, int fd) {
    if (fd < 0) {
      fuse_reply_err(req, 0);  // Nothing of the tree can be dirty.
      return;
    }
    StandAside();
    ReplyResult(req, data_only != 0 ? ::fdatasync(fd) : ::fsync(fd));
  });
}

void Allocate(fuse_req_t req, fuse_ino_t number, int mode, off_t offset, off_t length,
              fuse_file_info* fi) {
  WithFile(req, number, fi, [&](const OpenFile&, int fd) {
    StandAside();
    ReplyResult(req, ::fallocate(fd, mode, offset, length));
  });
}

void Seek(fuse_req_t req, fuse_ino_t number, off_t offset, int whence, fuse_file_info* fi) {
  WithFile(req, number, fi, [&](const OpenFile& file, int fd) {
    off_t found;
    if (fd >= 0) {
      found = ::lseek(fd, offset, whence);
    } else {
      const off_t end = static_cast<off_t>(file.state->bytes.size());
      found = offset < 0 || offset >= end ? -1 : whence == SEEK_HOLE ? end : offset;
      if (found < 0) errno = ENXIO;
    }
    if (found < 0) {
      fuse_reply_err(req, errno);
    } else {
      fuse_reply_lseek(req, found);
    }
  });
}

void CopyRange(fuse_req_t req, fuse_ino_t from_number, off_t from_offset, fuse_file_info* from,
               fuse_ino_t to_number, off_t to_offset, fuse_file_info* to, size_t size, int flags) {
  WithFile(req, from_number, from, [&](const OpenFile&, int in) {
    WithFile(req, to_number, to, [&](const OpenFile&, int out) {
      if (in < 0 || out < 0) {
        fuse_reply_err(req, EOPNOTSUPP);  // The kernel copies through its cache then.
        return;
      }
      StandAside();
      const ssize_t n =
          ::copy_file_range(in, &from_offset, out, &to_offset, size, static_cast<unsigned>(flags));
      if (n < 0) {
        // The kernel falls back to copying through its cache for this one.
        fuse_reply_err(req, errno == EXDEV || errno == EINVAL ? EOPNOTSUPP : errno);
      } else {
        fuse_reply_write(req, static_cast<size_t>(n));
      }
    });
  });
}

}  // namespace

void AddIoOps(fuse_lowlevel_ops* ops) {
  ops->read = Read;
  ops->write = Write;
  ops->fsync = Sync;
  ops->fallocate = Allocate;
  ops->lseek = Seek;
  ops->copy_file_range = CopyRange;
}

}  // namespace strata::layerfs
