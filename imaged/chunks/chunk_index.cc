#include "imaged/chunks/chunk_index.h"

#include <algorithm>

#include "common/log.h"

namespace strata::imaged {
namespace {

constexpr size_t kChunksMax = 1 << 20;

}  // namespace

Status ChunkIndex::Load(uint64_t cut_bytes_max, const CancelToken& cancel,
                        const std::function<void()>& alive) {
  for (size_t i = 0; i < held_.size() && entries_.size() < kChunksMax; ++i) {
    const Held& held = held_[i];
    RETURN_IF_ERROR(cancel.Check());
    alive();
    if (!lists_.Has(held.digest)) {
      if (held.size_bytes > cut_bytes_max) continue;
      cut_bytes_max -= held.size_bytes;
    }
    const auto fd = store_.OpenObject(held.digest);
    if (!fd.ok()) continue;
    const size_t before = entries_.size();
    uint64_t offset = 0;
    const Status read = lists_.Read(
        held.digest, fd->get(), held.size_bytes, cancel, [&](std::span<const Chunk> part) {
          alive();
          for (const Chunk& chunk : part) {
            if (entries_.size() < kChunksMax) {
              entries_.push_back({chunk.id, static_cast<uint32_t>(i), chunk.size_bytes, offset});
            }
            offset += chunk.size_bytes;
          }
          return Ok();
        });
    if (read.ok()) continue;
    RETURN_IF_ERROR(cancel.Check());
    entries_.resize(before);
    LOG_WARNING(read.error().message());
  }
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const Entry& one, const Entry& other) { return one.id < other.id; });
  return Ok();
}

std::optional<ChunkIndex::Place> ChunkIndex::Find(const Chunk& chunk) const {
  const auto found =
      std::lower_bound(entries_.begin(), entries_.end(), chunk.id,
                       [](const Entry& entry, const ChunkId& id) { return entry.id < id; });
  if (found == entries_.end() || found->id != chunk.id || found->size_bytes != chunk.size_bytes) {
    return std::nullopt;
  }
  return Place{found->object, found->offset};
}

}  // namespace strata::imaged
