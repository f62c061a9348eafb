// What a receiver still wants and what it has asked for. A want has a number, which the sender's
// pieces refer to; the first is 0. At most a window of objects and bytes is asked for at a time, so
// that neither side has to hold more.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/api/transfer.pb.h"
#include "imaged/transfer/base_choice.h"
#include "imaged/transfer/chunk_plan.h"
#include "imaged/transfer/group_check.h"
#include "imaged/transfer/partial_files.h"

namespace strata::imaged::transfer {

struct Outstanding {
  WantedObject object;
  uint64_t base_bytes = 0;               // Size of the base here; 0 without one.
  std::unique_ptr<PartialFile> partial;  // What there is of it, when some is.
  uint64_t arrived = 0;                  // Bytes of it that are here, those resumed included.
  std::unique_ptr<ChunkPlan> plan;       // When it was asked for in chunks.
  bool grouped = false;                  // Whether the values of its groups were asked for.
  std::optional<GroupCheck> groups;      // When they have come.
};

class WantQueue {
 public:
  // Makes an object ready to be asked for: finds its base and what there is of it already.
  using Prepare = std::function<Result<Outstanding>(const WantedObject&)>;

  WantQueue(std::vector<WantedObject> objects, Prepare prepare);

  // The next wants, when the window has room for a good many of them (or nothing is outstanding).
  Result<std::optional<v1::Wants>> Next();
  // kCorrupt: nothing of that number is outstanding.
  Result<Outstanding*> Find(uint64_t number);
  void Arrived(Outstanding* outstanding, uint64_t bytes);
  // It is done, or never will be.
  void Resolve(uint64_t number);
  // Resolves it and asks for it again, before all others.
  void AskAgain(uint64_t number, WantedObject object);

  bool Done() const { return queue_.empty() && outstanding_.empty(); }

 private:
  const Prepare prepare_;
  std::deque<WantedObject> queue_;
  std::unordered_map<uint64_t, Outstanding> outstanding_;  // By number.
  uint64_t outstanding_bytes_ = 0;
  uint64_t next_number_ = 0;
};

}  // namespace strata::imaged::transfer
