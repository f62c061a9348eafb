// A master that ends at every single commit of a job's life. A job that was taken is done by the
// next one, once, and its Vcluster is gone; one that was not taken leaves nothing.
#include <gtest/gtest.h>

#include "tests/sim/commit_crash.h"
#include "tests/unit/vclusterd/await.h"
#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/master/jobs.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

constexpr int kPointsMax = 200;
constexpr char kJob[] =
    "name: own\ncreate: {image: tiny, nodes: 2}\n"
    "tasks: {a: {run: x, on: all}, b: {run: y, after: a}}\n";

class CrashedJob {
 public:
  CrashedJob(int point, bool is_made) : crash_(point, is_made) {
    // Whatever runs ends at once.
    for (const char* run : {"1.0.0.1", "1.0.1.1", "1.1.0.1", "2.0.0.1", "2.0.1.1", "2.1.0.1"}) {
      host_->EndTask(run, host::v1::TASK_ENDED, 0, "said");
    }
    Open();
  }

  void Open() {
    jobs_.reset();
    clusters_.reset();
    master_.reset();
    crash_.TakeOver();
    MasterOptions options;
    options.name = "m1";
    options.pool = net::Ipv4Prefix::Parse("10.215.0.0/16").value();
    options.user_name = [](uint32_t uid) { return std::to_string(uid); };
    options.now_unix_ms = [] { return int64_t{1'800'000'000'000}; };
    options.every = std::chrono::milliseconds(20);
    auto opened = Master::Open(options, faulty_store_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    master_ = std::move(*opened);
    clusters_ = std::make_unique<Clusters>(*master_, *users_);
    jobs_ = std::make_unique<Jobs>(*clusters_);
    master_->AddHost("h1", host_, host_->Statuses());
  }

  // Whether it came to the commit.
  bool Run() {
    crash_.Arm();
    const JobDefinition definition = ParseJob(kJob, "j.yaml", {}).value();
    const auto submitted = jobs_->Submit(kAlice, definition);
    taken_ = submitted.ok() && !crash_.dead();
    EXPECT_TRUE(submitted.ok() || crash_.dead()) << submitted.error().message();
    EXPECT_TRUE(Await([&] { return crash_.dead() || IsDone(); }));
    EXPECT_TRUE(!IsDone() || jobs_->Delete(kAlice, "own").ok() || crash_.dead());
    const bool crashed = crash_.dead();
    if (crashed) Open();
    return crashed;
  }
  bool taken() const { return taken_; }

  JobPtr Job() {
    const auto view = jobs_->Find(kAlice, "own");
    return view.ok() ? view->job : nullptr;
  }
  bool IsDone() {
    const JobPtr job = Job();
    return job != nullptr && job->phase() == jobs::v1::DONE;
  }
  bool IsClear() {
    const auto listed = clusters_->List(kAlice, "");
    return listed.ok() && listed->empty() && host_->Statuses().empty();
  }
  size_t Outputs() {
    size_t count = 0;
    (void)store_->Scan(kJobOutputsTable, "", [&](const std::string&, const std::string&) {
      ++count;
      return Ok();
    });
    return count;
  }
  Status Delete() { return jobs_->Delete(kAlice, "own"); }

 private:
  sim::CommitCrash crash_;
  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(DesiredTables());
  sim::FaultyStore faulty_store_{*store_, [this](const auto&) { return crash_.Meet(); },
                                 [](const auto&) {}};
  TestUsers users_{*store_};
  std::shared_ptr<FakeHost> host_ = std::make_shared<FakeHost>();
  std::unique_ptr<Master> master_;
  std::unique_ptr<Clusters> clusters_;
  std::unique_ptr<Jobs> jobs_;
  bool taken_ = false;
};

TEST(JobCrashPoints, AJobThatWasTakenIsDoneOnceAndLeavesNothing) {
  for (const bool is_made : {false, true}) {
    int point = 1;
    for (bool crashed = true; crashed && !HasFailure(); ++point) {
      ASSERT_LT(point, kPointsMax) << "it commits without end";
      SCOPED_TRACE("commit " + std::to_string(point) + (is_made ? ", made" : ", not made"));
      CrashedJob world(point, is_made);
      crashed = world.Run();
      if (!crashed) break;
      const bool was_deleted = world.Job() == nullptr;
      EXPECT_TRUE(
          Await([&] { return world.IsClear() && (world.Job() == nullptr || world.IsDone()); }));
      if (const JobPtr job = world.Job()) {
        EXPECT_EQ(job->outcome(), jobs::v1::SUCCEEDED);
        EXPECT_EQ(world.Outputs(), 3u);
        EXPECT_TRUE(world.Delete().ok());
      } else {
        EXPECT_TRUE(was_deleted || !world.taken()) << "a job that was taken is lost";
      }
      EXPECT_EQ(world.Outputs(), 0u);
      EXPECT_TRUE(world.IsClear());
    }
    EXPECT_GT(point, 5) << "too little was committed";
  }
}

}  // namespace
}  // namespace strata::vcluster
