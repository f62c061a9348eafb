// What students made, saved as images of the teacher's.
#include <algorithm>
#include <ctime>

#include "common/log.h"
#include "common/parallel.h"
#include "vclusterd/classes/classes.h"
#include "vclusterd/definition/format_file.h"

namespace strata::vcluster {
namespace {

// Students whose nodes are saved at a time: they share the hosts' disks.
constexpr size_t kStudentsAtATime = 4;

std::string DateTag(int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "collect-%Y%m%d-%H%M%S", &utc);
  return text;
}

}  // namespace

Result<Classes::Collected> Classes::Collect(const Caller& caller, const std::string& name,
                                            const std::vector<std::string>& students,
                                            const ProgressFn& progress, const CancelToken& cancel) {
  Target target;
  ASSIGN_OR_RETURN(const std::string key, KeyFor(caller, Operation::kClassCollect, name, &target));
  auto collected = CollectFound(caller, key, students, progress, cancel);
  users_.Record(caller, Operation::kClassCollect, target, "",
                collected.ok() ? Ok() : Status(collected.error()));
  return collected;
}

// A class stays when a student leaves those who are taught; what he has is not the teacher's to
// save then. A token for class.collect is one for this, too.
Status Classes::CheckMaySave(const Caller& caller, const Class& record, const Student& student) {
  Caller without_token = caller;
  without_token.token = nullptr;
  const std::string name = users_.NameOf(student.uid()) + "/" + record.name();
  const Target target{student.uid(), name, name};
  if (users_.Allows(without_token, Operation::kVclusterSave, target)) return Ok();
  Status refused = Error(Code::kPermissionDenied,
                         "you do not teach him any more: he joins a group of yours first");
  users_.Record(caller, Operation::kVclusterSave, target, "collect", refused);
  return refused;
}

Result<Classes::Collected> Classes::CollectFound(const Caller& caller, const std::string& key,
                                                 const std::vector<std::string>& students,
                                                 const ProgressFn& progress,
                                                 const CancelToken& cancel) {
  Class record;
  std::vector<Student> chosen;
  {
    const std::lock_guard lock(mutex_);
    const auto found = classes_.find(key);
    if (found == classes_.end()) return Error(Code::kNotFound, "the class was just deleted");
    const Entry& entry = found->second;
    record = entry.record;
    for (const std::string& user : students) {
      if (entry.students.contains(user)) continue;
      return Error(Code::kNotFound,
                   "class " + record.name() + " has no student '" + user.substr(0, 100) + "'");
    }
    const std::set<std::string> only(students.begin(), students.end());
    for (const auto& [user, student] : entry.students) {
      if (only.empty() || only.contains(user)) chosen.push_back(student);
    }
  }
  std::map<uint32_t, VclusterView> views;  // By uid.
  const auto of_it = [&](const master::v1::Vcluster& one) { return one.class_key() == key; };
  for (VclusterView& view : master_.All(of_it)) {
    const uint32_t uid = view.vcluster->record.owner_uid();
    views.insert_or_assign(uid, std::move(view));
  }
  Collected collected;
  const std::string tag = DateTag(master_.NowUnixMs());
  std::mutex mutex;  // Guards the failures, and one call of `progress` at a time.
  uint32_t done = 0;
  // One that fails is told, and the others go on.
  RETURN_IF_ERROR(ParallelFor(
      chosen.size(),
      [&](size_t i) -> Status {
        RETURN_IF_ERROR(cancel.Check());
        const std::string& user = chosen[i].user();
        const auto view = views.find(chosen[i].uid());
        Status saved = CheckMaySave(caller, record, chosen[i]);
        if (saved.ok()) {
          saved = view == views.end() ? Status(Error(Code::kNotFound, "has no Vcluster"))
                                      : CollectOne(key, record, user, view->second, tag, cancel);
        }
        const std::lock_guard lock(mutex);
        if (!saved.ok()) collected.failures.push_back(user + ": " + saved.error().message());
        progress("collect", ++done, static_cast<uint32_t>(chosen.size()));
        return Ok();
      },
      kStudentsAtATime));
  std::sort(collected.failures.begin(), collected.failures.end());
  const std::lock_guard lock(mutex_);
  const auto found = classes_.find(key);
  if (found == classes_.end()) return Error(Code::kNotFound, "the class was just deleted");
  collected.view = ViewOf(found->second);
  return collected;
}

