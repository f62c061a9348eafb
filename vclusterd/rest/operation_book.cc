#include "vclusterd/rest/operation_book.h"

#include <algorithm>
#include <charconv>
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

OperationCursor CursorOf(const OperationView& view) { return {view.created_unix_ms, view.id}; }

// What of it can be large.
size_t BytesOf(const OperationView& view) {
  return (view.result == nullptr ? 0 : view.result->size()) +
         (view.error ? view.error->message().size() : 0);
}

}  // namespace

std::string OperationCursor::ToString() const { return std::to_string(created_unix_ms) + "-" + id; }

Result<OperationCursor> OperationCursor::Parse(const std::string& text) {
  OperationCursor cursor;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, cursor.created_unix_ms);
  if (error != std::errc() || rest == end || *rest != '-') {
    return Error(Code::kInvalidArgument, "after: give what an earlier page said in \"next\"");
  }
  cursor.id.assign(rest + 1, end);
  return cursor;
}

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
  OperationView view;
  view.id = pki::HexOf(random);
  view.right = order.right;
  view.uid = caller.uid;
  view.target = std::move(order.target);
  view.cancellable = order.cancellable;
  view.created_unix_ms = now_();
  auto entry = std::make_shared<Entry>();
  entry->view = std::make_shared<const OperationView>(view);
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return Error(Code::kUnavailable, "vclusterd ends");
    DropOld();
    size_t unfinished = 0;
    size_t of_user = 0;
    for (const auto& [cursor, other] : entries_) {
      if (other->view->ended()) continue;
      ++unfinished;
      if (other->view->uid == caller.uid) ++of_user;
    }
    if (of_user >= limits_.unfinished_of_user) {
      return Error(Code::kResourceExhausted, std::to_string(of_user) +
                                                 " of your operations have not ended: wait for "
                                                 "them, or cancel some (/v1/operations)");
    }
    if (unfinished >= limits_.unfinished) {
      return Error(Code::kResourceExhausted, "too many operations run: try again later");
    }
    entries_[CursorOf(view)] = entry;
    by_id_[view.id] = entry;
  }
  Tell(view);
  queue_.Push([this, entry, work = std::move(order.work)] { Run(entry, work); });
  return view;
}

void OperationBook::Put(Entry& entry, const Edit& edit) {
  OperationView view = *entry.view;
  edit(&view);
  entry.view = std::make_shared<const OperationView>(std::move(view));
}

void OperationBook::Change(const EntryPtr& entry, const Edit& edit) {
  OperationPtr view;
  {
    const std::lock_guard lock(mutex_);
    Put(*entry, edit);
    view = entry->view;
    if (view->ended()) {
      ended_.push_back(entry);
      DropOld();
    }
    changed_.notify_all();
  }
  Tell(*view);
}

void OperationBook::Run(const EntryPtr& entry, const Work& work) {
  const RequestScope request;
  if (entry->cancel.cancelled()) {
    return End(entry, Error(Code::kCancelled, "cancelled before it began"));
  }
  Change(entry, [](OperationView* view) { view->state = OperationState::kRunning; });
  const auto progress = [&](const std::string& stage, uint32_t steps, uint32_t total) {
    OperationPtr view;
    {
      const std::lock_guard lock(mutex_);
      const bool same_stage = entry->view->stage == stage;
      Put(*entry, [&](OperationView* changed) {
        changed->stage = stage;
        changed->done = steps;
        changed->total = total;
      });
      if (same_stage) return;  // Who wants every step looks.
      view = entry->view;
    }
    Tell(*view);
  };
  End(entry, Do(work, progress, entry->cancel));
}

