// The thread that has classes be as they should be.
#include <algorithm>
#include <chrono>
#include <set>

#include "common/log.h"
#include "vclusterd/classes/classes.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/master/reshape.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/master/verdicts.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::seconds kSendAgainAfter(10);

std::set<std::string> PresentHosts(Master& master) {
  std::set<std::string> names;
  for (const Master::HostView& host : master.Hosts()) {
    if (host.present) names.insert(host.name);
  }
  return names;
}

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLookEvery(1'000);
// What could not be removed is tried again.
constexpr std::chrono::seconds kCleanUpEvery(15);
// Keys of students that are deleted in one commit: etcd takes 128 operations.
constexpr size_t kCommitMax = 100;

ClusterFacts FactsOf(const VclusterView& view) {
  const master::v1::Vcluster& record = view.vcluster->record;
  ClusterFacts facts;
  facts.deleting = record.phase() == master::v1::DELETING;
  facts.any_wanted = std::any_of(record.nodes().begin(), record.nodes().end(),
                                 [](const master::v1::Node& node) { return node.wanted(); });
  facts.resets = record.class_resets();
  facts.turn = record.class_turn();
  if (const std::optional<Status> verdict = AsWanted(view)) {
    facts.as_wanted = verdict->ok();
    if (!verdict->ok()) facts.problem = verdict->error().message();
  }
  return facts;
}

void SetWanted(bool wanted, master::v1::Vcluster* record) {
  for (master::v1::Node& node : *record->mutable_nodes()) {
    node.set_wanted(wanted);
    if (wanted) node.set_attempt(node.attempt() + 1);
  }
}

}  // namespace

// What a thread does that must not hold the master up, and may outlive it.
struct Classes::PrestageState {
  std::mutex mutex;  // Guards what follows.
  bool done = false;
  std::vector<std::string> failures;
  std::chrono::steady_clock::time_point ended;
  std::set<std::string> hosts;  // That were there when it began.

  // Some host may not have them: it was not there, or the others did not know it yet.
  bool NeedsAnother(const std::set<std::string>& present) {
    const std::lock_guard lock(mutex);
    const bool is_new = !std::includes(hosts.begin(), hosts.end(), present.begin(), present.end());
    return done && (is_new || !failures.empty()) &&
           std::chrono::steady_clock::now() - ended > kSendAgainAfter;
  }
};

// Images go to all hosts ahead of the start. The thread has the hosts' links alone: one who loses
// the lead does not wait for it, and the next one's requests find what is there already.
void Classes::BeginPrestage(Entry& entry) {
  entry.prestage = std::make_shared<PrestageState>();
  entry.prestage->hosts = PresentHosts(master_);
  entry.prestage->ended = std::chrono::steady_clock::now();
  Sending sending;
  if (entry.record.prestage()) sending = PlanSending(master_, entry.record.images());
  if (sending.nothing()) {
    entry.prestage->done = true;
    return;
  }
  std::thread([sending = std::move(sending), state = entry.prestage]() mutable {
    std::vector<std::string> failures = Send(std::move(sending));
    const std::lock_guard lock(state->mutex);
    state->failures = std::move(failures);
    state->ended = std::chrono::steady_clock::now();
    state->done = true;
  }).detach();
}

ClassView Classes::ViewOf(const Entry& entry) const {
  ClassView view;
  view.record = entry.record;
  view.state = StateOf(entry, master_.NowUnixMs());
  if (entry.prestage != nullptr && entry.record.prestage()) {
    const std::lock_guard lock(entry.prestage->mutex);
    view.prestage = entry.prestage->done ? "done" : "under way";
    if (!entry.prestage->failures.empty()) view.prestage = entry.prestage->failures.front();
  }
  for (const auto& [user, student] : entry.students) {
    StudentView& out = view.students.emplace_back();
    out.record = student;
    const auto state = entry.plan.states.find(user);
    if (state != entry.plan.states.end()) out.state = state->second;
    if (const auto attempt = entry.attempts.find(user); attempt != entry.attempts.end()) {
      out.problem = attempt->second.problem;
      out.next_try_unix_ms = attempt->second.next_ms;
    }
    out.cluster = users_.NameOf(student.uid()) + "/" + entry.record.name();
  }
  return view;
}

