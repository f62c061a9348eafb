#include "vclusterd/classes/classes.h"

#include <algorithm>

#include "common/log.h"
#include "common/printable.h"
#include "net/subnets.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/definition/roster.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kVersion = 1;
constexpr size_t kClassesMax = 1'000;
constexpr uint32_t kParallelDefault = 64;
constexpr uint32_t kParallelMax = 1'000;
// etcd takes 128 operations in a transaction.
constexpr size_t kCommitMax = 100;
constexpr size_t kDescriptionMax = 2'000;
constexpr size_t kTextMax = 200;
constexpr std::chrono::milliseconds kCancelPause(50);
constexpr int64_t kTimeUnixSMax = 253'402'300'799;  // The end of the year 9999.

// What each node may have at most: the least of both, where 0 is no limit.
template <typename T>
T Least(T own, T quota) {
  if (quota == 0) return own;
  return own == 0 ? quota : std::min(own, quota);
}

// A /28, so that he can try something out.
constexpr uint32_t kStudentNodesMin = 13;

Status CheckTime(const std::string& what, int64_t unix_s) {
  if (unix_s >= 0 && unix_s <= kTimeUnixSMax) return Ok();
  return Error(Code::kInvalidArgument, "the " + what + " of the class must be in 1970 to 9999");
}

void LimitRoles(const master::v1::ClassQuota& quota, Definition* definition) {
  for (Role& role : definition->roles) {
    role.limits.cpus = Least(role.limits.cpus, quota.cpus());
    role.limits.memory_bytes = Least<uint64_t>(role.limits.memory_bytes, quota.memory_bytes());
    if (quota.disk_bytes() != 0) {
      role.limits.disk_bytes =
          Least<uint64_t>(role.limits.disk_bytes.value_or(0), quota.disk_bytes());
    }
  }
}

// As many subnets as the class has students: none larger than a Vcluster of it can become. Quotas
// are asked before the size of a subnet says no.
void LimitNodes(const master::v1::ClassQuota& quota, Definition* definition) {
  if (definition->nodes_max != kNodesMax) return;  // The template says it.
  uint32_t most = 0;
  for (const Role& role : definition->roles) {
    most += std::max(role.count, role.autoscale ? role.autoscale->max : 0);
    // Programs in nodes may ask for any number.
    if (role.scale_from_nodes) most = std::max(most, role.scale_from_nodes->max);
  }
  if (quota.nodes() != 0) most = std::max(definition->NodeCount(), quota.nodes());
  const int length = net::PrefixLengthFor(std::min(std::max(most, kStudentNodesMin), kNodesMax));
  definition->nodes_max = net::NodesMaxOf({{}, length});
}

}  // namespace

Classes::Classes(Master& master, std::shared_ptr<Clusters> clusters, Users& users,
                 ClassesOptions options)
    : master_(master), clusters_(std::move(clusters)), users_(users), options_(options) {}

Result<std::shared_ptr<Classes>> Classes::Open(Master& master, std::shared_ptr<Clusters> clusters,
                                               Users& users, ClassesOptions options) {
  std::shared_ptr<Classes> classes(new Classes(master, std::move(clusters), users, options));
  ASSIGN_OR_RETURN(classes->templates_, Templates::Open(master, *classes->clusters_, users));
  classes->templates_->SetInUse([raw = classes.get()](const Templates::Template& record) {
    std::set<std::string> images;
    for (const auto& grant : Templates::GrantsOf(record)) images.insert(grant.image());
    const std::lock_guard lock(raw->mutex_);
    for (const auto& [key, entry] : raw->classes_) {
      for (const master::v1::ImageGrant& grant : entry.record.grants()) {
        if (images.contains(grant.image())) return raw->TargetOf(entry.record).name;
      }
    }
    return std::string();
  });
  RETURN_IF_ERROR(classes->Load());
  classes->thread_ = std::thread([raw = classes.get()] { raw->Work(); });
  return classes;
}

Classes::~Classes() {
  stop_ = true;
  master_.Nudge();
  if (thread_.joinable()) thread_.join();
}

Status Classes::Load() {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(master_.store().Scan(
      kClassesTable, "",
      [&](const std::string& key, const std::string& value) { return LoadClass(key, value); }));
  return master_.store().Scan(
      kStudentsTable, "",
      [&](const std::string& key, const std::string& value) { return LoadStudent(key, value); });
}

Status Classes::LoadClass(const std::string& key, const std::string& value) {
  Class record;
  if (!record.ParseFromString(value) || record.version() != kVersion) {
    return Error(Code::kCorrupt, "record of class " + key + " cannot be read");
  }
  if (!record.ready()) record.set_deleting(true);  // Its creation was interrupted.
  classes_[key].record = std::move(record);
  return Ok();
}

