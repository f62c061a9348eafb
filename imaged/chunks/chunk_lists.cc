#include "imaged/chunks/chunk_lists.h"

#include <dirent.h>
#include <unistd.h>

#include <cstring>
#include <string_view>
#include <vector>

#include "common/file_io.h"
#include "common/log.h"

namespace strata::imaged {
namespace {

constexpr std::string_view kMagic = "strchnk1";
constexpr size_t kFileBytesMax = 1 << 30;

// The chunks of a file's bytes; empty when they are not those of an object of this size.
std::span<const Chunk> Parse(std::string_view bytes, uint64_t size_bytes) {
  if (!bytes.starts_with(kMagic)) return {};
  bytes.remove_prefix(kMagic.size());
  if (bytes.size() % sizeof(Chunk) != 0) return {};
  static_assert(alignof(Chunk) <= 8);
  const std::span chunks(reinterpret_cast<const Chunk*>(bytes.data()),
                         bytes.size() / sizeof(Chunk));
  uint64_t sum = 0;
  for (const Chunk& chunk : chunks) {
    if (chunk.size_bytes == 0 || chunk.size_bytes > kChunkBytesMax) return {};
    sum += chunk.size_bytes;
  }
  return sum == size_bytes ? chunks : std::span<const Chunk>();
}

}  // namespace

Result<std::unique_ptr<ChunkLists>> ChunkLists::Open(const ObjectStore& store) {
  const std::string directory = store.root() + "/chunks";
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  std::unique_ptr<ChunkLists> lists(new ChunkLists(store, directory));
  RETURN_IF_ERROR(lists->RemoveOrphans());
  return lists;
}

Status ChunkLists::RemoveOrphans() const {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory_.c_str()), ::closedir);
  if (stream == nullptr) return Errno("opendir " + directory_);
  std::vector<std::string> orphans;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const auto digest = Digest::FromHex(name);
    if (!digest.ok() || !store_.Has(*digest)) orphans.push_back(directory_ + "/" + name);
  }
  for (const std::string& path : orphans) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Errno("remove " + path);
  }
  return Ok();
}

bool ChunkLists::Has(const Digest& digest) const { return PathExists(PathOf(digest)); }

Status ChunkLists::Read(const Digest& digest, int fd, uint64_t size_bytes,
                        const CancelToken& cancel, const Take& take) const {
  if (const auto kept = ReadFile(PathOf(digest), kFileBytesMax); kept.ok()) {
    std::span<const Chunk> chunks = Parse(*kept, size_bytes);
    if (!chunks.empty()) {
      while (!chunks.empty()) {
        const auto part = chunks.first(std::min(chunks.size(), kPartChunks));
        RETURN_IF_ERROR(take(part));
        chunks = chunks.subspan(part.size());
      }
      return Ok();
    }
    LOG_WARNING("the chunk list of " + digest.ToString() + " is damaged: it is made again");
  }
  std::string list(kMagic);
  std::vector<Chunk> part;
  const auto give = [&]() -> Status {
    list.append(reinterpret_cast<const char*>(part.data()), part.size() * sizeof(Chunk));
    RETURN_IF_ERROR(take(part));
    part.clear();
    return Ok();
  };
  RETURN_IF_ERROR(ForEachChunk(fd, size_bytes, cancel, [&](const Chunk& chunk) -> Status {
    part.push_back(chunk);
    return part.size() < kPartChunks ? Ok() : give();
  }));
  RETURN_IF_ERROR(give());
  // The object itself may be gone by now; then the next opening removes its list.
  if (const Status kept = WriteFileAtomically(PathOf(digest), list, 0600); !kept.ok()) {
    LOG_WARNING("the chunk list of " + digest.ToString() + ": " + kept.error().message());
  }
  return Ok();
}

}  // namespace strata::imaged
