// Jobs and the master's records, with hosts in memory.
#include "vclusterd/master/jobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/await.h"
#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

using testing::HasSubstr;

void Ignore(const std::string&, uint32_t, uint32_t) {}

class JobsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = records::MakeMemoryRecordStore(DesiredTables());
    users_ = std::make_unique<TestUsers>(*store_);
    host_ = std::make_shared<FakeHost>();
    Open();
  }
  // A master that takes over from the last, if there was one, as after a crash.
  void Open() {
    jobs_.reset();
    clusters_.reset();
    master_.reset();
    MasterOptions options;
    options.name = "m1";
    options.pool = net::Ipv4Prefix::Parse("10.215.0.0/16").value();
    options.user_name = [](uint32_t uid) { return std::to_string(uid); };
    options.now_unix_ms = [this] { return now_ms_.load(); };
    options.every = std::chrono::milliseconds(20);
    auto opened = Master::Open(options, *store_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    master_ = std::move(*opened);
    clusters_ = std::make_unique<Clusters>(*master_, **users_);
    jobs_ = std::make_unique<Jobs>(*clusters_);
    master_->AddHost("h1", host_, host_->Statuses());
  }
  void Create(const std::string& name, uint32_t nodes) {
    const auto made =
        clusters_->Create(kAlice, PlainDefinition(name, "tiny", nodes, {}), "", Ignore, {});
    ASSERT_TRUE(made.ok()) << made.error().message();
  }

  Result<JobView> Submit(const std::string& file, const Caller& caller = kAlice) {
    ASSIGN_OR_RETURN(const JobDefinition definition, ParseJob(file, "j.yaml", {}));
    return jobs_->Submit(caller, definition);
  }
  JobPtr Get(const std::string& job) {
    const auto view = jobs_->Find(kAlice, job);
    EXPECT_TRUE(view.ok()) << view.error().message();
    return view.ok() ? view->job : std::make_shared<const jobs::v1::Job>();
  }
  void EndTask(const std::string& id, int exit_code, const std::string& output = "",
               uint32_t vcluster = 1) {
    host_->EndTask(id, host::v1::TASK_ENDED, exit_code, output);
    master_->Report("h1", host_->SaysOf(vcluster));
  }
  bool AwaitPhase(const std::string& job, jobs::v1::Phase phase) {
    return Await([&] { return Get(job)->phase() == phase; });
  }
  bool AwaitOrdered(const std::string& id, uint32_t vcluster = 1) {
    return Await([&] {
      const host::v1::Part order = host_->Order(vcluster);
      for (const host::v1::NodeOrder& node : order.nodes()) {
        for (const host::v1::TaskOrder& task : node.tasks()) {
          if (task.id() == id) return true;
        }
      }
      return false;
    });
  }
  size_t CountOutputs() {
    size_t count = 0;
    (void)store_->Scan(kJobOutputsTable, "", [&](const std::string&, const std::string&) {
      ++count;
      return Ok();
    });
    return count;
  }

  std::atomic<int64_t> now_ms_ = 1'800'000'000'000;
  std::unique_ptr<records::RecordStore> store_;
  std::unique_ptr<TestUsers> users_;
  std::shared_ptr<FakeHost> host_;
  std::unique_ptr<Master> master_;
  std::unique_ptr<Clusters> clusters_;
  std::unique_ptr<Jobs> jobs_;
};

constexpr char kTwoTasks[] =
    "name: two\nvcluster: v\ntasks:\n  a: {run: x, on: all}\n  b: {run: y, after: a}\n";

