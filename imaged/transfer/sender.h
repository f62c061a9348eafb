// The sending side of a transfer: reads requests, answers with pieces, until the receiver says that
// it has everything. See docs/transfer.md.
//
// The receiver is not trusted: requests beyond the limits end the stream (kInvalidArgument), and
// what may be read is the caller's to say (`open`). "Have?" is answered for those objects only,
// also for bases: a base that may not be read is not used, since its use would tell that it is
// here.
#pragma once

#include <functional>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/api/transfer.pb.h"
#include "imaged/transfer/piece_encoder.h"
#include "imaged/transfer/rate_limiter.h"

namespace strata::imaged::transfer {

// The stream, as the sender sees it. Both calls block: that is the flow control. They are called
// from the thread of SendObjects only.
struct SenderChannel {
  // False: the receiver ended the stream.
  std::function<Result<bool>(v1::TransferRequest*)> receive;
  std::function<Status(const v1::Piece&)> send;
};

struct SendReport {
  uint64_t wants = 0;
  uint64_t pieces = 0;
  uint64_t wire_bytes = 0;  // Of the pieces.
};

// Serves one stream to its end. The objects that `open` gave must stay while it runs (hold
// their image). `*report` is filled on errors too.
// kUnavailable: the stream ended before the receiver had everything. kCancelled. An error of a
// callback is passed on.
Status SendObjects(const OpenObject& open, const SenderChannel& channel, const SendOptions& options,
                   const CancelToken& cancel, SendReport* report);

}  // namespace strata::imaged::transfer
