// ScratchFile: a file that disappears unless it is moved to its place, so that what is written is
// seen whole or not at all. Move-only; used by one thread.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>

#include "common/file_io.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::imaged {

class ScratchFile {
 public:
  static Result<ScratchFile> Create(std::string path) {
    ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDWR | O_CREAT | O_EXCL, 0444));
    return ScratchFile(std::move(path), std::move(fd));
  }
  ScratchFile(ScratchFile&& other) noexcept
      : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)) {}
  ~ScratchFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

  // Durable data, then the name.
  Status MoveTo(const std::string& target) {
    if (::fsync(fd_.get()) != 0) return Errno("fsync " + path_);
    RETURN_IF_ERROR(fd_.Close(), path_);
    if (::rename(path_.c_str(), target.c_str()) != 0) return Errno("rename to " + target);
    path_.clear();
    return Ok();
  }

 private:
  ScratchFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  UniqueFd fd_;
};

}  // namespace strata::imaged
