// Turns wanted objects into pieces: small ones into bundles, those with a base into deltas, the
// rest into frames.
//
// Objects are read while they are encoded. One that cannot be had is answered with Refused, also in
// its middle; only an error of `emit` (the stream) or a lack of memory ends the encoder.
//
// Used by one thread at a time. Memory: up to 200 MiB while a large delta is made (limits.h), a
// few MiB otherwise.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/cancel.h"
#include "common/digest.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "imaged/api/transfer.pb.h"
#include "imaged/chunks/chunk_lists.h"
#include "imaged/transfer/frame_codec.h"
#include "imaged/transfer/growing_object.h"
#include "imaged/transfer/limits.h"
#include "imaged/transfer/rate_limiter.h"

namespace strata::imaged::transfer {

struct SendOptions {
  int level = 1;                   // Of zstd.
  RateLimiter* limiter = nullptr;  // Optional; may be shared with other streams.
  // Null: objects are not cut into chunks.
  const ChunkLists* chunk_lists = nullptr;
  // Optional: false for an object that has to be waited for. What is ready goes before it.
  std::function<bool(const Digest&)> is_here;
  // Small for a receiver that passes on what came.
  uint64_t bundle_bytes = kBundleBytesTarget;
};

class PieceEncoder {
 public:
  using Emit = std::function<Status(const v1::Piece&)>;

  // `options` and `cancel` must outlive it.
  PieceEncoder(OpenObject open, const SendOptions& options, Emit emit, const CancelToken& cancel)
      : open_(std::move(open)),
        emit_(std::move(emit)),
        options_(options),
        cancel_(cancel),
        encoder_(options.level) {}

  // Bytes of a base.
  struct Range {
    uint64_t begin = 0;
    uint64_t size = 0;
  };
  struct Wanted {
    uint64_t number = 0;
    Digest digest;
    uint64_t size_bytes = 0;
    Digest base;  // Zero: none.
    uint64_t offset = 0;
    bool chunked = false;  // Its chunks first, then what EncodeRanges is told.
    bool grouped = false;  // The values of its groups before its bytes.
  };
  // REQUIRES: within the limits of the protocol (sender.cc checks them). A small object may wait
  // for others until Flush.
  Status Encode(const Wanted& wanted);
  // kInvalidArgument: no chunks were told of that want, or it has no such ranges.
  Status EncodeRanges(const v1::Ranges& ranges);
  Status Flush();

 private:
  struct Object {
    uint64_t number = 0;
    int fd = -1;
    uint64_t size = 0;
    int base_fd = -1;  // -1: none.
    uint64_t base_size = 0;
    GrowingObject* growing = nullptr;
    uint64_t frame_bytes = kFrameBytes;
  };
  // Opens it, or refuses it: then there is no file.
  Result<SourceObject> OpenWanted(const Wanted& wanted);
  Object ObjectOf(const Wanted& wanted, const SourceObject& source) const;
  // Tells the values of its groups, when they are wanted. False: it was refused.
  Result<bool> SendGroups(const Wanted& wanted, const SourceObject& source);
  Status ListChunks(const Wanted& wanted, int fd);
  Status AddToBundle(const Object& object);
  // Its bytes from `offset` on, up to its size. False: it was refused on the way.
  Result<bool> SendSegments(const Object& object, uint64_t offset);
  // False: not sent, because it would not be smaller than frames.
  Result<bool> SendDelta(const Object& object, uint64_t offset, std::string_view content,
                         int base_fd, Range window);
  static Status CheckRangeBases(const v1::Ranges& ranges);
  // Invalid for those that may not be used.
  std::vector<UniqueFd> OpenRangeObjects(const v1::Ranges& ranges) const;
  Result<bool> SendRangeDelta(const Object& object, const v1::Ranges& ranges, int index,
                              const std::vector<UniqueFd>& bases);
  Status SendFrames(const Object& object, uint64_t offset, std::string_view content);
  Result<uint64_t> FramesSize(std::string_view content);
  Status Refuse(uint64_t number, v1::Refused::Reason reason);

  const OpenObject open_;
  const Emit emit_;
  const SendOptions& options_;
  const CancelToken& cancel_;
  FrameEncoder encoder_;
  std::unordered_map<uint64_t, Wanted> listed_;  // Whose ranges are to come, by number.
  v1::Bundle bundle_;                            // Without its frame.
  std::string bundle_content_;
  std::string bundle_prefix_;
};

}  // namespace strata::imaged::transfer