Status Classes::LoadStudent(const std::string& key, const std::string& value) {
  Student student;
  if (!student.ParseFromString(value) || student.version() != kVersion) {
    return Error(Code::kCorrupt, "record of student " + key + " cannot be read");
  }
  const auto found = classes_.find(student.class_key());
  if (found == classes_.end()) {
    LOG_WARNING("student " + key + " is of no class");
    return Ok();
  }
  found->second.students[student.user()] = std::move(student);
  return Ok();
}

Status Classes::ReadUnsure() {
  if (unsure_.empty()) return Ok();
  RETURN_IF_ERROR(master_.Beat());  // What is read after a commit is at least as new as that.
  while (!unsure_.empty()) {
    const std::string key = *unsure_.begin();
    RETURN_IF_ERROR(ReadAgain(key));
    unsure_.erase(key);
  }
  return Ok();
}

Status Classes::ReadAgain(const std::string& key) {
  const auto known = classes_.find(key);
  if (known != classes_.end() && known->second.record.deleting()) {
    // What is to go is recorded so, before anything of it goes.
    RETURN_IF_ERROR(Put(known->second, Class(known->second.record)));
  }
  ASSIGN_OR_RETURN(const auto value, master_.store().Get(kClassesTable, key));
  if (!value.has_value()) {
    classes_.erase(key);
    return Ok();
  }
  RETURN_IF_ERROR(LoadClass(key, *value));
  Entry& entry = classes_.at(key);
  entry.looked = false;
  auto before = std::exchange(entry.students, {});
  Status read = master_.store().Scan(
      kStudentsTable, StudentKey(key, ""),
      [&](const std::string& one, const std::string& bytes) { return LoadStudent(one, bytes); });
  if (!read.ok()) entry.students = std::move(before);
  return read;
}

Operation RightOf(ClassChange change) {
  if (change == ClassChange::kDelete) return Operation::kClassDelete;
  return change == ClassChange::kReset ? Operation::kClassReset : Operation::kClassCreate;
}

Target Classes::TargetOf(uint32_t owner_uid, const std::string& name) const {
  return {owner_uid, "class " + users_.NameOf(owner_uid) + "/" + name, ""};
}

Result<Target> Classes::MayDo(const Caller& caller, Operation operation, const std::string& name) {
  Target target;
  RETURN_IF_ERROR(KeyFor(caller, operation, name, &target));
  return target;
}

Result<Target> Classes::MayCreate(const Caller& caller, const std::string& name) {
  RETURN_IF_ERROR(CheckClusterName(name));
  Target target = TargetOf(caller.uid, name);
  RETURN_IF_ERROR(users_.Authorize(caller, Operation::kClassCreate, target));
  return target;
}

Result<std::string> Classes::KeyOf(const Caller& caller, const std::string& text) {
  const Error unknown(Code::kNotFound,
                      "no class is called '" + Printable(text, kTextMax) + "' (see: vclass list)");
  uint32_t owner = caller.uid;
  std::string name = text;
  if (const size_t slash = text.find('/'); slash != std::string::npos) {
    const auto named = users_.UidOf(text.substr(0, slash));
    if (!named.ok()) return unknown;
    owner = *named;
    name = text.substr(slash + 1);
  }
  const std::string key = ClassKey(owner, name);
  const std::lock_guard lock(mutex_);
  const auto found = classes_.find(key);
  if (found != classes_.end() &&
      users_.Allows(caller, Operation::kClassList, TargetOf(found->second.record))) {
    return key;
  }
  return unknown;
}

Result<std::string> Classes::KeyFor(const Caller& caller, Operation operation,
                                    const std::string& name, Target* target) {
  ASSIGN_OR_RETURN(const std::string key, KeyOf(caller, name));
  {
    const std::lock_guard lock(mutex_);
    const auto found = classes_.find(key);
    if (found == classes_.end()) return Error(Code::kNotFound, "the class was just deleted");
    *target = TargetOf(found->second.record);
  }
  RETURN_IF_ERROR(users_.Authorize(caller, operation, *target));
  return key;
}