TEST_F(JobsTest, TasksReachTheirNodesAndTheirEndsTheRecord) {
  Create("v", 2);
  const auto submitted = Submit(kTwoTasks);
  ASSERT_TRUE(submitted.ok()) << submitted.error().message();
  EXPECT_EQ(submitted->job->number(), 1u);
  ASSERT_TRUE(AwaitOrdered("1.0.0.1"));
  ASSERT_TRUE(AwaitOrdered("1.0.1.1"));
  EndTask("1.0.0.1", 0, "from 0");
  EndTask("1.0.1.1", 0);
  ASSERT_TRUE(AwaitOrdered("1.1.0.1"));
  EXPECT_EQ(host_->Order(1).nodes(1).tasks_size(), 0) << "its end is known";
  EndTask("1.1.0.1", 4, "no luck");
  ASSERT_TRUE(AwaitPhase("two", jobs::v1::DONE));
  const JobPtr job = Get("1");
  EXPECT_EQ(job->outcome(), jobs::v1::FAILED);
  EXPECT_EQ(job->exit_code(), 4);
  EXPECT_EQ(job->problem(), "b in node-0: exit code 4");
  std::map<std::string, std::string> outputs;
  ASSERT_TRUE(jobs_
                  ->Outputs(kAlice, "two", "", "",
                            [&](const JobOutput& output) {
                              outputs[output.task + " " + output.node] = output.bytes;
                              return true;
                            })
                  .ok());
  EXPECT_EQ(outputs,
            (std::map<std::string, std::string>{{"a node-0", "from 0"}, {"b node-0", "no luck"}}));
  EXPECT_TRUE(Await([&] { return host_->Order(1).task_commands().empty(); }));
}

TEST_F(JobsTest, AnotherMasterGoesOnWhereTheRecordIs) {
  Create("v", 2);
  ASSERT_TRUE(Submit(kTwoTasks).ok());
  ASSERT_TRUE(AwaitOrdered("1.0.1.1"));
  Open();
  EndTask("1.0.0.1", 0, "kept");
  EndTask("1.0.1.1", 0);
  ASSERT_TRUE(AwaitOrdered("1.1.0.1"));
  Open();
  EXPECT_EQ(Get("two")->tasks(0).runs(0).attempt(), 1u) << "nothing was begun again";
  EndTask("1.1.0.1", 0);
  ASSERT_TRUE(AwaitPhase("two", jobs::v1::DONE));
  EXPECT_EQ(Get("two")->exit_code(), 0);
  Open();
  EXPECT_EQ(Get("two")->outcome(), jobs::v1::SUCCEEDED);
  EXPECT_EQ(Submit(kTwoTasks)->job->number(), 2u) << "a number is never given again";
}

TEST_F(JobsTest, AVclusterIsMadeForAJobAndDeletedAfterIt) {
  const auto submitted =
      Submit("name: own\ncreate: {image: tiny, nodes: 2}\ntasks: {a: {run: x, on: all}}\n");
  ASSERT_TRUE(submitted.ok()) << submitted.error().message();
  EXPECT_EQ(submitted->job->vcluster(), "own-1");
  ASSERT_TRUE(AwaitOrdered("1.0.1.1"));
  EXPECT_EQ(clusters_->List(kAlice, "own-1")->size(), 1u);
  EndTask("1.0.0.1", 0);
  EndTask("1.0.1.1", 0);
  ASSERT_TRUE(AwaitPhase("own", jobs::v1::DONE));
  EXPECT_EQ(clusters_->List(kAlice, "")->size(), 0u);
  EXPECT_TRUE(host_->Statuses().empty());
}

// Wherever the master ends, the Vcluster of the job is neither forgotten nor made twice.
TEST_F(JobsTest, TheDeletionOfAVclusterSurvivesMasters) {
  ASSERT_TRUE(Submit("name: own\ncreate: {image: tiny}\ntasks: {a: x}\n").ok());
  Open();
  ASSERT_TRUE(AwaitOrdered("1.0.0.1"));
  host_->Refuse(Error(Code::kUnavailable, "not now"));
  host_->EndTask("1.0.0.1", host::v1::TASK_ENDED, 3);
  master_->Report("h1", host_->SaysOf(1));
  ASSERT_TRUE(AwaitPhase("own", jobs::v1::CLEARING)) << "its host does not answer";
  Open();
  EXPECT_EQ(Get("own")->phase(), jobs::v1::CLEARING);
  EXPECT_EQ(Get("own")->exit_code(), 3);
  host_->Refuse(std::nullopt);
  ASSERT_TRUE(AwaitPhase("own", jobs::v1::DONE));
  EXPECT_EQ(clusters_->List(kAlice, "")->size(), 0u);
}