void Classes::Work() {
  auto clean_up = Clock::now();
  while (!stop_) {
    if (Clock::now() >= clean_up) {
      clean_up = Clock::now() + kCleanUpEvery;
      templates_->CleanUp();
      RemovePending();
    }
    const auto next = Look();
    if (!master_.AwaitChange(std::min(next, clean_up))) break;
  }
  stop_ = true;  // For those who watch.
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

std::chrono::steady_clock::time_point Classes::Look() {
  const auto latest = Clock::now() + kLookEvery;
  std::vector<std::string> keys;
  {
    const std::lock_guard lock(mutex_);
    if (Status read = ReadUnsure(); !read.ok()) {
      LOG_WARNING("classes: " + read.error().message());
      return latest;
    }
    for (const auto& [key, entry] : classes_) keys.push_back(key);
  }
  if (keys.empty()) return latest;
  std::map<std::string, std::map<uint32_t, VclusterView>> by_class;  // Then by uid.
  const auto of_a_class = [](const master::v1::Vcluster& record) {
    return !record.class_key().empty();
  };
  for (VclusterView& view : master_.All(of_a_class)) {
    const master::v1::Vcluster& record = view.vcluster->record;
    const uint32_t uid = record.owner_uid();
    by_class[record.class_key()].insert_or_assign(uid, std::move(view));
  }
  int64_t next_ms = 0;
  for (const std::string& key : keys) {
    Found found;
    {
      const std::lock_guard lock(mutex_);
      const auto entry = classes_.find(key);
      if (entry == classes_.end()) continue;
      for (const auto& [user, student] : entry->second.students) {
        const auto view = by_class[key].find(student.uid());
        if (view != by_class[key].end()) found.emplace(user, view->second);
      }
    }
    LookAt(key, found, &next_ms);
  }
  if (next_ms == 0) return latest;
  // A class may begin in a thousand years, which a time_point does not hold.
  const std::chrono::milliseconds left(std::max<int64_t>(1, next_ms - master_.NowUnixMs()));
  return Clock::now() + std::min<std::chrono::milliseconds>(left, kLookEvery);
}

void Classes::LookAt(const std::string& key, const Found& found, int64_t* next_ms) {
  Class record;
  ClassPlan plan;
  {
    const std::lock_guard lock(mutex_);
    const auto at = classes_.find(key);
    if (at == classes_.end() || creating_.contains(key)) return;
    Entry& entry = at->second;
    record = entry.record;
    ClassFacts facts;
    facts.now_ms = master_.NowUnixMs();
    facts.starts_ms = record.starts_unix_s() * 1000;
    facts.ends_ms = record.ends_unix_s() * 1000;
    facts.deletes_at_end = record.on_end() == master::v1::CLASS_DELETE;
    facts.stopped = record.stopped();
    facts.ended = record.ended();
    facts.deleting = record.deleting();
    facts.turn = record.turn();
    facts.parallel = record.parallel();
    const bool due =
        entry.prestage == nullptr || entry.prestage->NeedsAnother(PresentHosts(master_));
    if (due && !facts.deleting) BeginPrestage(entry);
    if (entry.prestage != nullptr) {
      const std::lock_guard prestage_lock(entry.prestage->mutex);
      facts.held =
          !entry.prestage->done && facts.now_ms < facts.starts_ms + options_.held_max.count();
    }
    std::vector<StudentFacts> students;
    for (const auto& [user, student] : entry.students) {
      StudentFacts& one = students.emplace_back();
      one.user = user;
      one.resets = student.resets();
      if (const auto view = found.find(user); view != found.end()) {
        one.cluster = FactsOf(view->second);
      }
    }
    plan = DecideClass(facts, students, &entry.attempts);
    if (!plan.end) {
      entry.plan = plan;
      entry.looked = true;
    } else {
      Class ended = record;
      ended.set_ended(true);
      ended.set_turn(ended.turn() + 1);
      LOG_INFO("class " + key + ": its time is over");
      if (Status put = Put(entry, std::move(ended)); !put.ok()) {
        LOG_WARNING("class " + key + ": " + put.error().message());
      } else {
        entry.attempts.clear();
      }
      *next_ms = master_.NowUnixMs() + 1;  // Decided again.
      return;
    }
    changed_.notify_all();
  }
  if (plan.next_ms != 0) *next_ms = *next_ms == 0 ? plan.next_ms : std::min(*next_ms, plan.next_ms);
  if (plan.gone) {
    if (Status gone = Forget(key); !gone.ok()) {
      LOG_WARNING("class " + key + ": " + gone.error().message());
    }
    return;
  }
  Do(key, record, plan.steps, found);
}

// The students first: a class without all of them is one that is being deleted.
Status Classes::Forget(const std::string& key) {
  std::vector<std::string> users;
  {
    const std::lock_guard lock(mutex_);
    const auto found = classes_.find(key);
    if (found == classes_.end()) return Ok();
    for (const auto& [user, student] : found->second.students) {
      // Of one that is being collected, the images are to be known until they are there.
      if (!student.pending().empty()) return Ok();
      users.push_back(user);
    }
  }
  std::vector<records::RecordChange> changes;
  for (const std::string& user : users) {
    changes.push_back({kStudentsTable, StudentKey(key, user), std::nullopt});
    if (changes.size() < kCommitMax) continue;
    RETURN_IF_ERROR(master_.CommitRecords(std::exchange(changes, {})));
  }
  changes.push_back({kClassesTable, key, std::nullopt});
  RETURN_IF_ERROR(master_.CommitRecords(std::move(changes)));
  const std::lock_guard lock(mutex_);
  classes_.erase(key);
  changed_.notify_all();
  return Ok();
}

void Classes::Failed(const std::string& key, const std::string& user, const std::string& problem) {
  LOG_WARNING("class " + key + ": " + user + ": " + problem);
  const std::lock_guard lock(mutex_);
  const auto found = classes_.find(key);
  if (found == classes_.end()) return;
  NoteFailure(problem, master_.NowUnixMs(), &found->second.attempts[user]);
  found->second.plan.states[user] = StudentState::kFailed;
}

void Classes::Do(const std::string& key, const Class& record, const std::vector<Step>& steps,
                 const Found& found) {
  std::vector<Student> to_make;
  for (const Step& step : steps) {
    Student student;
    {
      const std::lock_guard lock(mutex_);
      const auto entry = classes_.find(key);
      if (entry == classes_.end() || !entry->second.students.contains(step.user)) return;
      student = entry->second.students.at(step.user);
    }
    if (step.kind == StepKind::kMake) {
      to_make.push_back(std::move(student));
      continue;
    }
    Status done = Follow(step.kind, record, student, found.at(step.user));
    // One that was deleted meanwhile is decided anew.
    if (!done.ok() && done.error().code() != Code::kNotFound) {
      Failed(key, step.user, done.error().message());
    }
  }
  if (!to_make.empty()) MakeAll(key, record, to_make);
}

Result<master::v1::Vcluster> Classes::NewRecord(const std::string& key, const Class& record,
                                                const Student& student) const {
  ASSIGN_OR_RETURN(Definition definition, ParseDefinitionJson(record.definition()));
  definition.name = record.name();
  ASSIGN_OR_RETURN(master::v1::Vcluster made,
                   NewVcluster(definition, student.uid(), master_.NowUnixMs()));
  // Nobody waits who would take it back: it is desired at once, whoever leads.
  made.set_phase(master::v1::LIVE);
  *made.mutable_grants() = record.grants();
  *made.mutable_quota() = record.quota();
  made.set_class_key(key);
  made.set_class_resets(student.resets());
  made.set_class_turn(record.turn());
  made.set_cloned_from(record.template_());
  return made;
}

// All at once, because a commit is a commit; one by one when one of them cannot be.
void Classes::MakeAll(const std::string& key, const Class& record,
                      const std::vector<Student>& students) {
  std::vector<master::v1::Vcluster> records;
  for (const Student& student : students) {
    auto made = NewRecord(key, record, student);
    if (!made.ok()) {
      Failed(key, student.user(), made.error().message());
      continue;
    }
    records.push_back(std::move(*made));
  }
  if (master_.Add(records).ok()) return;
  for (master::v1::Vcluster& one : records) {
    const uint32_t uid = one.owner_uid();
    const auto added = master_.Add({std::move(one)});
    if (added.ok()) continue;
    for (const Student& student : students) {
      if (student.uid() != uid) continue;
      const bool taken = added.error().code() == Code::kAlreadyExists;
      Failed(key, student.user(),
             taken ? "he has a Vcluster called " + record.name() + " of his own"
                   : added.error().message());
    }
  }
}

Status Classes::Follow(StepKind kind, const Class& record, const Student& student,
                       const VclusterView& view) {
  const bool runs =
      !record.stopped() && !record.ended() && master_.NowUnixMs() >= record.starts_unix_s() * 1000;
  ASSIGN_OR_RETURN(Definition definition, ParseDefinitionJson(record.definition()));
  definition.name = record.name();
  const uint32_t number = view.vcluster->record.number();
  return master_.Change({number}, [&](master::v1::Vcluster* changed) -> Status {
    switch (kind) {
      case StepKind::kMake:
        return Ok();
      case StepKind::kDelete:
        changed->set_phase(master::v1::DELETING);
        return Ok();
      case StepKind::kStart:
      case StepKind::kStop:
        SetWanted(kind == StepKind::kStart, changed);
        changed->set_class_turn(record.turn());
        return Ok();
      case StepKind::kRetry:
        for (master::v1::Node& node : *changed->mutable_nodes()) {
          const auto state = view.states.find(node.index());
          const bool broken =
              state == view.states.end() || state->second.state() == host::v1::BREAKDOWN;
          if (node.wanted() && broken) node.set_attempt(node.attempt() + 1);
        }
        return Ok();
      case StepKind::kReset: {
        ASSIGN_OR_RETURN(const VclusterPtr now, ReadVcluster(*changed));
        ReshapeOptions options;
        options.recreate = true;
        options.now_unix_s = master_.NowUnixMs() / 1000;
        RETURN_IF_ERROR(Reshape(*now, definition, options, changed));
        // All of them, whether their image is another or not.
        for (master::v1::Node& node : *changed->mutable_nodes()) {
          if (node.leaving()) continue;
          changed->set_incarnations(changed->incarnations() + 1);
          node.set_incarnation(changed->incarnations());
          node.clear_move();  // What is on its way is not what it begins with.
          node.clear_disk_bytes();
        }
        SetWanted(runs, changed);
        *changed->mutable_grants() = record.grants();
        changed->set_class_resets(student.resets());
        changed->set_class_turn(record.turn());
        return Ok();
      }
    }
    return Ok();
  });
}

}  // namespace strata::vcluster