Status Classes::CheckRoster(const Caller& caller, const CreateClassParameters& parameters,
                            const Class& record, std::map<std::string, Student>* students) {
  const std::string file = parameters.roster_name.empty() ? "the roster" : parameters.roster_name;
  ASSIGN_OR_RETURN(const std::vector<RosterEntry> roster, ParseRoster(parameters.roster, file));
  std::map<uid_t, const RosterEntry*> by_uid;
  for (const RosterEntry& entry : roster) {
    const std::string place = file + ", line " + std::to_string(entry.line) + ": ";
    const auto uid = users_.UidOf(entry.user);
    if (!uid.ok()) {
      return Error(Code::kInvalidArgument,
                   place + uid.error().message() + ": an admin has to make the account first");
    }
    if (*uid == 0 || *uid == record.owner_uid()) {
      return Error(Code::kInvalidArgument, place + "'" + entry.user + "' cannot be a student");
    }
    // Nobody gets a Vcluster of one who does not teach him.
    if (!users_.Allows(caller, Operation::kVclusterCreate, {*uid, entry.user, ""})) {
      return Error(Code::kPermissionDenied,
                   place + "you do not teach '" + entry.user +
                       "': he joins a group of yours first, or an admin enrols him");
    }
    const auto [other, is_new] = by_uid.emplace(*uid, &entry);
    if (!is_new) {
      return Error(Code::kInvalidArgument, place + "'" + entry.user +
                                               "' is the same user as in line " +
                                               std::to_string(other->second->line));
    }
    Student& student = (*students)[entry.user];
    student.set_version(kVersion);
    student.set_class_key(ClassKey(record.owner_uid(), record.name()));
    student.set_user(entry.user);
    student.set_uid(*uid);
    student.set_name(entry.name);
    student.set_mail(entry.mail);
    student.set_group(entry.group);
  }
  return Ok();
}

Result<Classes::Class> Classes::NewClass(const Caller& caller,
                                         const CreateClassParameters& parameters,
                                         const Templates::Template& from) {
  RETURN_IF_ERROR(CheckClusterName(parameters.name));
  RETURN_IF_ERROR(CheckTime("start", parameters.starts_unix_s));
  RETURN_IF_ERROR(CheckTime("end", parameters.ends_unix_s));
  const int64_t now_unix_s = master_.NowUnixMs() / 1000;
  if (parameters.ends_unix_s != 0 &&
      parameters.ends_unix_s <= std::max(now_unix_s, parameters.starts_unix_s)) {
    return Error(Code::kInvalidArgument, "the class would end before it has begun");
  }
  if (parameters.parallel > kParallelMax) {
    return Error(Code::kInvalidArgument,
                 "at most " + std::to_string(kParallelMax) + " Vclusters start at a time");
  }
  if (parameters.description.size() > kDescriptionMax) {
    return Error(Code::kInvalidArgument,
                 "the description has more than " + std::to_string(kDescriptionMax) + " bytes");
  }
  if (!parameters.keep_secrets) {
    ASSIGN_OR_RETURN(const uint64_t secrets, CountSecrets(master_, from.images()));
    if (secrets != 0) {
      return Error(Code::kFailedPrecondition,
                   std::to_string(secrets) +
                       " secrets are in the template's images, and every student would have them; "
                       "save it anew without --keep-secrets, or give it here too");
    }
  }
  ASSIGN_OR_RETURN(Definition definition, Templates::DefinitionOf(from));
  definition.name = parameters.name;
  definition.lifetime.reset();  // The class says when it ends.
  for (Role& role : definition.roles) {
    for (PortForward& port : role.ports) port.host_port = 0;
  }
  LimitRoles(parameters.quota, &definition);
  LimitNodes(parameters.quota, &definition);
  RETURN_IF_ERROR(CheckDefinition(definition));
  RETURN_IF_ERROR(master_.CheckVolumes(definition));
  RETURN_IF_ERROR(CheckClassQuota(parameters.quota, definition));

  Class record;
  record.set_version(kVersion);
  record.set_owner_uid(caller.uid);
  record.set_name(parameters.name);
  record.set_template_(templates_->TextOf(from));
  record.set_definition(FormatDefinitionJson(definition));
  *record.mutable_grants() = Templates::GrantsOf(from);
  *record.mutable_images() = from.images();
  record.set_created_unix_ms(master_.NowUnixMs());
  record.set_starts_unix_s(parameters.starts_unix_s == 0 ? now_unix_s : parameters.starts_unix_s);
  record.set_ends_unix_s(parameters.ends_unix_s);
  record.set_on_end(parameters.deletes_at_end ? master::v1::CLASS_DELETE : master::v1::CLASS_STOP);
  *record.mutable_quota() = parameters.quota;
  record.set_parallel(parameters.parallel == 0 ? kParallelDefault : parameters.parallel);
  record.set_description(parameters.description);
  record.set_prestage(parameters.prestage);
  return record;
}

