// Makes verified objects of pieces. Nothing that the sender says is believed: sizes are those of
// the wants, every length is compared with its limit before anything is allocated for it, and bytes
// become an object only when their digest is the one that was asked for.
//
// An error of Take is final and says whose fault it is: kCorrupt names what the sender did wrong;
// others are ours (the disk). What has been verified before stays.
//
// Three kinds of wrong bytes are not the sender's fault, and are asked for again: those made with a
// base that is damaged here, those made of chunks that are here, and those of which an earlier,
// interrupted transfer brought a part.
//
// Used by one thread at a time. Memory: a bundle or a delta with its base, about 130 MiB at most.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"
#include "imaged/api/transfer.pb.h"
#include "imaged/store/object_store.h"
#include "imaged/transfer/arrivals.h"
#include "imaged/transfer/frame_codec.h"
#include "imaged/transfer/object_assembly.h"
#include "imaged/transfer/object_group.h"
#include "imaged/transfer/partial_files.h"
#include "imaged/transfer/progress.h"
#include "imaged/transfer/want_queue.h"

namespace strata::imaged::transfer {

class PieceReceiver {
 public:
  // All outlive it.
  struct Parts {
    ObjectStore& store;
    PartialFiles& partial_files;
    WantQueue& wants;
    ObjectGroup& group;
    ProgressMeter& progress;
    Arrivals* arrivals;  // May be null.
  };
  explicit PieceReceiver(const Parts& parts) : parts_(parts) {}

  Status Take(const v1::Piece& piece);
  // What is to be sent for what was taken.
  std::vector<v1::TransferRequest> TakeRequests() { return std::exchange(requests_, {}); }
  bool ended() const { return ended_; }
  // Objects that the sender cannot give, with its reason.
  struct RefusedObject {
    Digest digest;
    v1::Refused::Reason reason;
  };
  const std::vector<RefusedObject>& refused() const { return refused_; }

 private:
  struct PendingDelta {
    v1::Delta header;                   // `data` grows.
    std::optional<std::string> prefix;  // Of a range of an object in chunks.
  };

  Status TakeBundle(const v1::Bundle& bundle);
  Result<std::string> BundlePrefix(const v1::Bundle& bundle,
                                   const std::vector<Outstanding*>& wanted);
  Status StoreBundle(const v1::Bundle& bundle, const std::vector<Outstanding*>& wanted,
                     std::string_view content);
  Status AskForBundleAgain(const v1::Bundle& bundle, const std::vector<Outstanding*>& wanted,
                           const Error& error);
  Status TakeFrame(const v1::Frame& frame);
  Status TakeDelta(const v1::Delta& delta);
  // Of an object with a base.
  static Status CheckDelta(const v1::Delta& delta, const Outstanding& outstanding);
  Status TakeDeltaPart(const std::string& data);
  Status FinishDelta();
  Status TakeRefused(const v1::Refused& refused);
  Status TakeChunkList(const v1::ChunkList& list);
  Status TakeGroups(const v1::Groups& groups);
  // The object that the piece goes on with, or starts. kCorrupt when another one is not finished.
  Result<ObjectAssembly*> Continue(uint64_t number, uint64_t offset, uint64_t plain_bytes);
  Status Begin(uint64_t number, Outstanding* outstanding);
  Status Append(std::string_view content);
  Status FinishObject();
  // After wrong bytes: asks again when there is a reason to, or answers `error`.
  Status AskAgainOr(const Error& error);
  bool IsDamaged(const Digest& base);

  const Parts parts_;
  FrameDecoder decoder_;
  std::unique_ptr<ObjectAssembly> current_;  // When it takes more than one piece.
  std::optional<PendingDelta> delta_;
  std::vector<v1::TransferRequest> requests_;
  bool ended_ = false;
  std::vector<RefusedObject> refused_;
};

}  // namespace strata::imaged::transfer
