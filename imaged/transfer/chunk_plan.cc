#include "imaged/transfer/chunk_plan.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "common/file_io.h"
#include "common/log.h"
#include "imaged/transfer/limits.h"

namespace strata::imaged::transfer {
namespace {

constexpr uint64_t kAlikeMarginBytes = 64 * kKiB;

}  // namespace

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

// What changed in a file lies between what did not, so it is looked for between the same
// neighbours.
void ChunkPlan::FindAlike(size_t run) {
  Run& missing = runs_[run];
  const uint64_t size = missing.end - missing.begin;
  if (size > kSegmentBytes) return;
  const Run* const before = run > 0 && runs_[run - 1].here ? &runs_[run - 1] : nullptr;
  const Run* const after =
      run + 1 < runs_.size() && runs_[run + 1].here ? &runs_[run + 1] : nullptr;
  if (before == nullptr && after == nullptr) return;
  const uint32_t object = before != nullptr ? before->here->object : after->here->object;
  const uint64_t object_bytes = index_.object(object).size_bytes;
  const uint64_t reach = size + size / 2 + kAlikeMarginBytes;
  uint64_t begin, end;
  if (before == nullptr) {
    end = after->here->offset;
    begin = end - std::min(end, reach);
  } else {
    begin = before->here->offset + (before->end - before->begin);
    end = begin + reach;
    const bool same = after != nullptr && after->here->object == object;
    if (same && after->here->offset >= begin && after->here->offset - begin <= 4 * reach) {
      end = after->here->offset;
    }
  }
  begin -= std::min(begin, kAlikeMarginBytes);
  end = std::min({end + kAlikeMarginBytes, object_bytes, begin + kSegmentBaseBytesMax});
  if (begin >= end) return;
  missing.alike = ChunkIndex::Place{object, begin};
  missing.alike_bytes = end - begin;
}

v1::Ranges ChunkPlan::Missing(uint64_t want) {
  v1::Ranges ranges;
  ranges.set_want(want);
  std::unordered_map<uint32_t, uint32_t> numbers;  // Of objects, from 1 on.
  for (size_t i = 0; i < runs_.size(); ++i) {
    if (runs_[i].here) continue;
    FindAlike(i);
    Run& run = runs_[i];
    ranges.add_offsets(run.begin);
    ranges.add_sizes(run.end - run.begin);
    v1::RangeBase& base = *ranges.add_bases();
    if (!run.alike) continue;
    const auto [number, fresh] =
        numbers.emplace(run.alike->object, static_cast<uint32_t>(numbers.size()) + 1);
    if (fresh && numbers.size() > kRangeObjectsMax) {
      numbers.erase(number);
      run.alike.reset();
      continue;
    }
    if (fresh) {
      const Digest& digest = index_.object(run.alike->object).digest;
      ranges.add_objects(digest.bytes().data(), Digest::kSize);
    }
    base.set_object(number->second);
    base.set_offset(run.alike->offset);
    base.set_size(static_cast<uint32_t>(run.alike_bytes));
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
  return Read({run->here->object, run->here->offset + (offset - run->begin)},
              std::min(run->end - offset, kFrameBytes));
}

std::optional<std::string> ChunkPlan::ReadBase(const v1::Delta& delta) {
  const Run* const run = Seek(delta.offset());
  if (run == nullptr || !run->alike || run->begin != delta.offset() ||
      delta.plain_bytes() != run->end - run->begin || delta.base_offset() != run->alike->offset ||
      delta.base_bytes() != run->alike_bytes) {
    return std::nullopt;
  }
  return Read(*run->alike, run->alike_bytes);
}

std::string ChunkPlan::Read(const ChunkIndex::Place& place, size_t size) {
  std::string bytes(size, '\0');
  if (!open_.valid() || open_object_ != place.object) {
    auto fd = index_.Open(place.object);
    open_ = fd.ok() ? std::move(*fd) : UniqueFd();
    open_object_ = place.object;
  }
  const Status read =
      open_.valid() ? PReadExactly(open_.get(), bytes.data(), bytes.size(), place.offset)
                    : Status(Error(Code::kNotFound, "an object with chunks of another is gone"));
  if (!read.ok()) {
    LOG_WARNING(read.error().message());
    std::memset(bytes.data(), 0, bytes.size());
  }
  return bytes;
}

}  // namespace strata::imaged::transfer
