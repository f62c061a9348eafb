#include "imaged/transfer/piece_encoder.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "common/file_io.h"
#include "common/log.h"
#include "imaged/transfer/limits.h"

namespace strata::imaged::transfer {
namespace {

Result<std::string> ReadRange(int fd, uint64_t offset, uint64_t size) {
  std::string bytes;
  bytes.resize(size);
  RETURN_IF_ERROR(PReadExactly(fd, bytes.data(), bytes.size(), offset));
  return bytes;
}

Result<uint64_t> SizeOf(const SourceObject& source) {
  if (source.growing != nullptr) return source.growing->size_bytes();
  struct stat st;
  if (::fstat(source.fd.get(), &st) != 0) return Errno("stat");
  return static_cast<uint64_t>(st.st_size);
}

// Less than the silence that a receiver takes, so that it hears of it.
constexpr std::chrono::seconds kGrowthStallMax{20};

// The part of the base around where the segment's content is expected in it: at the same relative
// place, since insertions are spread over most files.
PieceEncoder::Range BaseWindow(uint64_t offset, uint64_t size, uint64_t object_size,
                               uint64_t base_size) {
  if (base_size <= kSegmentBaseBytesMax) return {0, base_size};
  const double scale = static_cast<double>(base_size) / static_cast<double>(object_size);
  const auto middle =
      static_cast<uint64_t>(scale * (static_cast<double>(offset) + static_cast<double>(size) / 2));
  const uint64_t half = kSegmentBaseBytesMax / 2;
  const uint64_t begin = std::min(middle - std::min(middle, half), base_size - 2 * half);
  return {begin, kSegmentBaseBytesMax};
}

}  // namespace

Status PieceEncoder::Refuse(uint64_t number, v1::Refused::Reason reason) {
  v1::Piece piece;
  piece.mutable_refused()->set_want(number);
  piece.mutable_refused()->set_reason(reason);
  return emit_(piece);
}

Result<SourceObject> PieceEncoder::OpenWanted(const Wanted& wanted) {
  const auto refuse = [&](v1::Refused::Reason reason) -> Result<SourceObject> {
    RETURN_IF_ERROR(Refuse(wanted.number, reason));
    return SourceObject(UniqueFd());
  };
  if (options_.is_here && !options_.is_here(wanted.digest)) RETURN_IF_ERROR(Flush());
  auto source = open_(wanted.digest);
  if (!source.ok()) {
    if (source.error().code() == Code::kNotFound) return refuse(v1::Refused::NOT_FOUND);
    LOG_WARNING(source.error().message());
    return refuse(v1::Refused::UNREADABLE);
  }
  ASSIGN_OR_RETURN(const uint64_t size, SizeOf(*source));
  if (size != wanted.size_bytes) return refuse(v1::Refused::OTHER_SIZE);
  return source;
}

PieceEncoder::Object PieceEncoder::ObjectOf(const Wanted& wanted,
                                            const SourceObject& source) const {
  return {.number = wanted.number,
          .fd = source.fd.get(),
          .size = wanted.size_bytes,
          .growing = source.growing.get(),
          .frame_bytes = wanted.grouped ? kGroupBytes : kFrameBytes};
}

Status PieceEncoder::Encode(const Wanted& wanted) {
  ASSIGN_OR_RETURN(const SourceObject source, OpenWanted(wanted));
  if (!source.fd.valid()) return Ok();
  const uint64_t size = wanted.size_bytes;
  // An object of which more has to come is not cut: it goes on at once.
  if (wanted.chunked && options_.chunk_lists != nullptr && source.growing == nullptr &&
      listed_.size() < kListedMax) {
    RETURN_IF_ERROR(Flush());
    return ListChunks(wanted, source.fd.get());
  }
  Object object = ObjectOf(wanted, source);
  UniqueFd base;
  if (!wanted.base.IsZero()) {
    // A base that is not here, or may not be read, is as good as none.
    if (auto opened = open_(wanted.base); opened.ok() && opened->growing == nullptr) {
      ASSIGN_OR_RETURN(object.base_size, SizeOf(*opened));
      base = std::move(opened->fd);
      if (object.base_size > 0) object.base_fd = base.get();
    }
  }
  if (size < kSmallBytes) return AddToBundle(object);
  // What came first should not wait for something large.
  if (size >= kFrameBytes || wanted.grouped) RETURN_IF_ERROR(Flush());
  ASSIGN_OR_RETURN(bool sent, SendGroups(wanted, source));
  if (sent) {
    ASSIGN_OR_RETURN(sent, SendSegments(object, wanted.offset));
  }
  return Ok();
}

Result<bool> PieceEncoder::SendGroups(const Wanted& wanted, const SourceObject& source) {
  if (!wanted.grouped) return true;
  v1::Piece piece;
  v1::Groups& groups = *piece.mutable_groups();
  groups.set_want(wanted.number);
  const auto add = [&groups](const GroupValue& value) {
    groups.mutable_values()->append(reinterpret_cast<const char*>(value.data()), value.size());
  };
  if (source.growing != nullptr) {
    for (const GroupValue& value : source.growing->values()) add(value);
  } else {
    for (uint64_t offset = 0; offset < wanted.size_bytes; offset += kGroupBytes) {
      RETURN_IF_ERROR(cancel_.Check());
      const auto group = ReadRange(source.fd.get(), offset,
                                   std::min<uint64_t>(kGroupBytes, wanted.size_bytes - offset));
      if (!group.ok()) {
        LOG_WARNING(group.error().message());
        RETURN_IF_ERROR(Refuse(wanted.number, v1::Refused::UNREADABLE));
        return false;
      }
      add(ValueOfGroup(*group, offset / kGroupBytes));
    }
  }
  RETURN_IF_ERROR(emit_(piece));
  return true;
}

Status PieceEncoder::ListChunks(const Wanted& wanted, int fd) {
  v1::Piece piece;
  uint64_t listed = 0;
  bool sent = true;
  const Status read = options_.chunk_lists->Read(
      wanted.digest, fd, wanted.size_bytes, cancel_, [&](std::span<const Chunk> part) -> Status {
        v1::ChunkList& list = *piece.mutable_chunk_list();
        list.Clear();
        list.set_want(wanted.number);
        for (const Chunk& chunk : part) {
          list.mutable_ids()->append(reinterpret_cast<const char*>(chunk.id.data()),
                                     chunk.id.size());
          list.add_sizes(chunk.size_bytes);
          listed += chunk.size_bytes;
        }
        list.set_last(listed == wanted.size_bytes);
        const Status emitted = emit_(piece);
        sent = emitted.ok();
        return emitted;
      });
  if (!read.ok()) {
    if (!sent || cancel_.cancelled()) return read;
    LOG_WARNING(read.error().message());
    return Refuse(wanted.number, v1::Refused::UNREADABLE);
  }
  listed_.emplace(wanted.number, wanted);
  return Ok();
}

Status PieceEncoder::CheckRangeBases(const v1::Ranges& ranges) {
  const auto objects = static_cast<size_t>(ranges.objects_size());
  bool right = objects <= kRangeObjectsMax &&
               (ranges.bases().empty() || ranges.bases_size() == ranges.offsets_size());
  for (const std::string& digest : ranges.objects()) {
    right = right && digest.size() == Digest::kSize;
  }
  // Reading bases costs no more than a few times what is sent.
  for (int i = 0; right && i < ranges.bases_size(); ++i) {
    const v1::RangeBase& base = ranges.bases(i);
    right = base.object() <= objects && base.size() <= kSegmentBaseBytesMax &&
            base.size() <= kRangeBaseFactor * ranges.sizes(i) + kMiB &&
            base.offset() <= kObjectBytesMax;
  }
  if (right) return Ok();
  return Error(Code::kInvalidArgument, "the receiver names impossible bases of ranges");
}

Status PieceEncoder::EncodeRanges(const v1::Ranges& ranges) {
  const auto found = listed_.find(ranges.want());
  if (found == listed_.end()) {
    return Error(Code::kInvalidArgument, "the receiver names ranges of an object without chunks");
  }
  const Wanted wanted = found->second;
  listed_.erase(found);
  if (ranges.offsets_size() != ranges.sizes_size() ||
      static_cast<size_t>(ranges.offsets_size()) > kRangesMax) {
    return Error(Code::kInvalidArgument, "the receiver's ranges are malformed");
  }
  uint64_t end = wanted.offset;
  for (int i = 0; i < ranges.offsets_size(); ++i) {
    if (ranges.offsets(i) < end || ranges.offsets(i) > wanted.size_bytes || ranges.sizes(i) == 0 ||
        ranges.sizes(i) > wanted.size_bytes - ranges.offsets(i)) {
      return Error(Code::kInvalidArgument, "the receiver names impossible ranges");
    }
    end = ranges.offsets(i) + ranges.sizes(i);
  }
  RETURN_IF_ERROR(CheckRangeBases(ranges));
  if (ranges.offsets().empty()) return Ok();
  ASSIGN_OR_RETURN(const SourceObject source, OpenWanted(wanted));
  if (!source.fd.valid()) return Ok();
  ASSIGN_OR_RETURN(const bool told, SendGroups(wanted, source));
  if (!told) return Ok();
  std::vector<UniqueFd> bases = OpenRangeObjects(ranges);
  for (int i = 0; i < ranges.offsets_size(); ++i) {
    Object object = ObjectOf(wanted, source);
    object.size = ranges.offsets(i) + ranges.sizes(i);
    ASSIGN_OR_RETURN(bool sent, SendRangeDelta(object, ranges, i, bases));
    if (sent) continue;
    ASSIGN_OR_RETURN(sent, SendSegments(object, ranges.offsets(i)));
    if (!sent) return Ok();
  }
  return Ok();
}

std::vector<UniqueFd> PieceEncoder::OpenRangeObjects(const v1::Ranges& ranges) const {
  std::vector<UniqueFd> objects;
  for (const std::string& bytes : ranges.objects()) {
    Digest::Bytes copy;
    std::memcpy(copy.data(), bytes.data(), copy.size());
    // One that is not here, or may not be read, is as good as none.
    auto source = open_(Digest(copy));
    const bool usable = source.ok() && source->growing == nullptr;
    objects.push_back(usable ? std::move(source->fd) : UniqueFd());
  }
  return objects;
}

Result<bool> PieceEncoder::SendRangeDelta(const Object& object, const v1::Ranges& ranges, int index,
                                          const std::vector<UniqueFd>& bases) {
  const uint64_t size = ranges.sizes(index);
  if (ranges.bases().empty() || size > kSegmentBytes) return false;
  const v1::RangeBase& base = ranges.bases(index);
  if (base.object() == 0 || !bases[base.object() - 1].valid()) return false;
  const auto content = ReadRange(object.fd, ranges.offsets(index), size);
  if (!content.ok()) return false;  // Which is then told.
  return SendDelta(object, ranges.offsets(index), *content, bases[base.object() - 1].get(),
                   {base.offset(), base.size()});
}

Status PieceEncoder::AddToBundle(const Object& object) {
  const auto content = ReadRange(object.fd, 0, object.size);
  if (!content.ok()) return Refuse(object.number, v1::Refused::UNREADABLE);
  Result<std::string> base = std::string();
  if (object.base_fd >= 0 && object.base_size <= kBundleBaseBytesMax) {
    base = ReadRange(object.base_fd, 0, object.base_size);
    if (!base.ok()) base = std::string();
  }
  if (bundle_content_.size() + content->size() > options_.bundle_bytes ||
      bundle_prefix_.size() + base->size() > kBundleBytesMax) {
    RETURN_IF_ERROR(Flush());
  }
  if (!base->empty()) bundle_.add_based(static_cast<uint32_t>(bundle_.wants_size()));
  bundle_.add_wants(object.number);
  bundle_content_ += *content;
  bundle_prefix_ += *base;
  return Ok();
}

Status PieceEncoder::Flush() {
  if (bundle_.wants_size() == 0) return Ok();
  ASSIGN_OR_RETURN(auto frame, encoder_.Encode(bundle_content_, bundle_prefix_, kEncodedBytesMax));
  v1::Piece piece;
  bundle_.set_frame(std::move(frame));
  piece.mutable_bundle()->Swap(&bundle_);
  bundle_.Clear();
  bundle_content_.clear();
  bundle_prefix_.clear();
  return emit_(piece);
}

Result<bool> PieceEncoder::SendSegments(const Object& object, uint64_t offset) {
  const uint64_t step = object.base_fd >= 0 ? kSegmentBytes : object.frame_bytes;
  while (offset < object.size) {
    const uint64_t size = std::min(step, object.size - offset);
    const auto content = [&]() -> Result<std::string> {
      if (object.growing != nullptr) {
        RETURN_IF_ERROR(object.growing->WaitFor(offset + size, kGrowthStallMax));
      }
      return ReadRange(object.fd, offset, size);
    }();
    if (!content.ok()) {
      LOG_WARNING(content.error().message());
      RETURN_IF_ERROR(Refuse(object.number, v1::Refused::UNREADABLE));
      return false;
    }
    bool sent = false;
    if (object.base_fd >= 0) {
      const Range window = BaseWindow(offset, size, object.size, object.base_size);
      ASSIGN_OR_RETURN(sent, SendDelta(object, offset, *content, object.base_fd, window));
    }
    if (!sent) RETURN_IF_ERROR(SendFrames(object, offset, *content));
    offset += content->size();
  }
  return true;
}

Result<uint64_t> PieceEncoder::FramesSize(std::string_view content) {
  uint64_t size = 0;
  for (; !content.empty(); content.remove_prefix(std::min(content.size(), kFrameBytes))) {
    ASSIGN_OR_RETURN(const std::string frame,
                     encoder_.Encode(content.substr(0, kFrameBytes), {}, kEncodedBytesMax));
    size += frame.size();
  }
  return size;
}

Result<bool> PieceEncoder::SendDelta(const Object& object, uint64_t offset,
                                     std::string_view content, int base_fd, Range window) {
  const auto prefix = ReadRange(base_fd, window.begin, window.size);
  if (!prefix.ok()) return false;
  const auto frame = encoder_.Encode(content, *prefix, content.size());
  if (!frame.ok()) {
    if (frame.error().code() == Code::kResourceExhausted) return false;
    return frame.error();
  }
  // A good delta needs no comparison.
  if (frame->size() > content.size() / 8) {
    ASSIGN_OR_RETURN(const uint64_t plain, FramesSize(content));
    if (plain <= frame->size()) return false;
  }
  v1::Piece piece;
  v1::Delta& delta = *piece.mutable_delta();
  delta.set_want(object.number);
  delta.set_offset(offset);
  delta.set_plain_bytes(static_cast<uint32_t>(content.size()));
  delta.set_base_offset(window.begin);
  delta.set_base_bytes(static_cast<uint32_t>(window.size));
  delta.set_encoded_bytes(static_cast<uint32_t>(frame->size()));
  std::string_view rest = *frame;
  const auto next_part = [&rest] {
    const std::string_view part = rest.substr(0, kDeltaPartBytesMax);
    rest.remove_prefix(part.size());
    return std::string(part);
  };
  delta.set_data(next_part());
  RETURN_IF_ERROR(emit_(piece));
  while (!rest.empty()) {
    v1::Piece more;
    more.mutable_delta_part()->set_data(next_part());
    RETURN_IF_ERROR(emit_(more));
  }
  return true;
}

Status PieceEncoder::SendFrames(const Object& object, uint64_t offset, std::string_view content) {
  while (!content.empty()) {
    const std::string_view part = content.substr(0, object.frame_bytes);
    content.remove_prefix(part.size());
    ASSIGN_OR_RETURN(auto encoded, encoder_.Encode(part, {}, kEncodedBytesMax));
    v1::Piece piece;
    v1::Frame& frame = *piece.mutable_frame();
    frame.set_want(object.number);
    frame.set_offset(offset);
    frame.set_plain_bytes(static_cast<uint32_t>(part.size()));
    frame.set_data(std::move(encoded));
    RETURN_IF_ERROR(emit_(piece));
    offset += part.size();
  }
  return Ok();
}

}  // namespace strata::imaged::transfer
