#include "tools/vimage/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "common/file_io.h"

namespace strata::tools {
namespace {

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Result<OutputFile> OutputFile::Of(int fd) {
  OutputFile file;
  file.fd_ = fd;
  return file;
}

Result<OutputFile> OutputFile::Create(const std::string& path) {
  OutputFile file;
  file.path_ = path;
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return Error(Code::kInvalidArgument, path + " is a directory: name a file in it");
  }
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    ASSIGN_OR_RETURN(file.owned_, Open(path, O_WRONLY));
  } else {
    const std::string temporary = path + ".partial." + std::to_string(::getpid());
    ASSIGN_OR_RETURN(file.owned_, Open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0666));
    file.temporary_path_ = temporary;
  }
  file.fd_ = file.owned_.get();
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : owned_(std::move(other.owned_)),
      fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      temporary_path_(std::exchange(other.temporary_path_, {})) {}

OutputFile::~OutputFile() {
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

Status OutputFile::Write(std::string_view data) {
  const Status written = WriteAll(fd_, data);
  if (written.ok()) return Ok();
  return written.error().Wrap(path_.empty() ? "standard output" : path_);
}

Status OutputFile::Publish() {
  if (!owned_.valid()) return Ok();
  if (temporary_path_.empty()) return owned_.Close();
  if (::fsync(fd_) != 0) return Errno("fsync " + temporary_path_);
  RETURN_IF_ERROR(owned_.Close(), temporary_path_);
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) return Errno("rename to " + path_);
  temporary_path_.clear();
  return FsyncDirectory(DirectoryOf(path_));
}

}  // namespace strata::tools