TEST_F(JobsTest, AVclusterThatCannotStartFailsTheJob) {
  host_->SetState("node", host::v1::BREAKDOWN, "no such image");
  ASSERT_TRUE(Submit("name: own\ncreate: {image: tiny}\ntasks: {a: x}\n").ok());
  ASSERT_TRUE(AwaitPhase("own", jobs::v1::DONE));
  EXPECT_EQ(Get("own")->exit_code(), 125);
  EXPECT_THAT(Get("own")->problem(), HasSubstr("no such image"));
  EXPECT_EQ(clusters_->List(kAlice, "")->size(), 0u);
}

TEST_F(JobsTest, AJobWaitsForRoomAndSaysSo) {
  const std::string large =
      "create: {image: tiny, limits: {memory: 1000T}}\ntimeout: 1h\ntasks: {a: x}\n";
  ASSERT_TRUE(Submit("name: own\n" + large).ok());
  ASSERT_TRUE(Await([&] { return jobs_->Find(kAlice, "own")->notice != ""; }));
  EXPECT_EQ(Get("own")->phase(), jobs::v1::PREPARING);
  now_ms_ += 3'600'000;
  ASSERT_TRUE(AwaitPhase("own", jobs::v1::DONE));
  EXPECT_EQ(Get("own")->outcome(), jobs::v1::TIMED_OUT);
}

TEST_F(JobsTest, CancellingStopsRuns) {
  Create("v", 2);
  ASSERT_TRUE(Submit(kTwoTasks).ok());
  ASSERT_TRUE(AwaitOrdered("1.0.1.1"));
  EXPECT_EQ(jobs_->Delete(kAlice, "two").error().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(jobs_->Cancel(kAlice, "two").ok());
  ASSERT_TRUE(AwaitPhase("two", jobs::v1::DONE));
  EXPECT_EQ(Get("two")->exit_code(), 130);
  EXPECT_TRUE(Await([&] { return host_->Order(1).task_commands().empty(); }));
  EXPECT_TRUE(jobs_->Cancel(kAlice, "two").ok()) << "again is fine";
}

TEST_F(JobsTest, AVclusterThatIsDeletedFailsItsJobs) {
  Create("v", 1);
  ASSERT_TRUE(Submit(kTwoTasks).ok());
  ASSERT_TRUE(AwaitOrdered("1.0.0.1"));
  ASSERT_TRUE(clusters_->Delete(kAlice, "v").ok());
  ASSERT_TRUE(AwaitPhase("two", jobs::v1::DONE));
  EXPECT_EQ(Get("two")->problem(), "its Vcluster was deleted");
}

TEST_F(JobsTest, JobsAreTheirOwnersAlone) {
  Create("v", 1);
  EXPECT_EQ(Submit(kTwoTasks, kBob).error().code(), Code::kNotFound);
  ASSERT_TRUE(Submit(kTwoTasks).ok());
  for (const char* name : {"two", "1", "64001/two"}) {
    EXPECT_EQ(jobs_->Find(kBob, name).error().code(), Code::kNotFound) << name;
    EXPECT_EQ(jobs_->Cancel(kBob, name).error().code(), Code::kNotFound);
    EXPECT_EQ(jobs_->Delete(kBob, name).error().code(), Code::kNotFound);
    EXPECT_EQ(jobs_->Outputs(kBob, name, "", "", {}).error().code(), Code::kNotFound);
    EXPECT_EQ(jobs_->Watch(kBob, name, {}, {}, {}).error().code(), Code::kNotFound);
  }
  EXPECT_TRUE(jobs_->List(kBob, false)->empty());
  EXPECT_TRUE(jobs_->List(kBob, true)->empty());
  EXPECT_TRUE(jobs_->List(kRoot, false)->empty());
  EXPECT_EQ(jobs_->List(kRoot, true)->size(), 1u);
  EXPECT_TRUE(jobs_->Find(kRoot, "1").ok());
  EXPECT_TRUE(jobs_->Find(kRoot, "64001/two").ok());
}

TEST_F(JobsTest, WhatTheVclusterLacksIsToldWhenAJobIsHandedIn) {
  Create("v", 1);
  const auto wrong = Submit("name: j\nvcluster: v\ntasks: {a: {run: x, on: worker}}\n");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code(), Code::kInvalidArgument);
  EXPECT_THAT(wrong.error().message(), HasSubstr("tasks.a.on: the Vcluster has no role 'worker'"));
  EXPECT_EQ(Submit("name: j\nvcluster: w\ntasks: {a: x}\n").error().code(), Code::kNotFound);
}

