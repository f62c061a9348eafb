#include "imaged/archive/sparse.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace strata::imaged {
namespace {

// Below it a hole saves less than its bookkeeping costs.
constexpr off_t kSparseSizeMin = 64 * 1024;

}  // namespace

bool LooksSparse(const struct stat& st) {
  return st.st_size > kSparseSizeMin && st.st_blocks * 512 < st.st_size;
}

Result<std::vector<Extent>> DataExtents(int fd, uint64_t size) {
  std::vector<Extent> extents;
  uint64_t at = 0;
  while (at < size) {
    const off_t data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0 && errno == EINVAL) return std::vector<Extent>{{0, size}};
    if (data < 0) return Errno("lseek");
    const off_t hole = ::lseek(fd, data, SEEK_HOLE);
    if (hole < 0) return Errno("lseek");
    const uint64_t from = std::min(static_cast<uint64_t>(data), size);
    at = std::min(static_cast<uint64_t>(hole), size);
    if (at > from) extents.push_back({from, at - from});
  }
  return extents;
}

}  // namespace strata::imaged
