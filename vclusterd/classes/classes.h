// Classes: for every student of a roster a Vcluster of a template, of his own and by the clock
// (docs/classes.md). What a class wants is recorded; what there is of it is known by the Vclusters'
// own records, which name their class. So a master that takes over finds both and goes on
// (class_engine.h decides).
//
// Thread-safe. A thread looks after every change of the master's, and by the clock. Lock order:
// mutex_ is a leaf but for the master's.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/cancel.h"
#include "vclusterd/classes/class_engine.h"
#include "vclusterd/classes/templates.h"

namespace strata::vcluster {

struct ClassesOptions {
  // How long the start of a class waits for images that are still on their way.
  std::chrono::milliseconds held_max{300'000};
};

struct CreateClassParameters {
  std::string name;
  std::string template_name;
  std::string roster;
  std::string roster_name;
  int64_t starts_unix_s = 0;  // 0: now.
  int64_t ends_unix_s = 0;    // 0: never.
  bool deletes_at_end = false;
  master::v1::ClassQuota quota;
  uint32_t parallel = 0;  // 0: the default.
  std::string description;
  bool prestage = true;
  bool keep_secrets = false;
};

struct StudentView {
  master::v1::Student record;
  StudentState state = StudentState::kWaiting;
  std::string problem;
  int64_t next_try_unix_ms = 0;
  std::string cluster;  // OWNER/NAME
};

struct ClassView {
  master::v1::Class record;
  std::string state;  // As of class_service.proto.
  std::string prestage;
  std::vector<StudentView> students;  // By name.
};

enum class ClassChange { kStart, kStop, kExtend, kReset, kDelete };
Operation RightOf(ClassChange change);

class Classes {
 public:
  using Class = master::v1::Class;
  using Student = master::v1::Student;
  using ProgressFn = Clusters::ProgressFn;

  // `master` and `users` must outlive the result.
  static Result<std::shared_ptr<Classes>> Open(Master& master, std::shared_ptr<Clusters> clusters,
                                               Users& users, ClassesOptions options = {});
  ~Classes();

  Templates& templates() { return *templates_; }
  Clusters& clusters() { return *clusters_; }
  Users& users() { return users_; }

  Result<ClassView> Create(const Caller& caller, const CreateClassParameters& parameters);
  // Ok when the caller may do this to the class, or, of one that he would make, to his own.
  Result<Target> MayDo(const Caller& caller, Operation operation, const std::string& name);
  Result<Target> MayCreate(const Caller& caller, const std::string& name);
  // Empty `name`: all that the caller may see.
  Result<std::vector<ClassView>> List(const Caller& caller, const std::string& name);
  // `students`: of kReset; none: all. `ends_unix_s`: of kExtend. Durable when it returns; it is
  // done behind it. After an error of the store it may have been asked for all the same, of many
  // students for some.
  Result<ClassView> Change(const Caller& caller, const std::string& name, ClassChange change,
                           const std::vector<std::string>& students, int64_t ends_unix_s);
  // Until every student's Vcluster is as it should be, has failed, or waits for the class's start.
  // A class that is gone meanwhile has an empty name.
  Result<ClassView> Watch(const Caller& caller, const std::string& name, const ProgressFn& progress,
                          const CancelToken& cancel);

  struct Collected {
    ClassView view;
    std::vector<std::string> failures;  // "USER: why"
  };
  // Saves the nodes of each student whom the caller teaches as images of the class's owner, those
  // of one student as of one moment.
  Result<Collected> Collect(const Caller& caller, const std::string& name,
                            const std::vector<std::string>& students, const ProgressFn& progress,
                            const CancelToken& cancel);

 private:
  struct PrestageState;
  struct Entry {
    Class record;
    std::map<std::string, Student> students;
    std::map<std::string, Attempt> attempts;
    ClassPlan plan;       // The last.
    bool looked = false;  // Since it was changed.
    std::shared_ptr<PrestageState> prestage;
  };
  using Found = std::map<std::string, VclusterView>;  // Of one class, by student.

  Classes(Master& master, std::shared_ptr<Clusters> clusters, Users& users, ClassesOptions options);
  Status Load();
  // Of one that the caller may see; and of one that he may do this to.
  Result<std::string> KeyOf(const Caller& caller, const std::string& name);
  Result<std::string> KeyFor(const Caller& caller, Operation operation, const std::string& name,
                             Target* target);
  Target TargetOf(const Class& record) const { return TargetOf(record.owner_uid(), record.name()); }
  Target TargetOf(uint32_t owner_uid, const std::string& name) const;
  Status CheckRoster(const Caller& caller, const CreateClassParameters& parameters,
                     const Class& record, std::map<std::string, Student>* students);
  Result<Class> NewClass(const Caller& caller, const CreateClassParameters& parameters,
                         const Templates::Template& from);
  Result<ClassView> CreateChecked(const Caller& caller, const CreateClassParameters& parameters);
  Result<ClassView> ChangeFound(const std::string& key, ClassChange change,
                                const std::vector<std::string>& students, int64_t ends_unix_s);
  Status CheckMaySave(const Caller& caller, const Class& record, const Student& student);
  Result<Collected> CollectFound(const Caller& caller, const std::string& key,
                                 const std::vector<std::string>& students,
                                 const ProgressFn& progress, const CancelToken& cancel);
  Status StoreNew(const std::string& key, const Class& record,
                  const std::map<std::string, Student>& students);
  // REQUIRES of those below: mutex_ is held.
  Status LoadClass(const std::string& key, const std::string& value);
  Status LoadStudent(const std::string& key, const std::string& value);
  // What was committed without an answer is read again, so that nothing rests on what may be old.
  Status ReadUnsure();
  Status ReadAgain(const std::string& key);
  Status CommitOf(const std::string& class_key, std::vector<records::RecordChange> changes);
  Status Put(Entry& entry, Class record);
  // After an error those of the batches before it are put.
  Status PutStudents(Entry& entry, std::vector<Student> students);
  ClassView ViewOf(const Entry& entry) const;
  static std::string StateOf(const Entry& entry, int64_t now_unix_ms);

  // class_work.cc
  void Work();
  std::chrono::steady_clock::time_point Look();
  void CleanUp();
  void LookAt(const std::string& key, const Found& found, int64_t* next_ms);
  void Do(const std::string& key, const Class& record, const std::vector<Step>& steps,
          const Found& found);
  void MakeAll(const std::string& key, const Class& record, const std::vector<Student>& students);
  Result<master::v1::Vcluster> NewRecord(const std::string& key, const Class& record,
                                         const Student& student) const;
  Status Follow(StepKind kind, const Class& record, const Student& student,
                const VclusterView& view);
  void Failed(const std::string& key, const std::string& user, const std::string& problem);
  Status Forget(const std::string& key);
  void BeginPrestage(Entry& entry);
  // class_collect.cc
  Status CollectOne(const std::string& key, const Class& record, const std::string& user,
                    const VclusterView& view, const std::string& tag, const CancelToken& cancel);
  void RemovePending();

  Master& master_;
  const std::shared_ptr<Clusters> clusters_;
  Users& users_;
  const ClassesOptions options_;
  std::unique_ptr<Templates> templates_;
  std::mutex mutex_;                 // Guards what follows.
  std::condition_variable changed_;  // For Watch: the thread has looked.
  std::map<std::string, Entry> classes_;
  std::set<std::string> collecting_;  // Keys of students that a call works on.
  std::set<std::string> creating_;    // Keys of classes.
  // Keys of classes whose records, or those of their students, may be others than in classes_.
  std::set<std::string> unsure_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace strata::vcluster
