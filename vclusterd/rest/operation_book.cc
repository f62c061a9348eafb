#include "vclusterd/rest/operation_book.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "common/log.h"
#include "common/pki/random.h"
#include "vclusterd/rest/problem.h"

namespace strata::vcluster::rest {
namespace {

constexpr size_t kIdBytes = 16;

// `work`'s answer, whatever it throws.
Result<Json> Do(const OperationBook::Work& work, const OperationBook::ProgressFn& progress,
                const CancelToken& cancel) {
  try {
    return work(progress, cancel);
  } catch (const std::exception& e) {
    return Error(Code::kInternal, std::string("an operation: ") + e.what());
  }
}

}  // namespace

std::string_view NameOf(OperationState state) {
  switch (state) {
    case OperationState::kWaiting:
      return "waiting";
    case OperationState::kRunning:
      return "running";
    case OperationState::kSucceeded:
      return "succeeded";
    case OperationState::kFailed:
      return "failed";
    case OperationState::kCancelled:
      return "cancelled";
  }
  return "failed";
}

OperationBook::OperationBook(OperationLimits limits, UnixClock now, Listener listener)
    : limits_(limits),
      now_(std::move(now)),
      listener_(std::move(listener)),
      queue_(limits.threads) {}

OperationBook::~OperationBook() {
  CancelAll();
  queue_.Close();
}

void OperationBook::Tell(const OperationView& view) const {
  if (listener_) listener_(view);
}

Result<OperationView> OperationBook::Start(const Caller& caller, Order order) {
  ASSIGN_OR_RETURN(const std::string random, pki::RandomBytes(kIdBytes));
  auto entry = std::make_shared<Entry>();
  entry->view.id = pki::HexOf(random);
  entry->view.right = order.right;
  entry->view.uid = caller.uid;
  entry->view.target = std::move(order.target);
  entry->view.cancellable = order.cancellable;
  entry->view.created_unix_ms = now_();
  OperationView view;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return Error(Code::kUnavailable, "vclusterd ends");
    DropOld();
    size_t unfinished = 0;
    size_t of_user = 0;
    for (const auto& [number, other] : entries_) {
      if (other->view.ended()) continue;
      ++unfinished;
      if (other->view.uid == caller.uid) ++of_user;
    }
    if (of_user >= limits_.unfinished_of_user) {
      return Error(Code::kResourceExhausted, std::to_string(of_user) +
                                                 " of your operations have not ended: wait for "
                                                 "them, or cancel some (/v1/operations)");
    }
    if (unfinished >= limits_.unfinished) {
      return Error(Code::kResourceExhausted, "too many operations run: try again later");
    }
    entry->number = ++numbers_;
    entries_[entry->number] = entry;
    by_id_[entry->view.id] = entry;
    view = entry->view;
  }
  Tell(view);
  queue_.Push([this, entry, work = std::move(order.work)] { Run(entry, work); });
  return view;
}

void OperationBook::Run(const EntryPtr& entry, const Work& work) {
  const RequestScope request;
  const auto set = [&](const auto& change) {
    OperationView view;
    {
      const std::lock_guard lock(mutex_);
      change(&entry->view);
      view = entry->view;
      changed_.notify_all();
    }
    Tell(view);
  };
  Result<Json> done = Error(Code::kCancelled, "cancelled before it began");
  if (!entry->cancel.cancelled()) {
    set([](OperationView* view) { view->state = OperationState::kRunning; });
    done = Do(
        work,
        [&](const std::string& stage, uint32_t steps, uint32_t total) {
          OperationView view;
          {
            const std::lock_guard lock(mutex_);
            const bool same_stage = std::exchange(entry->view.stage, stage) == stage;
            entry->view.done = steps;
            entry->view.total = total;
            if (same_stage) return;  // Who wants every step looks.
            view = entry->view;
          }
          Tell(view);
        },
        entry->cancel);
  }
  set([&](OperationView* view) {
    // The clock may not have moved on; 0 means that it has not ended.
    view->ended_unix_ms = std::max<int64_t>(now_(), 1);
    if (done.ok()) {
      view->state = OperationState::kSucceeded;
      view->result = std::move(*done);
      return;
    }
    view->state = done.error().code() == Code::kCancelled ? OperationState::kCancelled
                                                          : OperationState::kFailed;
    view->error = done.error();
  });
}