Status Classes::CollectOne(const std::string& key, const Class& record, const std::string& user,
                           const VclusterView& seen, const std::string& tag,
                           const CancelToken& cancel) {
  const VclusterView view = master_.Find(seen.vcluster->record.number());  // Nodes move.
  if (view.vcluster == nullptr) return Error(Code::kNotFound, "has no Vcluster");
  const std::string student_key = StudentKey(key, user);
  GroupSaveParameters group;
  group.on_behalf_of_uid = record.owner_uid();
  group.owner = ImageOwner(record.owner_uid());
  group.front = record.name() + "-" + user;
  group.tag = tag;
  ASSIGN_OR_RETURN(group.mark, NewMark());
  group.description = "class " + record.name() + ", " + user;
  ASSIGN_OR_RETURN(HomeImages images, PlanGroupSave(view, group));
  // A student's record, changed by `edit`, durably.
  const auto change = [&](const std::function<Status(Student*)>& edit) -> Status {
    const std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(ReadUnsure());
    const auto found = classes_.find(key);
    if (found == classes_.end() || !found->second.students.contains(user)) {
      return Error(Code::kNotFound, "the class was just deleted");
    }
    Student student = found->second.students.at(user);
    RETURN_IF_ERROR(edit(&student));
    const bool looked = found->second.looked;
    RETURN_IF_ERROR(PutStudents(found->second, {std::move(student)}));
    found->second.looked = looked;
    return Ok();
  };
  {
    const std::lock_guard lock(mutex_);
    if (!collecting_.insert(student_key).second) {
      return Error(Code::kFailedPrecondition, "is being collected already");
    }
  }
  const auto collect = [&]() -> Status {
    // Before there is any: whatever happens, it is known what to remove.
    RETURN_IF_ERROR(change([&](Student* student) -> Status {
      if (!student->pending().empty()) {
        return Error(Code::kFailedPrecondition,
                     "what an earlier collection left is still to be removed: try again soon");
      }
      *student->mutable_pending() = images;
      return Ok();
    }));
    RETURN_IF_ERROR(SaveGroup(
        master_, view, group, &images, [](const std::string&, uint32_t, uint32_t) {}, cancel));
    // To where the teacher looks at them.
    for (const std::string& failure : Send(PlanSending(master_, images, {master_.name()}))) {
      LOG_WARNING("class " + key + ": " + failure);
    }
    ASSIGN_OR_RETURN(const Definition definition, ParseDefinitionJson(record.definition()));
    return change([&](Student* student) -> Status {
      student->clear_pending();
      student->clear_collected();
      student->set_collected_unix_ms(master_.NowUnixMs());
      for (const master::v1::TemplateImage& image : images) {
        master::v1::CollectedImage* one = student->add_collected();
        const bool plain = image.role() == kDefaultRole;
        one->set_node((plain ? "" : image.role() + "-") + std::to_string(image.ordinal()));
        one->set_reference(image.reference());
        one->set_digest(image.digest());
        one->set_files(image.entries());
        one->set_bytes(image.layer_bytes());
        one->set_new_bytes(image.new_bytes());
        if (const Role* role = definition.FindRole(image.role())) {
          one->set_base(role->ImageOf(image.ordinal()));
        }
      }
      return Ok();
    });
  };
  Status done = collect();
  {
    const std::lock_guard lock(mutex_);
    collecting_.erase(student_key);
  }
  if (!done.ok()) RemovePending();
  return done;
}

// Images of collections that did not end.
void Classes::RemovePending() {
  std::vector<std::pair<std::string, Student>> left;
  {
    const std::lock_guard lock(mutex_);
    // They may be known as collected, whatever was answered.
    if (Status read = ReadUnsure(); !read.ok()) {
      LOG_WARNING("classes: " + read.error().message());
      return;
    }
    for (const auto& [key, entry] : classes_) {
      for (const auto& [user, student] : entry.students) {
        if (student.pending().empty() || collecting_.contains(StudentKey(key, user))) continue;
        left.emplace_back(key, student);
      }
    }
  }
  for (auto& [key, student] : left) {
    if (Status gone = RemoveImages(master_, student.pending()); !gone.ok()) {
      LOG_WARNING("class " + key + ": what was collected of " + student.user() +
                  " is removed later: " + gone.error().message());
      continue;
    }
    const std::lock_guard lock(mutex_);
    const auto found = classes_.find(key);
    if (found == classes_.end() || !found->second.students.contains(student.user())) continue;
    Student now = found->second.students.at(student.user());
    if (now.pending().empty() || now.pending(0).reference() != student.pending(0).reference()) {
      continue;  // Another one is under way.
    }
    now.clear_pending();
    const bool looked = found->second.looked;
    if (Status put = PutStudents(found->second, {std::move(now)}); !put.ok()) {
      LOG_WARNING("class " + key + ": " + put.error().message());
    }
    found->second.looked = looked;
  }
}

}  // namespace strata::vcluster
