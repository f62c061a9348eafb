// Content-defined chunks: where a file is cut depends on the bytes before the cut alone, so that
// equal runs of bytes give equal chunks wherever they lie, in whatever file.
//
// The cuts are those of FastCDC (Xia et al., "FastCDC: a Fast and Efficient Content-Defined
// Chunking Approach for Data Deduplication", USENIX ATC 2016): a gear hash over the last 64 bytes,
// nothing looked at below the smallest size, and a mask of more bits before the usual size than
// after it. Sizes, masks and the table are part of the transfer protocol (docs/transfer.md): two
// hosts have to cut alike.
//
// Thread-safe (no state).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "common/cancel.h"
#include "common/result.h"

namespace strata::imaged {

inline constexpr size_t kChunkBytesMin = 16 << 10;
inline constexpr size_t kChunkBytesUsual = 64 << 10;
inline constexpr size_t kChunkBytesMax = 256 << 10;

// The first half of the chunk's BLAKE3 digest. It finds bytes and never proves them: what is made
// of chunks is compared with the digest of the whole.
using ChunkId = std::array<uint8_t, 16>;

struct Chunk {
  ChunkId id{};
  uint32_t size_bytes = 0;
};
static_assert(sizeof(Chunk) == 20);

// The size of the chunk that `bytes` starts with. Fewer than kChunkBytesMax are the end of a file.
size_t FirstChunkBytes(std::string_view bytes);

// The chunks of the file behind `fd`, of which `size_bytes` are read. kCorrupt when it is shorter.
// An error of `take` is passed on. Memory: about 4 MiB.
Status ForEachChunk(int fd, uint64_t size_bytes, const CancelToken& cancel,
                    const std::function<Status(const Chunk&)>& take);

}  // namespace strata::imaged
