// Jobs on real nodes: commands in containers, their output, their ends, and what a restart leaves.
#include <gmock/gmock.h>

#include <future>

#include "tests/unit/vclusterd/clusters_fixture.h"
#include "vclusterd/host/process_marks.h"
#include "vclusterd/master/jobs.h"

namespace strata::vcluster {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class NodeTasksTest : public ClustersTest {
 protected:
  uint32_t Submit(const std::string& file) {
    const auto definition = ParseJob(file, "j.yaml", {});
    EXPECT_TRUE(definition.ok()) << definition.error().message();
    const auto view = Jobs(*clusters_).Submit(kAlice, *definition);
    EXPECT_TRUE(view.ok()) << view.error().message();
    return view.ok() ? view->job->number() : 0;
  }
  JobPtr Get(uint32_t number) {
    return Jobs(*clusters_).Find(kAlice, std::to_string(number)).value().job;
  }
  // Its record when it is done.
  JobPtr Await(uint32_t number) {
    CancelToken cancel;
    auto watched = std::async(std::launch::async, [&] {
      return Jobs(*clusters_)
          .Watch(
              kAlice, std::to_string(number), [](const JobView&) { return true; }, {}, cancel);
    });
    EXPECT_EQ(watched.wait_for(seconds(60)), std::future_status::ready)
        << Get(number)->ShortDebugString();
    cancel.Cancel();
    EXPECT_TRUE(watched.get().ok());
    return Get(number);
  }
  Result<std::string> ReadOutput(uint32_t number, const std::string& task,
                                 const std::string& node) {
    std::string text;
    RETURN_IF_ERROR(
        Jobs(*clusters_)
            .Outputs(kAlice, std::to_string(number), task, node, [&](const JobOutput& output) {
              text += output.bytes;
              return true;
            }));
    return text;
  }
  std::string OutputOf(uint32_t number, const std::string& task, const std::string& node) {
    const auto text = ReadOutput(number, task, node);
    EXPECT_TRUE(text.ok()) << text.error().message();
    return text.value_or("");
  }
  // Until the command has said so.
  void AwaitOutput(uint32_t number, const std::string& task, const std::string& node,
                   const std::string& wanted) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(30);
    // A job that was submitted just now has no run yet.
    while (ReadOutput(number, task, node).value_or("").find(wanted) == std::string::npos) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << OutputOf(number, task, node);
      std::this_thread::yield();
    }
  }
  size_t CountMarked(const std::string& name, const std::string& run) {
    return SignalMarked(ViewOf(name).init_pid, "STRATA_RUN=" + run, 0).value();
  }
  std::vector<std::string> RunFiles() { return Entries(dir_->path() + "/state/vclusterd/tasks"); }
};

TEST_F(NodeTasksTest, CommandsRunInTheirNodesAndSayWhatTheyDid) {
  ASSERT_TRUE(Create(kAlice, "v", 2).ok());
  const uint32_t job = Submit(R"(
name: j
vcluster: v
tasks:
  each:
    run: 'hostname; echo to-stderr >&2; echo $STRATA_NODES $A $STRATA_TASK'
    on: all
    env: {A: 1}
  where: {run: [sh, -c, 'pwd; head -n1 /proc/self/status; exit 7'], after: each, directory: /tmp,
          user: 5}
)");
  const JobPtr done = Await(job);
  EXPECT_EQ(done->outcome(), jobs::v1::FAILED);
  EXPECT_EQ(done->exit_code(), 7);
  EXPECT_EQ(OutputOf(job, "each", "node-1"), "v-1\nto-stderr\nv-0,v-1 1 each\n");
  EXPECT_EQ(OutputOf(job, "where", "node-0"), "/tmp\nName:\thead\n");
  while (!RunFiles().empty()) std::this_thread::yield();  // Forgotten, once the record has them.
}

TEST_F(NodeTasksTest, ARunThatTakesTooLongIsKilledWithAllItsProcesses) {
  ASSERT_TRUE(Create(kAlice, "v", 1).ok());
  const uint32_t job = Submit(R"(
name: j
vcluster: v
tasks:
  a: {run: 'sleep 1000 & (trap "" TERM; sleep 1001) & echo on; sleep 1002', timeout: 1s}
)");
  const JobPtr done = Await(job);
  EXPECT_EQ(done->exit_code(), 124);
  EXPECT_THAT(done->problem(), HasSubstr("did not end within 1 s"));
  EXPECT_EQ(OutputOf(job, "a", "node-0"), "on\n");
  EXPECT_EQ(CountMarked("v", std::to_string(job) + ".0.0.1"), 0u);
}

