// OperationBook: what takes longer than a request: it runs in the background, and whoever started
// it looks how far it is, waits for it, or cancels it.
//
// Held in memory: when this process ends, or its master loses the lead, operations end too, and
// what had been begun is as if its caller had gone away (vclusterd/master/clusters.h). Bounded: so
// many at a time, of one user and in all; those that have ended are kept for a while.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "common/work_queue.h"
#include "vclusterd/rest/schema.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster::rest {

enum class OperationState { kWaiting, kRunning, kSucceeded, kFailed, kCancelled };

struct OperationView {
  std::string id;  // Not to be guessed.
  Operation right = Operation::kVclusterCreate;
  uint32_t uid = 0;  // Who started it.
  Target target;
  OperationState state = OperationState::kWaiting;
  bool cancellable = true;
  bool cancel_asked = false;
  std::string stage;  // With `done` of `total` steps.
  uint32_t done = 0;
  uint32_t total = 0;
  int64_t created_unix_ms = 0;
  int64_t ended_unix_ms = 0;  // 0: not yet.
  Json result;                // Of one that succeeded.
  std::optional<Error> error;

  bool ended() const { return ended_unix_ms != 0; }
};

struct OperationLimits {
  size_t threads = 64;  // That run at a time; the others wait.
  size_t unfinished_of_user = 16;
  size_t unfinished = 512;
  size_t kept_of_user = 200;  // That have ended.
  size_t kept = 2000;
  int64_t kept_ms = kHourMs;
};

class OperationBook {
 public:
  using ProgressFn = std::function<void(const std::string& stage, uint32_t done, uint32_t total)>;
  using Work = std::function<Result<Json>(const ProgressFn& progress, const CancelToken& cancel)>;
  // When one begins, has another stage, or ends; from any thread, with nothing of ours locked. May
  // be empty.
  using Listener = std::function<void(const OperationView&)>;

  OperationBook(OperationLimits limits, UnixClock now, Listener listener);
  // CancelAll, and waits for what runs.
  ~OperationBook();

  struct Order {
    Operation right;
    Target target;
    bool cancellable = true;  // `work` looks at its token.
    Work work;
  };
  // kResourceExhausted: too many of this user, or of all, have not ended.
  Result<OperationView> Start(const Caller& caller, Order order);

  std::optional<OperationView> Find(const std::string& id) const;
  std::vector<OperationView> All() const;  // Oldest first.
  // As it is when it has ended, or `max` is over.
  std::optional<OperationView> Await(const std::string& id, std::chrono::milliseconds max) const;
  // It ends soon. kFailedPrecondition: it has ended, or cannot be cancelled; kNotFound.
  Status Cancel(const std::string& id);

  // Nobody waits any longer, nothing is begun any more, and everything that looks at its token
  // ends.
  void CancelAll();

 private:
  struct Entry {
    uint64_t number = 0;
    OperationView view;
    CancelToken cancel;
  };
  using EntryPtr = std::shared_ptr<Entry>;

  void Run(const EntryPtr& entry, const Work& work);
  void Tell(const OperationView& view) const;
  void DropOld();  // REQUIRES: mutex_ is held.

  const OperationLimits limits_;
  const UnixClock now_;
  const Listener listener_;
  mutable std::mutex mutex_;  // Guards what follows; a leaf.
  mutable std::condition_variable changed_;
  uint64_t numbers_ = 0;
  std::map<uint64_t, EntryPtr> entries_;  // By number.
  std::map<std::string, EntryPtr> by_id_;
  bool closed_ = false;
  WorkQueue queue_;  // Last: its threads use the others.
};

// Whether the caller may know of it: who started it, or an admin, whose token is for such things.
bool MaySee(const Users& users, const Caller& caller, const OperationView& view);

std::string_view NameOf(OperationState state);
Json ToJson(const OperationView& view);
Json OperationSchema();

}  // namespace strata::vcluster::rest
