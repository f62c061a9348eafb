#include "imaged/transfer/piece_encoder.h"

#include <sys/stat.h>

#include <algorithm>

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

Result<uint64_t> SizeOf(int fd) {
  struct stat st;
  if (::fstat(fd, &st) != 0) return Errno("stat");
  return static_cast<uint64_t>(st.st_size);
}

struct Range {
  uint64_t begin = 0;
  uint64_t size = 0;
};

// The part of the base around where the segment's content is expected in it: at the same relative
// place, since insertions are spread over most files.
Range BaseWindow(uint64_t offset, uint64_t size, uint64_t object_size, uint64_t base_size) {
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

Status PieceEncoder::Encode(const Wanted& wanted) {
  const auto fd = open_(wanted.digest);
  if (!fd.ok()) {
    if (fd.error().code() == Code::kNotFound) return Refuse(wanted.number, v1::Refused::NOT_FOUND);
    LOG_WARNING(fd.error().message());
    return Refuse(wanted.number, v1::Refused::UNREADABLE);
  }
  ASSIGN_OR_RETURN(const uint64_t size, SizeOf(fd->get()));
  if (size != wanted.size_bytes) return Refuse(wanted.number, v1::Refused::OTHER_SIZE);
  Object object{.number = wanted.number, .fd = fd->get(), .size = size};
  UniqueFd base;
  if (!wanted.base.IsZero()) {
    // A base that is not here, or may not be read, is as good as none.
    if (auto opened = open_(wanted.base); opened.ok()) {
      base = std::move(*opened);
      ASSIGN_OR_RETURN(object.base_size, SizeOf(base.get()));
      if (object.base_size > 0) object.base_fd = base.get();
    }
  }
  if (size < kSmallBytes) return AddToBundle(object);
  // What came first should not wait for something large.
  if (size >= kFrameBytes) RETURN_IF_ERROR(Flush());
  return SendSegments(object, wanted.offset);
}

Status PieceEncoder::AddToBundle(const Object& object) {
  const auto content = ReadRange(object.fd, 0, object.size);
  if (!content.ok()) return Refuse(object.number, v1::Refused::UNREADABLE);
  Result<std::string> base = std::string();
  if (object.base_fd >= 0 && object.base_size <= kBundleBaseBytesMax) {
    base = ReadRange(object.base_fd, 0, object.base_size);
    if (!base.ok()) base = std::string();
  }
  if (bundle_content_.size() + content->size() > kBundleBytesTarget ||
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

Status PieceEncoder::SendSegments(const Object& object, uint64_t offset) {
  const uint64_t step = object.base_fd >= 0 ? kSegmentBytes : kFrameBytes;
  while (offset < object.size) {
    const auto content = ReadRange(object.fd, offset, std::min(step, object.size - offset));
    if (!content.ok()) {
      LOG_WARNING(content.error().message());
      return Refuse(object.number, v1::Refused::UNREADABLE);
    }
    bool sent = false;
    if (object.base_fd >= 0) {
      ASSIGN_OR_RETURN(sent, SendDelta(object, offset, *content));
    }
    if (!sent) RETURN_IF_ERROR(SendFrames(object.number, offset, *content));
    offset += content->size();
  }
  return Ok();
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

// False: not sent, because it would not be smaller than frames.
Result<bool> PieceEncoder::SendDelta(const Object& object, uint64_t offset,
                                     std::string_view content) {
  const Range window = BaseWindow(offset, content.size(), object.size, object.base_size);
  const auto prefix = ReadRange(object.base_fd, window.begin, window.size);
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

Status PieceEncoder::SendFrames(uint64_t number, uint64_t offset, std::string_view content) {
  while (!content.empty()) {
    const std::string_view part = content.substr(0, kFrameBytes);
    content.remove_prefix(part.size());
    ASSIGN_OR_RETURN(auto encoded, encoder_.Encode(part, {}, kEncodedBytesMax));
    v1::Piece piece;
    v1::Frame& frame = *piece.mutable_frame();
    frame.set_want(number);
    frame.set_offset(offset);
    frame.set_plain_bytes(static_cast<uint32_t>(part.size()));
    frame.set_data(std::move(encoded));
    RETURN_IF_ERROR(emit_(piece));
    offset += part.size();
  }
  return Ok();
}

}  // namespace strata::imaged::transfer