void OperationBook::End(const EntryPtr& entry, Result<Json> done) {
  std::shared_ptr<const std::string> result;
  if (done.ok() && !done->is_null()) {
    result = std::make_shared<const std::string>(
        done->dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  const bool too_large = result != nullptr && result->size() > limits_.result_bytes;
  Change(entry, [&](OperationView* view) {
    // The clock may not have moved on; 0 means that it has not ended.
    view->ended_unix_ms = std::max<int64_t>(now_(), 1);
    if (done.ok()) {
      view->state = OperationState::kSucceeded;
      view->result_left_out = too_large;
      if (!too_large) view->result = result;
      return;
    }
    view->state = done.error().code() == Code::kCancelled ? OperationState::kCancelled
                                                          : OperationState::kFailed;
    view->error = done.error();
  });
}

void OperationBook::Drop(const OperationView& view) {
  by_id_.erase(view.id);
  entries_.erase(CursorOf(view));
}

void OperationBook::DropOld() {
  struct Kept {
    size_t count = 0;
    size_t bytes = 0;
  };
  const int64_t now = now_();
  Kept in_all;
  std::map<uint32_t, Kept> of_user;
  std::deque<EntryPtr> kept;
  // The latest first, so that those beyond a bound are the oldest.
  for (auto it = ended_.rbegin(); it != ended_.rend(); ++it) {
    const OperationView& view = *(*it)->view;
    const size_t bytes = BytesOf(view);
    Kept& his = of_user[view.uid];
    const bool fits = in_all.count < limits_.kept && his.count < limits_.kept_of_user &&
                      in_all.bytes + bytes <= limits_.kept_bytes &&
                      his.bytes + bytes <= limits_.kept_bytes_of_user;
    if (!fits || now - view.ended_unix_ms >= limits_.kept_ms) {
      Drop(view);
      continue;
    }
    for (Kept* of : {&in_all, &his}) {
      ++of->count;
      of->bytes += bytes;
    }
    kept.push_front(*it);
  }
  ended_ = std::move(kept);
}

std::optional<OperationView> OperationBook::Find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? std::nullopt : std::optional(*found->second->view);
}

std::vector<OperationPtr> OperationBook::Page(
    const OperationCursor& after, size_t max,
    const std::function<bool(const OperationView&)>& wanted) const {
  std::vector<OperationPtr> all;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = entries_.upper_bound(after); it != entries_.end(); ++it) {
      all.push_back(it->second->view);
    }
  }
  std::vector<OperationPtr> page;
  for (auto it = all.begin(); it != all.end() && page.size() < max; ++it) {
    if (wanted(**it)) page.push_back(std::move(*it));
  }
  return page;
}

std::optional<OperationView> OperationBook::Await(const std::string& id,
                                                  std::chrono::milliseconds max) const {
  std::unique_lock lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return std::nullopt;
  const EntryPtr entry = found->second;
  changed_.wait_for(lock, max, [&] { return closed_ || entry->view->ended(); });
  return *entry->view;
}

Status OperationBook::Cancel(const std::string& id) {
  OperationPtr view;
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return Error(Code::kNotFound, "there is no such operation");
    Entry& entry = *found->second;
    if (entry.view->ended()) {
      return Error(Code::kFailedPrecondition, "it has ended already");
    }
    if (!entry.view->cancellable && entry.view->state == OperationState::kRunning) {
      return Error(Code::kFailedPrecondition, std::string(vcluster::NameOf(entry.view->right)) +
                                                  " cannot be cancelled once it runs");
    }
    entry.cancel.Cancel();
    Put(entry, [](OperationView* changed) { changed->cancel_asked = true; });
    view = entry.view;
  }
  Tell(*view);
  return Ok();
}

void OperationBook::CancelAll() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (const auto& [cursor, entry] : entries_) entry->cancel.Cancel();
  changed_.notify_all();
}

bool MaySee(const Users& users, const Caller& caller, const OperationView& view) {
  const bool is_his = caller.uid == view.uid;
  const bool is_admin = users.accounts().RoleOf(caller.uid) == users::v1::ADMIN;
  return (is_his || is_admin) && users.Allows(caller, view.right, view.target);
}

Json ToJson(const OperationView& view, bool with_result) {
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
  if (with_result && view.result != nullptr) json["result"] = Json::parse(*view.result);
  if (view.result_left_out) json["result_left_out"] = true;
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
      .May("result", Json{{"description", "What it made, when it has succeeded; not in lists."}})
      .May("result_left_out", Flag("What it made was too large to be kept: look at it itself."))
      .May("problem", Ref("Problem"));
}

}  // namespace strata::vcluster::rest
