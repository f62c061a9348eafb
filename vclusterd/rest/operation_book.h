// OperationBook: what takes longer than a request: it runs in the background, and whoever started
// it looks how far it is, waits for it, or cancels it.
//
// Held in memory: when this process ends, or its master loses the lead, operations end too, and
// what had been begun is as if its caller had gone away (vclusterd/master/clusters.h). Bounded: so
// many at a time, of one user and in all; those that have ended are kept for a while, as many of
// them, and with as many bytes, as the limits say: who ended first goes first.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <compare>
#include <condition_variable>
#include <cstdint>
#include <deque>
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
  // Of one that succeeded: JSON as text; null: it made nothing that could be shown.
  std::shared_ptr<const std::string> result;
  bool result_left_out = false;  // It was larger than is kept.
  std::optional<Error> error;

  bool ended() const { return ended_unix_ms != 0; }
};

using OperationPtr = std::shared_ptr<const OperationView>;

struct OperationLimits {
  size_t threads = 64;  // That run at a time; the others wait.
  size_t unfinished_of_user = 16;
  size_t unfinished = 512;
  size_t kept_of_user = 200;  // That have ended.
  size_t kept = 2000;
  int64_t kept_ms = kHourMs;
  size_t result_bytes = 4u << 20;         // Of one result.
  size_t kept_bytes_of_user = 16u << 20;  // Of results and errors of those that have ended.
  size_t kept_bytes = 64u << 20;
};

// Where a page of a list begins: behind this operation, which may be gone by now. In the order in
// which they were started.
struct OperationCursor {
  int64_t created_unix_ms = 0;
  std::string id;
  auto operator<=>(const OperationCursor&) const = default;

  std::string ToString() const;
  // kInvalidArgument for what ToString did not write.
  static Result<OperationCursor> Parse(const std::string& text);
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
  // Those behind `after`, oldest first, `max` at most of those that are `wanted`, which is called
  // with nothing locked. Nothing of them is copied.
  std::vector<OperationPtr> Page(const OperationCursor& after, size_t max,
                                 const std::function<bool(const OperationView&)>& wanted) const;
  // As it is when it has ended, or `max` is over.
  std::optional<OperationView> Await(const std::string& id, std::chrono::milliseconds max) const;
  // It ends soon. kFailedPrecondition: it has ended, or cannot be cancelled; kNotFound.
  Status Cancel(const std::string& id);

  // Nobody waits any longer, nothing is begun any more, and everything that looks at its token
  // ends.
  void CancelAll();

 private:
  struct Entry {
    OperationPtr view;  // Never changed: a change makes another one.
    CancelToken cancel;
  };
  using EntryPtr = std::shared_ptr<Entry>;
  using Edit = std::function<void(OperationView*)>;

  void Run(const EntryPtr& entry, const Work& work);
  void Change(const EntryPtr& entry, const Edit& edit);
  void End(const EntryPtr& entry, Result<Json> done);
  void Tell(const OperationView& view) const;
  // REQUIRES of those below: mutex_ is held.
  void Put(Entry& entry, const Edit& edit);
  void DropOld();
  void Drop(const OperationView& view);

  const OperationLimits limits_;
  const UnixClock now_;
  const Listener listener_;
  mutable std::mutex mutex_;  // Guards what follows; a leaf.
  mutable std::condition_variable changed_;
  std::map<OperationCursor, EntryPtr> entries_;
  std::map<std::string, EntryPtr> by_id_;
  std::deque<EntryPtr> ended_;  // In the order of their ends.
  bool closed_ = false;
  WorkQueue queue_;  // Last: its threads use the others.
};

// Whether the caller may know of it: who started it, or an admin, whose token is for such things.
bool MaySee(const Users& users, const Caller& caller, const OperationView& view);

std::string_view NameOf(OperationState state);
// `with_result`: also what it made.
Json ToJson(const OperationView& view, bool with_result);
Json OperationSchema();

}  // namespace strata::vcluster::rest