// A class is `ready` once all of its students are there, however many commits that takes.
Status Classes::StoreNew(const std::string& key, const Class& record,
                         const std::map<std::string, Student>& students) {
  RETURN_IF_ERROR(master_.CommitRecords({{kClassesTable, key, record.SerializeAsString()}}));
  std::vector<records::RecordChange> changes;
  for (const auto& [user, student] : students) {
    changes.push_back({kStudentsTable, StudentKey(key, user), student.SerializeAsString()});
    if (changes.size() < kCommitMax) continue;
    RETURN_IF_ERROR(master_.CommitRecords(std::exchange(changes, {})));
  }
  Class ready = record;
  ready.set_ready(true);
  changes.push_back({kClassesTable, key, ready.SerializeAsString()});
  return master_.CommitRecords(std::move(changes));
}

Result<ClassView> Classes::Create(const Caller& caller, const CreateClassParameters& parameters) {
  RETURN_IF_ERROR(CheckClusterName(parameters.name));
  return users_.Perform(caller, Operation::kClassCreate, TargetOf(caller.uid, parameters.name),
                        parameters.template_name,
                        [&] { return CreateChecked(caller, parameters); });
}

Result<ClassView> Classes::CreateChecked(const Caller& caller,
                                         const CreateClassParameters& parameters) {
  // Until the class names its images.
  ASSIGN_OR_RETURN(const Templates::Held from, templates_->Hold(caller, parameters.template_name));
  ASSIGN_OR_RETURN(Class record, NewClass(caller, parameters, *from));
  std::map<std::string, Student> students;
  RETURN_IF_ERROR(CheckRoster(caller, parameters, record, &students));
  const std::string key = ClassKey(caller.uid, record.name());
  {
    const std::lock_guard lock(mutex_);
    if (classes_.contains(key) || !creating_.insert(key).second) {
      return Error(Code::kAlreadyExists, "you already have a class called " + record.name());
    }
    if (classes_.size() >= kClassesMax) {
      creating_.erase(key);
      return Error(Code::kResourceExhausted, "there are too many classes");
    }
  }
  const Status stored = StoreNew(key, record, students);
  const std::lock_guard lock(mutex_);
  creating_.erase(key);
  Entry& entry = classes_[key];
  entry.record = std::move(record);
  entry.students = std::move(students);
  if (!stored.ok()) {
    // As the next master would see it, unless the last commit was made all the same.
    entry.record.set_deleting(true);
    unsure_.insert(key);
    return stored.error();
  }
  entry.record.set_ready(true);
  master_.Nudge();
  return ViewOf(entry);
}

Status Classes::CommitOf(const std::string& class_key, std::vector<records::RecordChange> changes) {
  Status made = master_.CommitRecords(std::move(changes));
  if (!made.ok() && made.error().code() == Code::kUnavailable) unsure_.insert(class_key);
  return made;
}

Status Classes::Put(Entry& entry, Class record) {
  const std::string key = ClassKey(record.owner_uid(), record.name());
  RETURN_IF_ERROR(CommitOf(key, {{kClassesTable, key, record.SerializeAsString()}}));
  entry.record = std::move(record);
  entry.looked = false;
  return Ok();
}

Status Classes::PutStudents(Entry& entry, std::vector<Student> students) {
  for (size_t first = 0; first < students.size(); first += kCommitMax) {
    const size_t end = std::min(students.size(), first + kCommitMax);
    std::vector<records::RecordChange> changes;
    for (size_t i = first; i < end; ++i) {
      changes.push_back({kStudentsTable, StudentKey(students[i].class_key(), students[i].user()),
                         students[i].SerializeAsString()});
    }
    RETURN_IF_ERROR(CommitOf(students[first].class_key(), std::move(changes)));
    for (size_t i = first; i < end; ++i) {
      const std::string user = students[i].user();
      entry.students[user] = std::move(students[i]);
    }
    entry.looked = false;
  }
  return Ok();
}

Result<ClassView> Classes::Change(const Caller& caller, const std::string& name, ClassChange change,
                                  const std::vector<std::string>& students, int64_t ends_unix_s) {
  const Operation operation = RightOf(change);
  Target target;
  ASSIGN_OR_RETURN(const std::string key, KeyFor(caller, operation, name, &target));
  auto changed = ChangeFound(key, change, students, ends_unix_s);
  static constexpr const char* kWords[] = {"start", "stop", "extend", "reset", "delete"};
  users_.Record(caller, operation, target, kWords[static_cast<size_t>(change)],
                changed.ok() ? Ok() : Status(changed.error()));
  return changed;
}

