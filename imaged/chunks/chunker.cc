#include "imaged/chunks/chunker.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "common/digest.h"
#include "common/file_io.h"

namespace strata::imaged {
namespace {

constexpr size_t kBufferBytes = 4 << 20;

// The gear hash is shifted to the left, so its upper bits have seen the most bytes. The usual size
// is 2^16: two bits more before it, two less after it ("normalised chunking", level 2).
constexpr uint64_t UpperBits(int count) { return ~uint64_t{0} << (64 - count); }
constexpr uint64_t kMaskBefore = UpperBits(18);
constexpr uint64_t kMaskAfter = UpperBits(14);

// 256 numbers of splitmix64 (Steele et al., "Fast Splittable Pseudorandom Number Generators",
// OOPSLA 2014), from 0 on.
constexpr std::array<uint64_t, 256> MakeGear() {
  std::array<uint64_t, 256> gear{};
  uint64_t state = 0;
  for (uint64_t& number : gear) {
    state += 0x9e3779b97f4a7c15;
    uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    number = mixed ^ (mixed >> 31);
  }
  return gear;
}
constexpr std::array<uint64_t, 256> kGear = MakeGear();

}  // namespace

size_t FirstChunkBytes(std::string_view bytes) {
  const size_t end = std::min(bytes.size(), kChunkBytesMax);
  if (end <= kChunkBytesMin) return end;
  const size_t usual = std::min(end, kChunkBytesUsual);
  uint64_t hash = 0;
  size_t i = kChunkBytesMin - 64;  // So that a cut depends on 64 bytes, however small the chunk.
  for (; i < kChunkBytesMin; ++i) hash = (hash << 1) + kGear[static_cast<uint8_t>(bytes[i])];
  for (; i < usual; ++i) {
    hash = (hash << 1) + kGear[static_cast<uint8_t>(bytes[i])];
    if ((hash & kMaskBefore) == 0) return i + 1;
  }
  for (; i < end; ++i) {
    hash = (hash << 1) + kGear[static_cast<uint8_t>(bytes[i])];
    if ((hash & kMaskAfter) == 0) return i + 1;
  }
  return end;
}

Status ForEachChunk(int fd, uint64_t size_bytes, const CancelToken& cancel,
                    const std::function<Status(const Chunk&)>& take) {
  std::string buffer(std::min<uint64_t>(kBufferBytes, size_bytes), '\0');
  uint64_t read = 0;
  size_t held = 0;  // Bytes in the buffer that are in no chunk yet.
  while (read < size_bytes) {
    RETURN_IF_ERROR(cancel.Check());
    const size_t more = std::min<uint64_t>(buffer.size() - held, size_bytes - read);
    RETURN_IF_ERROR(PReadExactly(fd, buffer.data() + held, more, read));
    read += more;
    std::string_view rest(buffer.data(), held + more);
    while (rest.size() >= kChunkBytesMax || (read == size_bytes && !rest.empty())) {
      const std::string_view content = rest.substr(0, FirstChunkBytes(rest));
      Chunk chunk;
      const Digest digest = Hasher::Of(content);
      std::memcpy(chunk.id.data(), digest.bytes().data(), chunk.id.size());
      chunk.size_bytes = static_cast<uint32_t>(content.size());
      RETURN_IF_ERROR(take(chunk));
      rest.remove_prefix(content.size());
    }
    held = rest.size();
    std::memmove(buffer.data(), rest.data(), held);
  }
  return Ok();
}

}  // namespace strata::imaged