void OperationBook::DropOld() {
  const int64_t now = now_();
  std::map<uint32_t, size_t> of_user;
  size_t ended = 0;
  // The latest first, so that those beyond a bound are the oldest.
  for (auto it = entries_.end(); it != entries_.begin();) {
    --it;
    const OperationView& view = it->second->view;
    if (!view.ended()) continue;
    const bool too_many = ++ended > limits_.kept || ++of_user[view.uid] > limits_.kept_of_user;
    if (!too_many && now - view.ended_unix_ms < limits_.kept_ms) continue;
    by_id_.erase(view.id);
    it = entries_.erase(it);
  }
}

std::optional<OperationView> OperationBook::Find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? std::nullopt : std::optional(found->second->view);
}

std::vector<OperationView> OperationBook::All() const {
  const std::lock_guard lock(mutex_);
  std::vector<OperationView> views;
  for (const auto& [number, entry] : entries_) views.push_back(entry->view);
  return views;
}

std::optional<OperationView> OperationBook::Await(const std::string& id,
                                                  std::chrono::milliseconds max) const {
  std::unique_lock lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return std::nullopt;
  const EntryPtr entry = found->second;
  changed_.wait_for(lock, max, [&] { return closed_ || entry->view.ended(); });
  return entry->view;
}

Status OperationBook::Cancel(const std::string& id) {
  OperationView view;
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return Error(Code::kNotFound, "there is no such operation");
    Entry& entry = *found->second;
    if (entry.view.ended()) {
      return Error(Code::kFailedPrecondition, "it has ended already");
    }
    if (!entry.view.cancellable && entry.view.state == OperationState::kRunning) {
      return Error(Code::kFailedPrecondition, std::string(vcluster::NameOf(entry.view.right)) +
                                                  " cannot be cancelled once it runs");
    }
    entry.cancel.Cancel();
    entry.view.cancel_asked = true;
    view = entry.view;
  }
  Tell(view);
  return Ok();
}

void OperationBook::CancelAll() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (const auto& [number, entry] : entries_) entry->cancel.Cancel();
  changed_.notify_all();
}

bool MaySee(const Users& users, const Caller& caller, const OperationView& view) {
  const bool is_his = caller.uid == view.uid;
  const bool is_admin = users.accounts().RoleOf(caller.uid) == users::v1::ADMIN;
  return (is_his || is_admin) && users.Allows(caller, view.right, view.target);
}

Json ToJson(const OperationView& view) {
  Json json = {{"id", view.id},
               {"operation", vcluster::NameOf(view.right)},
               {"object", view.target.name},
               {"started_by_uid", view.uid},
               {"state", NameOf(view.state)},
               {"cancellable", view.cancellable},
               {"progress", {{"stage", view.stage}, {"done", view.done}, {"total", view.total}}},
               {"created_unix_ms", view.created_unix_ms},
               {"location", "/v1/operations/" + view.id}};
  if (view.cancel_asked) json["cancel_asked"] = true;
  if (view.ended()) json["ended_unix_ms"] = view.ended_unix_ms;
  if (!view.result.is_null()) json["result"] = view.result;
  if (view.error) json["problem"] = ProblemJson(*view.error);
  return json;
}

Json OperationSchema() {
  using namespace schema;
  return Members("Something that takes longer than a request.")
      .Must("id", Text("Names it; not to be guessed."))
      .Must("operation", Text("What it does, as rights call it: vcluster.create"))
      .Must("object", Text("What it is done to."))
      .Must("started_by_uid", Whole("Who started it."))
      .Must("state", Word("How it is.", {"waiting", "running", "succeeded", "failed", "cancelled"}))
      .Must("cancellable", Flag("DELETE can stop it while it runs."))
      .May("cancel_asked", Flag("It was asked to stop, and will."))
      .Must("progress", Members("How far it is.")
                            .Must("stage", Text("What it does now."))
                            .Must("done", Whole("Steps of the stage that are done."))
                            .Must("total", Whole("Steps of the stage; 0: not known.")))
      .Must("created_unix_ms", Whole("When it was started."))
      .May("ended_unix_ms", Whole("When it ended."))
      .Must("location", Text("Its address."))
      .May("result", Json{{"description", "What it made, when it has succeeded."}})
      .May("problem", Ref("Problem"));
}

}  // namespace strata::vcluster::rest