Result<ClassView> Classes::ChangeFound(const std::string& key, ClassChange change,
                                       const std::vector<std::string>& students,
                                       int64_t ends_unix_s) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUnsure());
  const auto found = classes_.find(key);
  if (found == classes_.end()) return Error(Code::kNotFound, "the class was just deleted");
  Entry& entry = found->second;
  Class record = entry.record;
  const int64_t now_unix_s = master_.NowUnixMs() / 1000;
  const auto over = [&] { return record.ends_unix_s() != 0 && record.ends_unix_s() <= now_unix_s; };
  if (record.deleting() && change != ClassChange::kDelete) {
    return Error(Code::kFailedPrecondition, "class " + record.name() + " is being deleted");
  }
  switch (change) {
    case ClassChange::kStart:
      if (over()) {
        return Error(Code::kFailedPrecondition, "the time of class " + record.name() +
                                                    " is over (vclass extend " + record.name() +
                                                    " 2h)");
      }
      record.set_starts_unix_s(std::min(record.starts_unix_s(), now_unix_s));
      record.set_stopped(false);
      record.set_turn(record.turn() + 1);
      break;
    case ClassChange::kStop:
      record.set_stopped(true);
      record.set_turn(record.turn() + 1);
      break;
    case ClassChange::kExtend:
      RETURN_IF_ERROR(CheckTime("end", ends_unix_s));
      record.set_ends_unix_s(ends_unix_s);
      if (over() || (ends_unix_s != 0 && ends_unix_s <= record.starts_unix_s())) {
        return Error(Code::kInvalidArgument, "the class would end before now, or before its start");
      }
      if (record.ended()) {
        record.set_ended(false);
        record.set_turn(record.turn() + 1);
      }
      break;
    case ClassChange::kDelete:
      record.set_deleting(true);
      break;
    case ClassChange::kReset: {
      std::vector<Student> changed;
      for (const std::string& user : students) {
        if (entry.students.contains(user)) continue;
        return Error(Code::kNotFound,
                     "class " + record.name() + " has no student '" + user.substr(0, 100) + "'");
      }
      const std::set<std::string> chosen(students.begin(), students.end());
      for (const auto& [user, student] : entry.students) {
        if (!chosen.empty() && !chosen.contains(user)) continue;
        changed.push_back(student);
        changed.back().set_resets(student.resets() + 1);
      }
      for (const Student& student : changed) entry.attempts.erase(student.user());
      RETURN_IF_ERROR(PutStudents(entry, std::move(changed)));
      master_.Nudge();
      return ViewOf(entry);
    }
  }
  RETURN_IF_ERROR(Put(entry, std::move(record)));
  entry.attempts.clear();  // What is asked for is tried at once.
  master_.Nudge();
  return ViewOf(entry);
}

std::string Classes::StateOf(const Entry& entry, int64_t now_unix_ms) {
  const Class& record = entry.record;
  if (record.deleting()) return "deleting";
  if (record.ended()) return "ended";
  if (now_unix_ms < record.starts_unix_s() * 1000) return "waiting";
  return record.stopped() ? "stopped" : "running";
}

Result<std::vector<ClassView>> Classes::List(const Caller& caller, const std::string& name) {
  std::string only;
  if (!name.empty()) {
    ASSIGN_OR_RETURN(only, KeyOf(caller, name));
  }
  const std::lock_guard lock(mutex_);
  std::vector<ClassView> views;
  for (const auto& [key, entry] : classes_) {
    if (only.empty() ? users_.Allows(caller, Operation::kClassList, TargetOf(entry.record))
                     : key == only) {
      views.push_back(ViewOf(entry));
    }
  }
  return views;
}

Result<ClassView> Classes::Watch(const Caller& caller, const std::string& name,
                                 const ProgressFn& progress, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const std::string key, KeyOf(caller, name));
  std::unique_lock lock(mutex_);
  while (true) {
    const auto found = classes_.find(key);
    if (found == classes_.end()) return ClassView();
    const ClassView view = ViewOf(found->second);
    uint32_t open = found->second.looked && view.state != "deleting" ? 0 : 1;
    uint32_t settled = 0;
    for (const StudentView& student : view.students) {
      const bool waits = student.state == StudentState::kQueued ||
                         student.state == StudentState::kStarting ||
                         student.state == StudentState::kEnding;
      (waits ? open : settled) += 1;
    }
    if (open == 0) return view;
    if (stop_) return Error(Code::kUnavailable, "this master ends");
    RETURN_IF_ERROR(cancel.Check());
    lock.unlock();
    progress(view.state, settled, static_cast<uint32_t>(view.students.size()));
    lock.lock();
    changed_.wait_for(lock, kCancelPause);
  }
}

}  // namespace strata::vcluster
