// ChunkPlan: which bytes of an object that comes in chunks are here already, and which have to
// come. Made of the sender's list of its chunks; nothing in that is believed but that it adds up.
//
// Not thread-safe. Memory: 80 bytes for each turn from bytes that are here to bytes that are not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "imaged/api/transfer.pb.h"
#include "imaged/chunks/chunk_index.h"

namespace strata::imaged::transfer {

class ChunkPlan {
 public:
  // `index` must outlive it.
  ChunkPlan(const ChunkIndex& index, uint64_t object_bytes)
      : index_(index), object_bytes_(object_bytes) {}

  // The bytes before `offset` are here. Called before Take.
  void StartAt(uint64_t offset) { start_ = offset; }

  // kCorrupt: it is no list of chunks of such an object.
  Status Take(const v1::ChunkList& part);
  bool complete() const { return complete_; }

  // REQUIRES for all that follows: complete().
  // What has to come, and what lies between the same neighbours here. Called once, first.
  v1::Ranges Missing(uint64_t want);
  // Bytes from `offset` on that have to come; 0: the next ones are here, or it is the end. Offsets
  // never go back.
  uint64_t MissingAt(uint64_t offset);
  // The next bytes that are here, at most a frame's; "" when they have to come, or at the end.
  // Bytes that cannot be read any more are zeros: the object's digest will tell.
  std::string ReadAt(uint64_t offset);
  // What was named for a range that begins at the delta's offset, when it is as the delta says;
  // null otherwise. Zeros for what cannot be read any more.
  std::optional<std::string> ReadBase(const v1::Delta& delta);

 private:
  struct Run {
    uint64_t begin = 0;
    uint64_t end = 0;
    std::optional<ChunkIndex::Place> here;
    // Of a run that has to come: a place that is probably alike, and how much of it.
    std::optional<ChunkIndex::Place> alike;
    uint64_t alike_bytes = 0;
  };
  void Add(const Chunk& chunk);
  void FindAlike(size_t run);
  std::string Read(const ChunkIndex::Place& place, size_t size);
  // The run that holds `offset`; null at the end.
  const Run* Seek(uint64_t offset);

  const ChunkIndex& index_;
  const uint64_t object_bytes_;
  uint64_t start_ = 0;
  uint64_t listed_ = 0;  // Bytes of the chunks so far.
  bool complete_ = false;
  bool short_chunk_ = false;  // Only the last one may be.
  std::vector<Run> runs_;
  size_t missing_runs_ = 0;
  size_t at_ = 0;  // The run that was sought last.
  uint32_t open_object_ = 0;
  UniqueFd open_;  // Object `open_object_` of the index, when it is open.
};

}  // namespace strata::imaged::transfer
