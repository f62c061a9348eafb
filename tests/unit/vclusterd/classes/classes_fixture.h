// ClassesTest: templates and classes over a master with two hosts in memory, a teacher and his
// students, and a record store that fails when a test says so.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/sim/faulty_store.h"
#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/classes/classes.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {

inline constexpr int kStudents = 30;  // "s0", "s1", …

inline void Ignore(const std::string&, uint32_t, uint32_t) {}

class ClassesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    users_ = std::make_unique<TestUsers>(*store_);
    teacher_ = users_->Add("teacher", users::v1::TEACHER);
    other_ = users_->Add("other", users::v1::TEACHER);
    const auto group = (*users_)->CreateGroup(teacher_, "os", "");
    ASSERT_TRUE(group.ok());
    group_ = (*group)->number();
    GroupEdit enrol;
    for (int i = 0; i < kStudents; ++i) {
      students_.push_back(users_->Add("s" + std::to_string(i)));
      enrol.enrol.push_back(students_.back().uid);
    }
    ASSERT_TRUE((*users_)->EditGroup(kRoot, group_, enrol).ok());
    Open();
  }
  void TearDown() override { Close(); }

  void Close() {
    classes_.reset();
    clusters_.reset();
    master_.reset();
  }
  // The same as a takeover: what was in memory is gone, hosts and records are there.
  void Open() {
    Close();
    MasterOptions options;
    options.name = "h1";
    options.pool = net::Ipv4Prefix::Parse("10.215.0.0/16").value();
    options.user_name = [](uint32_t uid) { return std::to_string(uid); };
    options.now_unix_ms = [this] { return now_ms_.load(); };
    options.every = std::chrono::milliseconds(20);
    options.steady_now = [this] {
      return std::chrono::steady_clock::now() + std::chrono::minutes(passed_min_);
    };
    options.check_quota = [this](uint32_t uid, const QuotaDemand&, const QuotasUsed&) -> Status {
      if (uid == refused_uid_) return Error(Code::kResourceExhausted, "his credits are used up");
      return Ok();
    };
    auto opened = Master::Open(options, faulty_store_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    master_ = std::move(*opened);
    for (const char* name : {"h1", "h2"}) {
      if (hosts_[name] == nullptr) hosts_[name] = std::make_shared<FakeHost>(1000);
      master_->AddHost(name, hosts_[name], hosts_[name]->Statuses());
    }
    clusters_ = std::make_shared<Clusters>(*master_, **users_);
    auto classes = Classes::Open(*master_, clusters_, **users_);
    ASSERT_TRUE(classes.ok()) << classes.error().message();
    classes_ = std::move(*classes);
  }

  template <typename Condition>
  static bool Await(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  Result<Templates::Template> Save(const std::string& name = "course:v1", bool is_public = false) {
    if (!(master_->Find(teacher_.uid, "lab").vcluster != nullptr)) {
      Definition definition = PlainDefinition("lab", "tiny", 3, {});
      definition.roles[0].placement.rank = Rank::kSpread;
      definition.roles[0].hooks.on_create = Hook{{"setup"}};
      definition.roles[0].ports.push_back({80, 0, Protocol::kTcp});
      const auto made = clusters_->Create(teacher_, definition, "", Ignore, CancelToken());
      if (!made.ok()) return made.error();
    }
    SaveTemplateParameters parameters;
    parameters.cluster = "lab";
    parameters.name = name;
    parameters.is_public = is_public;
    return classes_->templates().Save(teacher_, parameters, Ignore, CancelToken());
  }
  std::set<std::string> Images() {
    std::set<std::string> all = hosts_["h1"]->Images();
    all.merge(hosts_["h2"]->Images());
    return all;
  }
  static std::string Roster(int students) {
    std::string roster = "user,name\n";
    for (int i = 0; i < students; ++i) {
      roster += "s" + std::to_string(i) + ",Student " + std::to_string(i) + "\n";
    }
    return roster;
  }
  Result<ClassView> CreateClass(int students, CreateClassParameters parameters = {}) {
    parameters.name = "os-lab";
    parameters.template_name = "course:v1";
    if (parameters.roster.empty()) parameters.roster = Roster(students);
    return classes_->Create(teacher_, parameters);
  }
  ClassView Watch() {
    auto view = classes_->Watch(teacher_, "os-lab", Ignore, CancelToken());
    EXPECT_TRUE(view.ok());
    return view.ok() ? *view : ClassView();
  }
  static size_t Count(const ClassView& view, StudentState state) {
    return static_cast<size_t>(
        std::count_if(view.students.begin(), view.students.end(),
                      [&](const StudentView& student) { return student.state == state; }));
  }
  VclusterView Of(int student) {
    return master_->Find(students_[static_cast<size_t>(student)].uid, "os-lab");
  }

  // What commits meet with from now on.
  using Fate = std::function<sim::CommitFate(const std::vector<records::RecordChange>&)>;
  void SetFate(Fate fate) {
    const std::lock_guard lock(fate_mutex_);
    fate_ = std::move(fate);
  }

  std::atomic<int64_t> now_ms_ = 1'800'000'000'000;
  std::atomic<int> passed_min_ = 0;        // By the clock that is not set.
  std::atomic<uint32_t> refused_uid_ = 0;  // Starts nothing.
  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(DesiredTables());
  std::mutex fate_mutex_;  // Guards what follows.
  Fate fate_;
  sim::FaultyStore faulty_store_{*store_,
                                 [this](const auto& changes) {
                                   const std::lock_guard lock(fate_mutex_);
                                   return fate_ ? fate_(changes) : sim::CommitFate::kMade;
                                 },
                                 [](const auto&) {}};
  std::unique_ptr<TestUsers> users_;
  Caller teacher_;
  Caller other_;
  uint32_t group_ = 0;  // Of the teacher's, with all students.
  std::vector<Caller> students_;
  std::map<std::string, std::shared_ptr<FakeHost>> hosts_;
  std::unique_ptr<Master> master_;
  std::shared_ptr<Clusters> clusters_;
  std::shared_ptr<Classes> classes_;
};

}  // namespace strata::vcluster
