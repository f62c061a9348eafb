#include "imaged/transfer/sender.h"

#include <cstring>

#include "imaged/transfer/limits.h"

namespace strata::imaged::transfer {
namespace {

Error Fault(const std::string& what) {
  return Error(Code::kInvalidArgument, "the receiver " + what);
}

Result<Digest> ToDigest(const std::string& bytes) {
  if (bytes.size() != Digest::kSize) return Fault("names an object by no digest");
  Digest::Bytes copy;
  std::memcpy(copy.data(), bytes.data(), copy.size());
  return Digest(copy);
}

Result<PieceEncoder::Wanted> Check(const v1::Want& want, uint64_t number) {
  PieceEncoder::Wanted wanted;
  wanted.number = number;
  ASSIGN_OR_RETURN(wanted.digest, ToDigest(want.digest()));
  if (!want.base().empty()) {
    ASSIGN_OR_RETURN(wanted.base, ToDigest(want.base()));
  }
  wanted.size_bytes = want.size_bytes();
  wanted.offset = want.offset();
  wanted.chunked = want.chunked();
  wanted.grouped = want.grouped();
  if (wanted.size_bytes > kObjectBytesMax) return Fault("wants an impossible size");
  if (wanted.chunked && (!want.base().empty() || wanted.size_bytes < kChunkedBytesMin ||
                         wanted.size_bytes > kChunkedBytesMax)) {
    return Fault("wants chunks of an object that does not come in chunks");
  }
  if (wanted.grouped &&
      (wanted.size_bytes < kGroupedBytesMin || wanted.size_bytes > kGroupedBytesMax)) {
    return Fault("wants groups of an object that does not come in groups");
  }
  if (wanted.offset % kGroupBytes != 0 ||
      (wanted.offset > 0 && wanted.offset >= wanted.size_bytes)) {
    return Fault("resumes at an impossible offset");
  }
  return wanted;
}

}  // namespace

Status SendObjects(const OpenObject& open, const SenderChannel& channel, const SendOptions& options,
                   const CancelToken& cancel, SendReport* report) {
  *report = {};
  const auto emit = [&](const v1::Piece& piece) -> Status {
    RETURN_IF_ERROR(cancel.Check());
    const uint64_t size = piece.ByteSizeLong();
    if (options.limiter != nullptr) RETURN_IF_ERROR(options.limiter->Take(size, cancel));
    RETURN_IF_ERROR(channel.send(piece));
    ++report->pieces;
    report->wire_bytes += size;
    return Ok();
  };
  PieceEncoder encoder(open, options, emit, cancel);
  v1::TransferRequest request;
  while (true) {
    RETURN_IF_ERROR(cancel.Check());
    request.Clear();
    ASSIGN_OR_RETURN(const bool more, channel.receive(&request));
    if (!more) return Error(Code::kUnavailable, "the receiver broke the transfer off");
    if (request.step_case() == v1::TransferRequest::kEnd) break;
    if (request.step_case() == v1::TransferRequest::kRanges) {
      RETURN_IF_ERROR(encoder.EncodeRanges(request.ranges()));
      continue;
    }
    if (request.step_case() != v1::TransferRequest::kWants) return Fault("sent an unknown request");
    if (static_cast<size_t>(request.wants().wants_size()) > kWantsPerMessageMax) {
      return Fault("wants too much in one message");
    }
    for (const v1::Want& want : request.wants().wants()) {
      ASSIGN_OR_RETURN(const auto wanted, Check(want, report->wants));
      ++report->wants;
      RETURN_IF_ERROR(encoder.Encode(wanted));
    }
    RETURN_IF_ERROR(encoder.Flush());
  }
  v1::Piece end;
  end.set_end(true);
  return emit(end);
}

}  // namespace strata::imaged::transfer
