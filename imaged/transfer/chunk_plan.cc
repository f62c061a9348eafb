#include "imaged/transfer/chunk_plan.h"

#include <algorithm>
#include <cstring>

#include "common/file_io.h"
#include "common/log.h"
#include "imaged/transfer/limits.h"

namespace strata::imaged::transfer {

Status ChunkPlan::Take(const v1::ChunkList& part) {
  const auto fault = [](const char* what) { return Error(Code::kCorrupt, what); };
  if (complete_) return fault("the sender tells the chunks of an object again");
  const auto count = static_cast<size_t>(part.sizes_size());
  if (count > kChunksPerMessageMax || part.ids().size() != count * sizeof(ChunkId)) {
    return fault("the sender's list of chunks is malformed");
  }
  for (size_t i = 0; i < count; ++i) {
    Chunk chunk;
    std::memcpy(chunk.id.data(), part.ids().data() + i * sizeof(ChunkId), sizeof(ChunkId));
    chunk.size_bytes = part.sizes(static_cast<int>(i));
    if (short_chunk_ || chunk.size_bytes == 0 || chunk.size_bytes > kChunkBytesMax ||
        chunk.size_bytes > object_bytes_ - listed_) {
      return fault("the sender's chunks are of impossible sizes");
    }
    short_chunk_ = chunk.size_bytes < kChunkBytesMin;
    Add(chunk);
    listed_ += chunk.size_bytes;
  }
  if (count == 0 && !part.last()) return fault("the sender's list of chunks does not go on");
  complete_ = part.last();
  if (complete_ && listed_ != object_bytes_) {
    return fault("the sender's chunks are not the whole object");
  }
  return Ok();
}

void ChunkPlan::Add(const Chunk& chunk) {
  Run run{listed_, listed_ + chunk.size_bytes, index_.Find(chunk)};
  if (run.end <= start_) return;
  if (run.begin < start_) {
    if (run.here) run.here->offset += start_ - run.begin;
    run.begin = start_;
  }
  Run* const last = runs_.empty() ? nullptr : &runs_.back();
  // With that many ranges, what follows comes as a whole.
  if (last != nullptr && !last->here && missing_runs_ == kRangesMax) run.here.reset();
  const bool goes_on =
      last != nullptr && last->here.has_value() == run.here.has_value() &&
      (!run.here || (run.here->object == last->here->object &&
                     run.here->offset == last->here->offset + (last->end - last->begin)));
  if (goes_on) {
    last->end = run.end;
    return;
  }
  missing_runs_ += !run.here;
  runs_.push_back(run);
}

v1::Ranges ChunkPlan::Missing(uint64_t want) const {
  v1::Ranges ranges;
  ranges.set_want(want);
  for (const Run& run : runs_) {
    if (run.here) continue;
    ranges.add_offsets(run.begin);
    ranges.add_sizes(run.end - run.begin);
  }
  return ranges;
}

const ChunkPlan::Run* ChunkPlan::Seek(uint64_t offset) {
  while (at_ < runs_.size() && runs_[at_].end <= offset) ++at_;
  return at_ < runs_.size() ? &runs_[at_] : nullptr;
}

uint64_t ChunkPlan::MissingAt(uint64_t offset) {
  const Run* const run = Seek(offset);
  return run == nullptr || run->here ? 0 : run->end - offset;
}

std::string ChunkPlan::ReadAt(uint64_t offset) {
  const Run* const run = Seek(offset);
  if (run == nullptr || !run->here) return {};
  std::string bytes(std::min(run->end - offset, kFrameBytes), '\0');
  if (!open_.valid() || open_object_ != run->here->object) {
    auto fd = index_.Open(run->here->object);
    open_ = fd.ok() ? std::move(*fd) : UniqueFd();
    open_object_ = run->here->object;
  }
  const Status read =
      open_.valid() ? PReadExactly(open_.get(), bytes.data(), bytes.size(),
                                   run->here->offset + (offset - run->begin))
                    : Status(Error(Code::kNotFound, "an object with chunks of another is gone"));
  if (!read.ok()) {
    LOG_WARNING(read.error().message());
    std::memset(bytes.data(), 0, bytes.size());
  }
  return bytes;
}

}  // namespace strata::imaged::transfer
