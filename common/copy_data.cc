#include "common/copy_data.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "common/file_io.h"

namespace strata {
namespace {

constexpr size_t kBufferSize = 256 * 1024;

Status CopyByHand(int from, int to, off_t at, off_t end) {
  std::vector<char> buffer(std::min<size_t>(kBufferSize, static_cast<size_t>(end - at)));
  while (at < end) {
    const size_t want = std::min<size_t>(buffer.size(), static_cast<size_t>(end - at));
    RETURN_IF_ERROR(PReadExactly(from, buffer.data(), want, static_cast<uint64_t>(at)));
    RETURN_IF_ERROR(PWriteAll(to, {buffer.data(), want}, static_cast<uint64_t>(at)));
    at += static_cast<off_t>(want);
  }
  return Ok();
}

Status CopyRange(int from, int to, off_t at, off_t end) {
  while (at < end) {
    off_t in = at, out = at;
    const ssize_t n = ::copy_file_range(from, &in, to, &out, static_cast<size_t>(end - at), 0);
    if (n > 0) {
      at += n;
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n == 0 || errno == EXDEV || errno == EOPNOTSUPP || errno == EINVAL ||
               errno == ENOSYS) {
      return CopyByHand(from, to, at, end);
    } else {
      return Errno("copy_file_range");
    }
  }
  return Ok();
}

Status DigHolesInRange(int fd, off_t at, off_t end) {
  constexpr off_t kBlock = 4096;
  std::vector<char> block(static_cast<size_t>(kBlock));
  for (at -= at % kBlock; at + kBlock <= end; at += kBlock) {
    RETURN_IF_ERROR(PReadExactly(fd, block.data(), block.size(), static_cast<uint64_t>(at)));
    if (std::any_of(block.begin(), block.end(), [](char byte) { return byte != 0; })) continue;
    if (::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, kBlock) != 0) {
      return Errno("punch a hole");
    }
  }
  return Ok();
}

}  // namespace

Status DigHoles(int fd) {
  off_t at = 0;
  while ((at = ::lseek(fd, at, SEEK_DATA)) >= 0) {
    const off_t hole = ::lseek(fd, at, SEEK_HOLE);
    if (hole < 0) return Errno("lseek");
    RETURN_IF_ERROR(DigHolesInRange(fd, at, hole));
    at = hole;
  }
  if (errno == ENXIO) return Ok();  // Only a hole is left.
  return Errno("lseek");
}

Status CopyData(int from, int to, uint64_t size) {
  const off_t end = static_cast<off_t>(size);
  if (::ftruncate(to, end) != 0) return Errno("truncate");
  if (size == 0 || ::ioctl(to, FICLONE, from) == 0) return Ok();
  off_t at = 0;
  while (at < end) {
    const off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return Ok();  // Only a hole is left.
    if (data < 0) return CopyRange(from, to, at, end);
    const off_t hole = std::min(end, ::lseek(from, data, SEEK_HOLE));
    if (hole < 0) return Errno("lseek");
    if (data >= end) return Ok();
    RETURN_IF_ERROR(CopyRange(from, to, data, hole));
    at = hole;
  }
  return Ok();
}

}  // namespace strata
