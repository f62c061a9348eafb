#include "vclusterd/jobs/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/jobs/world.h"

namespace strata::vcluster {
namespace {

using namespace jobs::v1;
using testing::HasSubstr;

TEST(EngineTest, TasksRunOneAfterTheOtherAndTheJobSucceeds) {
  World world("tasks:\n  b: {run: x, on: worker, after: a}\n  a: x\n");
  world.Advance();
  EXPECT_EQ(world.job.phase(), RUNNING);
  EXPECT_EQ(world.Task("a").phase(), TASK_RUNNING);
  EXPECT_EQ(world.Task("b").phase(), TASK_WAITING);
  ASSERT_EQ(world.Task("a").runs_size(), 1);
  EXPECT_EQ(world.Run("a", "master-0").phase(), RUN_RUNNING);
  EXPECT_EQ(world.Run("a", "master-0").attempt(), 1u);
  world.End("a", "master-0", 0);
  EXPECT_EQ(world.Task("a").phase(), TASK_SUCCEEDED);
  ASSERT_EQ(world.Task("b").runs_size(), 2);
  world.End("b", "worker-1", 0);
  EXPECT_EQ(world.Task("b").phase(), TASK_RUNNING);
  world.End("b", "worker-0", 0);
  EXPECT_EQ(world.job.phase(), DONE);
  EXPECT_EQ(world.job.outcome(), SUCCEEDED);
  EXPECT_EQ(world.job.exit_code(), 0);
  EXPECT_EQ(world.job.ended_unix_ms(), world.now_ms);
}

TEST(EngineTest, PlacesAreAllNodesARoleOrOneNode) {
  World world(
      "tasks:\n  a: {run: x, on: all}\n  r: {run: x, on: worker}\n"
      "  n: {run: x, on: worker/1}\n  f: x\n");
  world.Advance();
  EXPECT_EQ(world.Task("a").runs_size(), 3);
  EXPECT_EQ(world.Task("r").runs_size(), 2);
  ASSERT_EQ(world.Task("n").runs_size(), 1);
  EXPECT_EQ(world.Task("n").runs(0).name(), "worker-1");
  ASSERT_EQ(world.Task("f").runs_size(), 1);
  EXPECT_EQ(world.Task("f").runs(0).name(), "master-0");
}

TEST(EngineTest, AFailureIsTheJobsAndSkipsWhatComesAfterItAlone) {
  World world(
      "tasks:\n  a: {run: x, on: worker}\n  b: {run: x, after: a}\n  c: {run: x, after: b}\n"
      "  other: x\n");
  world.Advance();
  world.End("a", "worker-1", 9);
  EXPECT_EQ(world.Task("a").phase(), TASK_RUNNING) << "the other node goes on";
  world.End("a", "worker-0", 3);
  EXPECT_EQ(world.Task("a").phase(), TASK_FAILED);
  EXPECT_EQ(world.Task("b").phase(), TASK_SKIPPED);
  EXPECT_EQ(world.Task("c").phase(), TASK_SKIPPED);
  EXPECT_EQ(world.job.phase(), RUNNING) << "what does not depend on it goes on";
  world.End("other", "master-0", 0);
  EXPECT_EQ(world.job.phase(), DONE);
  EXPECT_EQ(world.job.outcome(), FAILED);
  EXPECT_EQ(world.job.exit_code(), 9) << "of the first that failed";
  EXPECT_EQ(world.job.problem(), "a in worker-1: exit code 9");
}

TEST(EngineTest, AFailureThatIsAllowedChangesNothing) {
  World world("tasks:\n  a: {run: x, allow-failure: true}\n  b: {run: x, after: a}\n");
  world.Advance();
  world.End("a", "master-0", 9);
  EXPECT_EQ(world.Task("a").phase(), TASK_FAILED);
  EXPECT_EQ(world.Task("b").phase(), TASK_RUNNING);
  world.End("b", "master-0", 0);
  EXPECT_EQ(world.job.outcome(), SUCCEEDED);
  EXPECT_EQ(world.job.exit_code(), 0);
}

TEST(EngineTest, AttemptsAreRepeatedAfterAPauseInTheNodeWhereTheyFailed) {
  World world("tasks:\n  a: {run: x, on: worker, retries: 1, retry-delay: 30s}\n");
  world.Advance();
  world.End("a", "worker-0", 0);
  world.End("a", "worker-1", 5);
  EXPECT_EQ(world.Run("a", "worker-1").phase(), RUN_WAITING);
  EXPECT_EQ(world.due_ms, world.now_ms + 30'000);
  world.Pass(29);
  EXPECT_EQ(world.Run("a", "worker-1").attempt(), 1u);
  world.Pass(1);
  EXPECT_EQ(world.Run("a", "worker-1").phase(), RUN_RUNNING);
  EXPECT_EQ(world.Run("a", "worker-1").attempt(), 2u);
  EXPECT_EQ(world.Run("a", "worker-0").attempt(), 1u);
  world.End("a", "worker-1", 6);
  EXPECT_EQ(world.job.outcome(), FAILED);
  EXPECT_EQ(world.job.exit_code(), 6);
}

TEST(EngineTest, ALostRunIsAFailedAttempt) {
  World world("tasks:\n  a: {run: x, retries: 1, retry-delay: 0s}\n");
  world.Advance();
  world.Lose("a", "master-0");
  EXPECT_EQ(world.Run("a", "master-0").attempt(), 2u) << "at once: there is no pause";
  world.Lose("a", "master-0");
  EXPECT_EQ(world.job.outcome(), FAILED);
  EXPECT_EQ(world.job.exit_code(), 125);
  EXPECT_EQ(world.job.problem(), "a in master-0: vclusterd ended");
  EXPECT_EQ(world.Run("a", "master-0").exit_code(), -1);
}

TEST(EngineTest, ARunThatTookTooLongHasTheExitCodeOfTimeout) {
  World world("tasks:\n  a: {run: x, timeout: 5s}\n");
  world.Advance();
  host::v1::TaskRun& report = world.Report("a", "master-0", host::v1::TASK_ENDED);
  report.set_timed_out(true);
  report.set_exit_code(143);
  report.set_problem("it did not end within 5 s");
  world.Advance();
  EXPECT_EQ(world.job.exit_code(), 124);
  EXPECT_THAT(world.job.problem(), HasSubstr("did not end within 5 s"));
}

TEST(EngineTest, ANodeIsWaitedForUntilItIsReadyOrTheTimeIsOver) {
  World world("tasks:\n  a: {run: x, on: worker/0}\n  b: {run: x, on: worker/1}\n");
  world.Node("worker-0").ready = false;
  world.Node("worker-1").ready = false;
  world.Node("worker-1").problem = "no luck";
  world.Advance();
  EXPECT_EQ(world.Run("a", "worker-0").phase(), RUN_WAITING);
  world.Pass(300);
  world.Node("worker-0").ready = true;
  world.Advance();
  EXPECT_EQ(world.Run("a", "worker-0").phase(), RUN_RUNNING);
  world.Pass(300);
  EXPECT_EQ(world.Run("b", "worker-1").phase(), RUN_FAILED);
  EXPECT_EQ(world.Run("b", "worker-1").problem(), "the node did not become ready: no luck");
}

TEST(EngineTest, AStoppedOrMissingNodeIsNotWaitedFor) {
  World world(
      "tasks:\n  a: {run: x, on: worker/0}\n  b: {run: x, on: worker/1}\n"
      "  c: {run: x, after: [a, b]}\n");
  world.Node("worker-0").ready = false;
  world.Node("worker-0").wanted = false;
  world.Node("worker-1").ready = false;
  world.Advance();
  EXPECT_EQ(world.Run("a", "worker-0").problem(), "the node is stopped");
  world.seen.nodes.pop_back();
  world.Advance();
  EXPECT_EQ(world.Run("b", "worker-1").problem(), "the node is gone");
  EXPECT_EQ(world.job.phase(), DONE);
  EXPECT_EQ(world.job.exit_code(), 125);
}

TEST(EngineTest, ANodeThatWasMadeAnewHasLostItsRun) {
  World world("tasks:\n  a: {run: x, on: worker/0, retries: 1, retry-delay: 0s}\n");
  world.Advance();
  world.Node("worker-0").incarnation = 2;
  world.Advance();
  EXPECT_EQ(world.Run("a", "worker-0").attempt(), 2u);
  EXPECT_EQ(world.Run("a", "worker-0").incarnation(), 2u);
}

TEST(EngineTest, AHostThatIsAwayIsWaitedForAsLongAsTheRunMayTake) {
  World world("tasks:\n  a: {run: x, on: worker/0, timeout: 100s}\n");
  world.Advance();
  world.Node("worker-0").lost = true;
  world.Node("worker-0").ready = false;
  world.Pass(100);
  EXPECT_EQ(world.Run("a", "worker-0").phase(), RUN_RUNNING);
  world.Pass(kSilenceMaxMs / 1000);
  EXPECT_EQ(world.job.outcome(), FAILED);
  EXPECT_THAT(world.job.problem(), HasSubstr("nothing was heard of its end"));
}

TEST(EngineTest, CancellingStopsWhatRunsAndKeepsWhatItWrote) {
  World world("tasks:\n  a: {run: x, on: worker}\n  b: {run: x, after: a}\n");
  world.Advance();
  world.job.set_cancel(true);
  world.Advance();
  EXPECT_EQ(world.job.phase(), STOPPING);
  EXPECT_EQ(world.Task("b").phase(), TASK_CANCELLED);
  EXPECT_EQ(world.due_ms, world.now_ms + kStopWaitMaxMs);
  world.End("a", "worker-0", 0);  // Just then, by itself.
  host::v1::TaskRun& report = world.Report("a", "worker-1", host::v1::TASK_ENDED);
  report.set_stopped(true);
  report.set_exit_code(143);
  report.set_output("half");
  world.Advance();
  EXPECT_EQ(world.job.phase(), DONE);
  EXPECT_EQ(world.job.outcome(), CANCELLED);
  EXPECT_EQ(world.job.exit_code(), 130);
  EXPECT_EQ(world.Run("a", "worker-0").phase(), RUN_SUCCEEDED);
  EXPECT_EQ(world.Run("a", "worker-1").phase(), RUN_CANCELLED);
  EXPECT_EQ((world.outputs[{0, 2}]), "half");
}

TEST(EngineTest, RunsOfWhichNothingIsHeardAreNotWaitedForForEver) {
  World world("tasks:\n  a: {run: x, on: worker}\n");
  world.Advance();
  world.job.set_cancel(true);
  world.Node("worker-1").lost = true;
  world.Advance();
  EXPECT_EQ(world.Run("a", "worker-1").phase(), RUN_CANCELLED) << "its host is away";
  EXPECT_EQ(world.job.phase(), STOPPING);
  world.Pass(kStopWaitMaxMs / 1000);
  EXPECT_EQ(world.job.phase(), DONE);
}

TEST(EngineTest, TheTimeOfTheWholeJobCountsFromWhenItWasHandedIn) {
  World world("timeout: 1m\ntasks:\n  a: x\n");
  world.seen.ready = false;
  world.job.set_created(true);
  world.Advance();
  EXPECT_EQ(world.job.phase(), PREPARING);
  EXPECT_EQ(world.due_ms, World::kStartMs + 60'000);
  world.Pass(60);
  EXPECT_EQ(world.job.outcome(), TIMED_OUT);
  EXPECT_EQ(world.job.exit_code(), 124);
  EXPECT_EQ(world.job.problem(), "the job did not end within 1m");
}

TEST(EngineTest, AVclusterThatWasMadeForTheJobIsDeletedAfterIt) {
  World world("tasks:\n  a: x\n", /*created=*/true);
  world.Advance();
  world.End("a", "master-0", 1);
  EXPECT_EQ(world.job.phase(), CLEARING);
  EXPECT_TRUE(world.deletes);
  EXPECT_EQ(world.job.ended_unix_ms(), 0);
  world.seen.deleting = true;
  world.deletes = false;
  world.Advance();
  EXPECT_EQ(world.job.phase(), CLEARING);
  EXPECT_FALSE(world.deletes) << "once is enough";
  world.seen.exists = false;
  world.Advance();
  EXPECT_EQ(world.job.phase(), DONE);
  EXPECT_EQ(world.job.exit_code(), 1);
}

TEST(EngineTest, AVclusterIsKeptAsTheJobSays) {
  for (const Keep keep : {NEVER, ON_FAILURE, ALWAYS}) {
    for (const int exit_code : {0, 1}) {
      World world("tasks:\n  a: x\n", /*created=*/true);
      world.job.set_keep(keep);
      world.Advance();
      world.End("a", "master-0", exit_code);
      const bool kept = keep == ALWAYS || (keep == ON_FAILURE && exit_code != 0);
      EXPECT_EQ(world.deletes, !kept) << keep << " " << exit_code;
      EXPECT_EQ(world.job.phase(), kept ? DONE : CLEARING);
    }
  }
  World other("tasks:\n  a: x\n");
  other.Advance();
  other.End("a", "master-0", 0);
  EXPECT_FALSE(other.deletes) << "one that was there before is not the job's to delete";
}

TEST(EngineTest, AVclusterThatCannotBeMadeFailsTheJobAndGoes) {
  World world("tasks:\n  a: x\n", /*created=*/true);
  world.seen.ready = false;
  world.seen.problem = "node j-7/node-0: no image is called 'x'";
  world.Advance();
  EXPECT_TRUE(world.deletes);
  EXPECT_EQ(world.job.outcome(), FAILED);
  EXPECT_EQ(world.job.exit_code(), 125);
  EXPECT_EQ(world.job.problem(), "node j-7/node-0: no image is called 'x'");
}

TEST(EngineTest, AVclusterThatWasThereIsNotWaitedForEvenIfANodeOfItIsBroken) {
  World world("tasks:\n  a: {run: x, on: worker/0}\n");
  world.seen.ready = false;
  world.seen.problem = "node v/worker-1: no image is called 'x'";
  world.Node("worker-1").ready = false;
  world.Advance();
  EXPECT_EQ(world.job.phase(), RUNNING);
  EXPECT_EQ(world.Run("a", "worker-0").phase(), RUN_RUNNING);
  world.End("a", "worker-0", 0);
  EXPECT_EQ(world.job.outcome(), SUCCEEDED);
}

TEST(EngineTest, AVclusterThatIsMadeForTheJobIsWaitedForAsAWhole) {
  World world("tasks:\n  a: {run: x, on: worker/0}\n", /*created=*/true);
  world.seen.ready = false;
  world.Node("worker-1").ready = false;
  world.Advance();
  EXPECT_EQ(world.job.phase(), PREPARING);
  world.seen.ready = true;
  world.Advance();
  EXPECT_EQ(world.job.phase(), RUNNING);
}

TEST(EngineTest, AVclusterThatIsDeletedMeanwhileFailsTheJob) {
  World world("tasks:\n  a: x\n");
  world.Advance();
  world.seen = ClusterSeen();
  world.Advance();
  EXPECT_EQ(world.job.phase(), DONE);
  EXPECT_EQ(world.job.outcome(), FAILED);
  EXPECT_EQ(world.job.problem(), "its Vcluster was deleted");
}

TEST(EngineTest, OutputsOfAJobAreBounded) {
  World world("tasks:\n  a: {run: x, on: worker}\n");
  for (uint32_t i = 2; i < 60; ++i) world.AddNode("worker", i);
  world.Advance();
  for (int i = 0; i < 60; ++i) {
    host::v1::TaskRun& report =
        world.Report("a", "worker-" + std::to_string(i), host::v1::TASK_ENDED);
    report.set_output(std::string(kRunOutputBytesMax, 'x') + "end");
    report.set_output_bytes(1'000'000);
  }
  JobStep step = Advance(world.job, world.seen, world.now_ms);
  EXPECT_TRUE(step.again) << "a step has a limit of its own";
  EXPECT_LE(step.outputs.size(), kStepOutputBytesMax / kRunOutputBytesMax);
  world.Advance();
  uint64_t kept = 0;
  for (const auto& [key, bytes] : world.outputs) {
    EXPECT_TRUE(bytes.ends_with("end")) << "the end says most";
    EXPECT_GE(bytes.size(), kRunOutputBytesMin);
    EXPECT_LE(bytes.size(), kRunOutputBytesMax);
    kept += bytes.size();
  }
  EXPECT_EQ(world.outputs.size(), 60u);
  EXPECT_EQ(world.job.kept_bytes(), kept);
  EXPECT_LE(kept, kJobOutputBytesMax + 60 * kRunOutputBytesMin);
  EXPECT_EQ(world.Run("a", "worker-0").output_bytes(), 1'000'000u);
}

TEST(EngineTest, TheOutputOfTheLastAttemptTakesThePlaceOfThoseBefore) {
  World world("tasks:\n  a: {run: x, retries: 1, retry-delay: 0s}\n");
  world.Advance();
  world.Report("a", "master-0", host::v1::TASK_ENDED).set_exit_code(1);
  world.Report("a", "master-0", host::v1::TASK_ENDED).set_output("first");
  world.Node("master-0").runs["7.0.0.1"] = &world.Report("a", "master-0", host::v1::TASK_LOST);
  const_cast<host::v1::TaskRun*>(world.Node("master-0").runs["7.0.0.1"])->set_output("first");
  world.Advance();
  EXPECT_EQ((world.outputs[{0, 0}]), "first");
  EXPECT_EQ(world.job.kept_bytes(), 5u);
  world.End("a", "master-0", 0);
  EXPECT_EQ((world.outputs[{0, 0}]), "");
  EXPECT_EQ(world.job.kept_bytes(), 0u);
}

TEST(EngineTest, ARecordOfTheLargestJobIsSmallEnough) {
  std::string file = "tasks:\n";
  for (int i = 0; i < 4; ++i) file += "  t" + std::to_string(i) + ": {run: x, on: worker}\n";
  World world(file);
  for (uint32_t i = 2; i < 250; ++i) world.AddNode("worker", i);
  world.Task("t0").add_argv(std::string(kJobTextBytesMax, 'x'));
  world.Advance();
  for (jobs::v1::Task& task : *world.job.mutable_tasks()) {
    for (jobs::v1::Run& run : *task.mutable_runs()) {
      world.Report(task.name(), run.name(), host::v1::TASK_LOST).set_problem(std::string(999, 'p'));
    }
  }
  world.Advance();
  EXPECT_EQ(world.job.phase(), DONE);
  EXPECT_LE(world.job.ByteSizeLong(), 256u << 10);
}

}  // namespace
}  // namespace strata::vcluster