TEST_F(NodeTasksTest, OnlyTheEndOfALongOutputIsKept) {
  ASSERT_TRUE(Create(kAlice, "v", 1).ok());
  const uint32_t job = Submit(R"(
name: j
vcluster: v
tasks:
  a: 'head -c 300000 /dev/zero | cat; echo the end'
)");
  const JobPtr done = Await(job);
  EXPECT_EQ(done->outcome(), jobs::v1::SUCCEEDED);
  EXPECT_EQ(done->tasks(0).runs(0).output_bytes(), 300'008u);
  const std::string output = OutputOf(job, "a", "node-0");
  EXPECT_EQ(output.size(), kHookOutputBytesMax);
  EXPECT_TRUE(output.ends_with("the end\n"));
}

TEST_F(NodeTasksTest, ACancelledJobStopsItsCommandsAndKeepsWhatTheyWrote) {
  ASSERT_TRUE(Create(kAlice, "v", 1).ok());
  const uint32_t job = Submit(
      "name: j\nvcluster: v\ntasks:\n  a: 'echo begun; sleep 1000'\n  b: {run: x, after: a}\n");
  AwaitOutput(job, "a", "node-0", "begun");
  ASSERT_TRUE(Jobs(*clusters_).Cancel(kAlice, "j").ok());
  const JobPtr done = Await(job);
  EXPECT_EQ(done->outcome(), jobs::v1::CANCELLED);
  EXPECT_EQ(done->tasks(0).runs(0).phase(), jobs::v1::RUN_CANCELLED);
  EXPECT_EQ(OutputOf(job, "a", "node-0"), "begun\n");
  EXPECT_EQ(CountMarked("v", std::to_string(job) + ".0.0.1"), 0u);
  EXPECT_EQ(ViewOf("v").condition, NodeCondition::kRunning);
}

TEST_F(NodeTasksTest, ARunDoesNotHoldItsNode) {
  ASSERT_TRUE(Create(kAlice, "v", 2).ok());
  const uint32_t job = Submit(
      "name: j\nvcluster: v\ntasks:\n  a: {run: 'echo begun; sleep 1000', on: all, retries: 3}\n");
  AwaitOutput(job, "a", "node-0", "begun");
  AwaitOutput(job, "a", "node-1", "begun");
  ASSERT_TRUE(clusters_->Stop(kAlice, "v/1", seconds(1)).ok());
  while (Get(job)->tasks(0).runs(1).phase() != jobs::v1::RUN_FAILED) std::this_thread::yield();
  EXPECT_EQ(Get(job)->tasks(0).runs(1).problem(), "the node is stopped");
  EXPECT_EQ(Get(job)->tasks(0).runs(0).phase(), jobs::v1::RUN_RUNNING);
  ASSERT_TRUE(clusters_->Delete(kAlice, "v").ok());
  EXPECT_EQ(Await(job)->problem(), "a in node-1: the node is stopped");
  EXPECT_TRUE(RunFiles().empty());
}

TEST_F(NodeTasksTest, ABreakdownOfTheNodeIsAFailedAttempt) {
  ASSERT_TRUE(Create(kAlice, "v", 1).ok());
  const uint32_t job = Submit(R"(
name: j
vcluster: v
tasks:
  a:
    run: 'if test -e /second; then echo again; else echo 1 > /second; echo begun; sleep 1000; fi'
    retries: 1
    retry-delay: 0s
)");
  AwaitOutput(job, "a", "node-0", "begun");
  KillInit("v");
  const JobPtr done = Await(job);
  EXPECT_EQ(done->outcome(), jobs::v1::SUCCEEDED) << done->ShortDebugString();
  EXPECT_EQ(done->tasks(0).runs(0).attempt(), 2u);
  EXPECT_EQ(OutputOf(job, "a", "node-0"), "again\n");
}

TEST_F(NodeTasksTest, AfterARestartARunIsLostAndNothingOfItIsLeft) {
  ASSERT_TRUE(Create(kAlice, "v", 1).ok());
  const uint32_t job = Submit(R"(
name: j
vcluster: v
tasks:
  a: {run: 'echo $STRATA_ATTEMPT >> /begun; echo begun; sleep 1000 & sleep 1001', retries: 1}
)");
  AwaitOutput(job, "a", "node-0", "begun");
  const pid_t node = ViewOf("v").init_pid;
  Open();
  EXPECT_EQ(ViewOf("v").init_pid, node) << "the node has not noticed";
  while (Get(job)->tasks(0).runs(0).phase() == jobs::v1::RUN_RUNNING) std::this_thread::yield();
  const jobs::v1::Run run = Get(job)->tasks(0).runs(0);
  EXPECT_EQ(run.phase(), jobs::v1::RUN_WAITING);
  EXPECT_THAT(run.problem(), HasSubstr("vclusterd ended while it ran"));
  EXPECT_EQ(CountMarked("v", std::to_string(job) + ".0.0.1"), 0u);
  EXPECT_EQ(this->Run(kAlice, "v/0", {"cat", "/begun"}), "1\n");
  ASSERT_TRUE(Jobs(*clusters_).Cancel(kAlice, "j").ok());
  EXPECT_EQ(Await(job)->outcome(), jobs::v1::CANCELLED);
}

// As after a crash between the end of a command and the word of it.
TEST_F(NodeTasksTest, AnEndThatNobodyHasHeardOfIsToldAfterARestart) {
  ASSERT_TRUE(Create(kAlice, "v", 1).ok());
  const std::string state = config_.state_dir + "/vclusterd/tasks";
  const uint32_t job =
      Submit("name: j\nvcluster: v\ntasks:\n  a: {run: 'echo begun; sleep 1000', retries: 1}\n");
  AwaitOutput(job, "a", "node-0", "begun");
  Close();
  const std::string id = std::to_string(job) + ".0.0.1";
  const auto files = TaskFiles::Open(state);
  ASSERT_TRUE(files.ok());
  host::v1::TaskRun ended;
  ended.set_id(id);
  ended.set_state(host::v1::TASK_ENDED);
  ended.set_output("the end");
  ASSERT_TRUE(files->Write("1-0", ended).ok());
  // What no node has, and what is no run at all, goes.
  ASSERT_TRUE(files->Write("9-9", ended).ok());
  ASSERT_TRUE(WriteFileAtomically(state + "/1-0." + id + ".run.x7", "half").ok());
  Open();
  EXPECT_EQ(Await(job)->outcome(), jobs::v1::SUCCEEDED);
  EXPECT_EQ(OutputOf(job, "a", "node-0"), "the end");
  while (!RunFiles().empty()) std::this_thread::yield();
}

TEST_F(NodeTasksTest, AFileThatCannotBeReadIsARunThatIsLost) {
  ASSERT_TRUE(Create(kAlice, "v", 1).ok());
  const uint32_t job =
      Submit("name: j\nvcluster: v\ntasks:\n  a: {run: 'echo begun; sleep 1000'}\n");
  AwaitOutput(job, "a", "node-0", "begun");
  Close();
  const std::string id = std::to_string(job) + ".0.0.1";
  ASSERT_TRUE(WriteFileAtomically(config_.state_dir + "/vclusterd/tasks/1-0." + id + ".run",
                                  "\xff\xff damaged")
                  .ok());
  Open();
  const JobPtr done = Await(job);
  EXPECT_EQ(done->outcome(), jobs::v1::FAILED);
  EXPECT_EQ(done->tasks(0).runs(0).attempt(), 1u) << "it may have run to its end";
}

TEST_F(NodeTasksTest, AVclusterIsMadeForAJobAndNothingOfItIsLeft) {
  const uint32_t job =
      Submit("name: own\ncreate: {image: tiny, nodes: 2}\ntasks: {a: {run: hostname, on: all}}\n");
  EXPECT_EQ(Await(job)->outcome(), jobs::v1::SUCCEEDED);
  const std::string name = "own-" + std::to_string(job);
  EXPECT_EQ(OutputOf(job, "a", "node-1"), name + "-1\n");
  EXPECT_TRUE(clusters_->List(kAlice, "")->empty());
  ExpectNothingLeft();
  EXPECT_TRUE(RunFiles().empty());
}

TEST_F(NodeTasksTest, ACommandThatIsNotThereFailsWithTheShellsCode) {
  ASSERT_TRUE(Create(kAlice, "v", 1).ok());
  const uint32_t job = Submit("name: j\nvcluster: v\ntasks:\n  a: {run: [no-such-command]}\n");
  EXPECT_EQ(Await(job)->exit_code(), 127);
  EXPECT_THAT(OutputOf(job, "a", "node-0"), StartsWith("no-such-command: "));
}

}  // namespace
}  // namespace strata::vcluster
