#include "imaged/fetch/directory_fetcher.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "common/file_io.h"

namespace strata::imaged {
namespace {

constexpr size_t kPieceBytes = 256 * 1024;

}  // namespace

Result<std::unique_ptr<ObjectFetcher>> DirectoryFetcher::Open(const std::string& directory) {
  ASSIGN_OR_RETURN(UniqueFd objects, strata::Open(directory + "/objects", O_PATH | O_DIRECTORY));
  return std::unique_ptr<ObjectFetcher>(new DirectoryFetcher(directory, std::move(objects)));
}

Result<UniqueFd> DirectoryFetcher::OpenObject(const Digest& digest) const {
  auto fd = OpenAt(objects_.get(), digest.ObjectPath(), O_RDONLY | O_NOFOLLOW);
  if (fd.ok() || fd.error().sys_errno() != ENOENT) return fd;
  return Error(Code::kNotFound, Name() + " has no object " + digest.ToString(), ENOENT);
}

Result<uint64_t> DirectoryFetcher::SizeOf(const Digest& digest) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenObject(digest));
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return Errno("stat in " + Name());
  return static_cast<uint64_t>(st.st_size);
}

Status DirectoryFetcher::Fetch(const Digest& digest, const Sink& sink, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenObject(digest));
  std::vector<char> buffer(kPieceBytes);
  while (true) {
    RETURN_IF_ERROR(cancel.Check());
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("read from " + Name());
    if (n == 0) return Ok();
    RETURN_IF_ERROR(sink({buffer.data(), static_cast<size_t>(n)}));
  }
}

}  // namespace strata::imaged
