// The receiving side of a transfer: asks for objects and brings them into a store. See
// docs/transfer.md for the protocol, piece_receiver.h for what is checked.
//
// Whatever ends a transfer, what was verified is committed before the call returns, and what there
// is of a large object is kept for the next one (partial_files.h). A process that is killed loses
// the objects since the last group commit (64 MiB or five seconds) and none of a large one that had
// arrived.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/api/transfer.pb.h"
#include "imaged/chunks/chunk_index.h"
#include "imaged/store/object_store.h"
#include "imaged/transfer/arrivals.h"
#include "imaged/transfer/base_choice.h"
#include "imaged/transfer/object_group.h"
#include "imaged/transfer/partial_files.h"
#include "imaged/transfer/piece_receiver.h"
#include "imaged/transfer/progress.h"

namespace strata::imaged::transfer {

// The stream, as the receiver sees it.
struct ReceiverChannel {
  // May block. Called from one thread that the receiver makes.
  std::function<Status(const v1::TransferRequest&)> send;
  // Blocks until a piece is there; false: the sender ended the stream. Called from the thread of
  // ReceiveObjects.
  std::function<Result<bool>(v1::Piece*)> receive;
  // Makes blocked and later calls of both return soon, with any answer. Called at most twice, from
  // any thread.
  std::function<void()> cancel;
};

struct ReceiveOptions {
  // Called now and then from the thread of ReceiveObjects, and at the end. Optional.
  std::function<void(const TransferProgress&)> progress;
  RateLimiter* limiter = nullptr;  // Optional: of what is received; may be shared.
  GroupLimits group;
  // Optional: told what came, so that it can be passed on. Large objects come in groups then.
  Arrivals* arrivals = nullptr;
  // Optional, and not loaded: where large objects without a base may have parts of theirs.
  ChunkIndex* chunks = nullptr;
  Clock* clock = &Clock::System();
};

// Whether an object is asked for in chunks when there are some to compare with.
bool MayComeInChunks(const WantedObject& object);

struct ReceiveReport {
  uint64_t objects = 0;  // Verified and committed.
  uint64_t pieces = 0;
  uint64_t wire_bytes_received = 0;
  uint64_t wire_bytes_sent = 0;
  uint64_t resumed_bytes = 0;  // That an earlier transfer had brought.
  std::vector<PieceReceiver::RefusedObject> refused;
};

// Brings what `store` does not have of `objects`, in their order, each once. Ok: every object is in
// the store, durably, or in report->refused. `*report` is filled on errors too. A base that the
// store does not have (any more) is left out.
// kCorrupt: the sender broke the protocol, and the message says how. kUnavailable: the stream ended
// early; calling again with another stream goes on. kResourceExhausted: the disk is full.
// kCancelled, at the next piece: who cancels also wakes a blocked `receive` (ReceiverChannel::
// cancel). A sender that is silent is the stream's business too. An error of a callback is passed
// on.
Status ReceiveObjects(ObjectStore& store, PartialFiles& partial_files,
                      std::vector<WantedObject> objects, const ReceiverChannel& channel,
                      const ReceiveOptions& options, const CancelToken& cancel,
                      ReceiveReport* report);

}  // namespace strata::imaged::transfer
