// ObjectAssembly: an object that takes more than one piece, put together in its order: of what the
// sender sends, and of chunks that are here already. When the values of its groups are known, its
// bytes are verified as they come, and may be passed on.
//
// Used by one thread at a time. Memory: an object that is too small for a file of its own, and what
// GroupCheck takes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"
#include "imaged/transfer/arrivals.h"
#include "imaged/transfer/partial_files.h"
#include "imaged/transfer/progress.h"
#include "imaged/transfer/want_queue.h"

namespace strata::imaged::transfer {

class ObjectAssembly {
 public:
  // All outlive it.
  struct Parts {
    PartialFiles& partial_files;
    WantQueue& wants;
    ProgressMeter& progress;
    Arrivals* arrivals;  // May be null.
  };
  // Goes on with what an earlier transfer left, and with the chunks that come first.
  static Result<std::unique_ptr<ObjectAssembly>> Begin(const Parts& parts, uint64_t number,
                                                       Outstanding* outstanding);

  uint64_t number() const { return number_; }
  Outstanding* outstanding() const { return outstanding_; }
  // What a frame that comes next has to hold.
  uint64_t NextFrameBytes() const;
  // The next bytes, and the chunks after them. kCorrupt: they are not the object's, and the sender
  // is to blame.
  Status Append(std::string_view content);
  bool whole() const { return outstanding_->arrived == outstanding_->object.size_bytes; }

  // Where it is: a file, or null, and then it is in memory.
  PartialFile* partial() const { return partial_.get(); }
  const std::string& content() const { return content_; }

  // What may have made it wrong other than the sender.
  void UseBase() { used_base_ = true; }
  void UseChunks() { used_chunks_ = true; }
  bool used_base() const { return used_base_; }
  bool used_chunks() const { return used_chunks_; }
  uint64_t resumed() const { return resumed_; }

 private:
  ObjectAssembly(const Parts& parts, uint64_t number, Outstanding* outstanding)
      : parts_(parts),
        number_(number),
        outstanding_(outstanding),
        resumed_(outstanding->arrived),
        frames_are_groups_(outstanding->groups.has_value()) {}
  Status OpenFile();
  Status CheckResumed();
  Status Check(std::string_view content);
  void TellVerified();
  Status CopyChunks();
  Status Put(std::string_view content);

  const Parts parts_;
  const uint64_t number_;
  Outstanding* const outstanding_;
  const uint64_t resumed_;  // So many of its bytes came with an earlier transfer.
  const bool frames_are_groups_;
  std::string content_;
  std::unique_ptr<PartialFile> partial_;
  std::shared_ptr<GrowingObject> growing_;  // Null: it is not passed on before it is whole.
  bool used_base_ = false;
  bool used_chunks_ = false;
};

}  // namespace strata::imaged::transfer
