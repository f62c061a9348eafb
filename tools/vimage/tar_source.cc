#include "tools/vimage/tar_source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/file_io.h"
#include "tools/vimage/debian_source.h"
#include "tools/vimage/directory_source.h"

namespace strata::tools {
namespace {

class FileSource : public TarSource {
 public:
  FileSource(UniqueFd fd, uint64_t size_bytes) : fd_(std::move(fd)), size_bytes_(size_bytes) {}
  int fd() const override { return fd_.get(); }
  uint64_t size_bytes() const override { return size_bytes_; }

 private:
  UniqueFd fd_;
  uint64_t size_bytes_;
};

class StdinSource : public TarSource {
 public:
  explicit StdinSource(int fd) : fd_(fd) {}
  int fd() const override { return fd_; }

 private:
  int fd_;
};

Status CheckDebianOptions(const SourceArguments& arguments) {
  if (arguments.packages.empty() && arguments.variant == "minbase" && arguments.mirrors.empty()) {
    return Ok();
  }
  return Error(Code::kInvalidArgument,
               "--packages, --variant and --mirror go with a source debian:SUITE, not with '" +
                   arguments.source + "'");
}

}  // namespace

Result<std::unique_ptr<TarSource>> OpenTarSource(const SourceArguments& arguments, int stdin_fd) {
  constexpr std::string_view kDebian = "debian:";
  if (arguments.source.starts_with(kDebian)) {
    return StartDebianSource(arguments.source.substr(kDebian.size()), arguments);
  }
  RETURN_IF_ERROR(CheckDebianOptions(arguments));
  if (arguments.source == "-") {
    if (::isatty(stdin_fd) == 1) {
      return Error(Code::kInvalidArgument,
                   "standard input is a terminal: pipe a tar archive into it");
    }
    return std::unique_ptr<TarSource>(std::make_unique<StdinSource>(stdin_fd));
  }
  ASSIGN_OR_RETURN(UniqueFd fd, Open(arguments.source, O_RDONLY));
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) return Errno("stat " + arguments.source);
  if (S_ISDIR(info.st_mode)) return StartDirectorySource(arguments.source);
  const uint64_t size = S_ISREG(info.st_mode) ? static_cast<uint64_t>(info.st_size) : 0;
  return std::unique_ptr<TarSource>(std::make_unique<FileSource>(std::move(fd), size));
}

}  // namespace strata::tools
