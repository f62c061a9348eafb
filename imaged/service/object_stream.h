// An object's bytes as the chunks of a stream.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <string>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/api/host_image.pb.h"

namespace strata::imaged {

// Reads `fd` to its end; `write` takes each chunk and says whether the caller is still there.
template <typename Write>
Status StreamObject(const Digest& digest, int fd, const Write& write) {
  constexpr size_t kChunkBytes = 512 * 1024;
  v1::ObjectChunk chunk;
  std::string& data = *chunk.mutable_data();
  while (true) {
    data.resize(kChunkBytes);
    const ssize_t n = ::read(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("read object " + digest.ToString());
    if (n == 0) return Ok();
    data.resize(static_cast<size_t>(n));
    if (!write(chunk)) return Error(Code::kCancelled, "the caller went away");
  }
}

}  // namespace strata::imaged
