#include "imaged/archive/sparse.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/file_io.h"

namespace strata::imaged {
namespace {

// Below it a hole saves less than its bookkeeping costs.
constexpr off_t kSparseSizeMin = 64 * 1024;
constexpr uint64_t kZeroFileSizeMin = 1u << 20;
constexpr uint64_t kZeroStep = 64 * 1024;

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

Result<std::optional<std::vector<Extent>>> NonZeroExtents(int fd, uint64_t size) {
  using Answer = std::optional<std::vector<Extent>>;
  if (size < kZeroFileSizeMin) return Answer();
  std::vector<Extent> extents;
  std::vector<char> buffer(kZeroStep);
  uint64_t data_bytes = 0;
  for (uint64_t at = 0; at < size; at += kZeroStep) {
    const uint64_t n = std::min(kZeroStep, size - at);
    RETURN_IF_ERROR(PReadExactly(fd, buffer.data(), n, at));
    const bool zero = buffer[0] == 0 && std::memcmp(buffer.data(), buffer.data() + 1, n - 1) == 0;
    if (zero) continue;
    data_bytes += n;
    if (data_bytes > size / 2) return Answer();
    if (!extents.empty() && extents.back().offset + extents.back().size == at) {
      extents.back().size += n;
    } else {
      extents.push_back({at, n});
    }
  }
  return Answer(std::move(extents));
}

}  // namespace strata::imaged
