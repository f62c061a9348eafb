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
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "imaged/api/transfer.pb.h"
#include "imaged/transfer/frame_codec.h"

namespace strata::imaged::transfer {

// Opens an object for reading. kNotFound: there is none, or the peer may not read it.
using OpenObject = std::function<Result<UniqueFd>(const Digest&)>;

class PieceEncoder {
 public:
  using Emit = std::function<Status(const v1::Piece&)>;

  PieceEncoder(OpenObject open, int level, Emit emit)
      : open_(std::move(open)), emit_(std::move(emit)), encoder_(level) {}

  struct Wanted {
    uint64_t number = 0;
    Digest digest;
    uint64_t size_bytes = 0;
    Digest base;  // Zero: none.
    uint64_t offset = 0;
  };
  // REQUIRES: within the limits of the protocol (sender.cc checks them). A small object may wait
  // for others until Flush.
  Status Encode(const Wanted& wanted);
  Status Flush();

 private:
  struct Object {
    uint64_t number = 0;
    int fd = -1;
    uint64_t size = 0;
    int base_fd = -1;  // -1: none.
    uint64_t base_size = 0;
  };
  Status AddToBundle(const Object& object);
  Status SendSegments(const Object& object, uint64_t offset);
  Result<bool> SendDelta(const Object& object, uint64_t offset, std::string_view content);
  Status SendFrames(uint64_t number, uint64_t offset, std::string_view content);
  Result<uint64_t> FramesSize(std::string_view content);
  Status Refuse(uint64_t number, v1::Refused::Reason reason);

  const OpenObject open_;
  const Emit emit_;
  FrameEncoder encoder_;
  v1::Bundle bundle_;  // Without its frame.
  std::string bundle_content_;
  std::string bundle_prefix_;
};

}  // namespace strata::imaged::transfer
