// A manifest on its way between hosts: chunks of a megabyte, each a zstd frame whose prefix is the
// chunk before it, because a directory's inodes look like those of the last one. A Debian 12's
// 2.6 MB become 0.5 MB.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <string>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/api/host_image.pb.h"
#include "imaged/transfer/frame_codec.h"

namespace strata::imaged {

inline constexpr size_t kManifestChunkBytes = 1u << 20;

// Reads `fd` to its end; `write` takes each chunk and says whether the caller is still there.
template <typename Write>
Status SendManifest(const Digest& layer, int fd, const Write& write) {
  constexpr int kLevel = 6;
  transfer::FrameEncoder encoder(kLevel);
  std::string before;
  while (true) {
    std::string plain(kManifestChunkBytes, '\0');
    size_t filled = 0;
    while (filled < plain.size()) {
      const ssize_t n = ::read(fd, plain.data() + filled, plain.size() - filled);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Errno("read manifest " + layer.ToString());
      if (n == 0) break;
      filled += static_cast<size_t>(n);
    }
    if (filled == 0) return Ok();
    plain.resize(filled);
    v1::ObjectChunk chunk;
    ASSIGN_OR_RETURN(*chunk.mutable_data(), encoder.Encode(plain, before, 2 * kManifestChunkBytes));
    chunk.set_plain_bytes(static_cast<uint32_t>(filled));
    if (!write(chunk)) return Error(Code::kCancelled, "the caller went away");
    before = std::move(plain);
  }
}

// The other end. Takes chunks of hosts that do not compress, too.
class ManifestReceiver {
 public:
  // The chunk's plain bytes, valid until the next call. kCorrupt.
  Result<std::string_view> Take(const v1::ObjectChunk& chunk) {
    wire_bytes_ += chunk.data().size();
    if (chunk.plain_bytes() == 0) return std::string_view(chunk.data());
    if (chunk.plain_bytes() > kManifestChunkBytes) {
      return Error(Code::kCorrupt, "a chunk of the manifest is too large");
    }
    ASSIGN_OR_RETURN(last_, decoder_.Decode(chunk.data(), last_, chunk.plain_bytes()));
    return std::string_view(last_);
  }
  uint64_t wire_bytes() const { return wire_bytes_; }

 private:
  transfer::FrameDecoder decoder_;
  std::string last_;
  uint64_t wire_bytes_ = 0;
};

}  // namespace strata::imaged