TEST_F(JobsTest, NobodyHasTooManyJobs) {
  Create("v", 1);
  for (size_t i = 0; i < kActiveJobsMax; ++i) ASSERT_TRUE(Submit(kTwoTasks).ok());
  EXPECT_EQ(Submit(kTwoTasks).error().code(), Code::kResourceExhausted);
}

TEST_F(JobsTest, OldJobsAndTheirOutputsAreRemoved) {
  Create("v", 1);
  const std::string one = "name: j\nvcluster: v\ntasks: {a: x}\n";
  for (uint32_t i = 1; i <= kFinishedJobsMax + 2; ++i) {
    ASSERT_TRUE(Submit(one).ok());
    const std::string id = std::to_string(i) + ".0.0.1";
    ASSERT_TRUE(AwaitOrdered(id));
    EndTask(id, 0, "some");
    ASSERT_TRUE(AwaitPhase(std::to_string(i), jobs::v1::DONE));
  }
  ASSERT_TRUE(Await([&] { return jobs_->List(kAlice, false)->size() == kFinishedJobsMax; }));
  EXPECT_EQ(jobs_->Find(kAlice, "1").error().code(), Code::kNotFound);
  EXPECT_TRUE(jobs_->Find(kAlice, std::to_string(kFinishedJobsMax + 2)).ok());
  EXPECT_EQ(CountOutputs(), kFinishedJobsMax);
  ASSERT_TRUE(jobs_->Delete(kAlice, std::to_string(kFinishedJobsMax)).ok());
  EXPECT_EQ(CountOutputs(), kFinishedJobsMax - 1);
  now_ms_ += kFinishedJobAgeMaxMs + 1;
  ASSERT_TRUE(Await([&] { return jobs_->List(kAlice, false)->empty(); }));
  EXPECT_EQ(CountOutputs(), 0u);
}

TEST_F(JobsTest, WhoWatchesHearsOfChangesAndOutputsUntilTheEnd) {
  Create("v", 1);
  ASSERT_TRUE(Submit(kTwoTasks).ok());
  ASSERT_TRUE(AwaitOrdered("1.0.0.1"));
  std::vector<std::string> outputs;
  jobs::v1::Phase last = jobs::v1::PREPARING;
  std::thread watcher([&] {
    const Status watched = jobs_->Watch(
        kAlice, "1",
        [&](const JobView& view) {
          last = view.job->phase();
          return true;
        },
        [&](const JobOutput& output) {
          outputs.push_back(output.task + ": " + output.bytes);
          return true;
        },
        CancelToken());
    EXPECT_TRUE(watched.ok()) << watched.error().message();
  });
  EndTask("1.0.0.1", 0, "first");
  ASSERT_TRUE(AwaitOrdered("1.1.0.1"));
  EndTask("1.1.0.1", 0, "second");
  watcher.join();
  EXPECT_EQ(last, jobs::v1::DONE);
  EXPECT_EQ(outputs, (std::vector<std::string>{"a: first", "b: second"}));
}

}  // namespace
}  // namespace strata::vcluster
