// Random jobs on nodes with faults: each ends, in time, with each attempt begun once, nothing begun
// before what it comes after, and an outcome that follows from the runs. The master forgets
// everything but the record now and then, and commits fail.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/unit/vclusterd/jobs/world.h"
#include "vclusterd/jobs/task_orders.h"

namespace strata::vcluster {
namespace {

using namespace jobs::v1;

class RandomJob {
 public:
  explicit RandomJob(uint32_t seed) : random_(seed), world_(File(), /*created=*/Chance(50)) {}

  void Run() {
    ASSERT_EQ(world_.fault(), "");
    const int64_t limit_ms =
        World::kStartMs + int64_t{world_.job.timeout_s()} * 1000 + kStopWaitMaxMs + 600'000;
    while (world_.job.phase() != DONE) {
      ASSERT_LE(world_.now_ms, limit_ms) << world_.job.ShortDebugString();
      OneStep();
      if (testing::Test::HasFatalFailure()) return;
    }
    CheckOutcome();
  }

 private:
  struct Attempt {
    std::string id;
    bool running = false;
    int64_t ends_ms = 0;
    host::v1::TaskRun report;
  };

  bool Chance(int percent) { return Below(100) < percent; }
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

  std::string File() {
    const int tasks = 1 + Below(8);
    std::string text = "timeout: " + std::to_string(300 + Below(20'000)) + "s\ntasks:\n";
    // Names in one order, dependencies in another: the file's order says nothing.
    std::vector<int> order(static_cast<size_t>(tasks));
    for (int i = 0; i < tasks; ++i) order[static_cast<size_t>(i)] = i;
    std::shuffle(order.begin(), order.end(), random_);
    for (int i = 0; i < tasks; ++i) {
      static constexpr const char* kPlaces[] = {"worker", "all", "master/0", "worker/1"};
      text += "  t" + std::to_string(i) + ": {run: x, on: " + kPlaces[Below(4)] +
              ", timeout: " + std::to_string(10 + Below(300)) +
              "s, retries: " + std::to_string(Below(3)) +
              ", retry-delay: " + std::to_string(Below(60)) + "s" +
              (Chance(20) ? ", allow-failure: true" : "");
      std::string after;
      for (int j = 0; j < tasks; ++j) {
        const bool before = order[static_cast<size_t>(j)] < order[static_cast<size_t>(i)];
        if (before && Chance(30)) after += (after.empty() ? "t" : ", t") + std::to_string(j);
      }
      text += ", after: [" + after + "]}\n";
    }
    return text;
  }

  // The master: a step, which may not be stored.
  void AdvanceMaster() {
    bool again = true;
    while (again) {
      const JobStep step = vcluster::Advance(world_.job, world_.seen, world_.now_ms);
      due_ms_ = step.due_unix_ms;
      if (Chance(10)) return;
      ASSERT_GE(step.job.revision(), world_.job.revision());
      CheckStep(step.job);
      world_.job = step.job;
      if (step.delete_vcluster) world_.seen.deleting = true;
      again = step.changed || step.again;
    }
  }

  void CheckStep(const Job& next) {
    for (int t = 0; t < next.tasks_size(); ++t) {
      for (const jobs::v1::Run& run : next.tasks(t).runs()) {
        if (run.phase() != RUN_RUNNING) continue;
        for (const uint32_t before : next.tasks(t).after()) {
          const jobs::v1::Task& other = next.tasks(static_cast<int>(before));
          ASSERT_TRUE(other.phase() == TASK_SUCCEEDED ||
                      (other.phase() == TASK_FAILED && other.allow_failure()));
        }
        ASSERT_LE(run.attempt(), next.tasks(t).retries() + 1);
      }
    }
  }

  // Hosts: what the orders say, begun once each, and reported now and then.
  void AdvanceHosts() {
    host::v1::Part part;
    for (const NodeSeen& node : world_.seen.nodes) {
      host::v1::NodeOrder* order = part.add_nodes();
      order->set_index(node.index);
      order->set_incarnation(node.incarnation);
    }
    AddTaskOrders(world_.job, &part);
    for (const host::v1::NodeOrder& order : part.nodes()) {
      NodeSeen& node = world_.seen.nodes[order.index()];
      if (node.lost) continue;
      std::map<std::string, Attempt>& attempts = attempts_[order.index()];
      std::erase_if(attempts, [&](const auto& known) {
        return std::none_of(order.tasks().begin(), order.tasks().end(),
                            [&](const auto& task) { return task.id() == known.first; });
      });
      for (const host::v1::TaskOrder& task : order.tasks()) Obey(task, node, &attempts);
      if (Chance(70)) Report(&node, attempts);
    }
  }

  void Obey(const host::v1::TaskOrder& task, const NodeSeen& node,
            std::map<std::string, Attempt>* attempts) {
    const auto [found, is_new] = attempts->try_emplace(task.id());
    Attempt& attempt = found->second;
    if (is_new && !node.ready && !task.stop()) {
      attempts->erase(found);
      return;
    }
    if (is_new) {
      ASSERT_TRUE(task.stop() || begun_.insert(task.id()).second) << task.id() << " begins twice";
      attempt.report.set_id(task.id());
      attempt.report.set_state(task.stop() ? host::v1::TASK_LOST : host::v1::TASK_RUNNING);
      attempt.ends_ms = world_.now_ms + Below(200) * 1000;
    }
    if (attempt.report.state() != host::v1::TASK_RUNNING) return;
    if (task.stop()) {
      attempt.report.set_state(host::v1::TASK_ENDED);
      attempt.report.set_stopped(true);
      attempt.report.set_exit_code(143);
    } else if (world_.now_ms >= attempt.ends_ms) {
      attempt.report.set_state(Chance(10) ? host::v1::TASK_LOST : host::v1::TASK_ENDED);
      attempt.report.set_exit_code(Chance(70) ? 0 : 1 + Below(100));
      attempt.report.set_timed_out(attempt.report.exit_code() != 0 && Chance(20));
    }
  }

  void Report(NodeSeen* node, const std::map<std::string, Attempt>& attempts) {
    node->runs.clear();
    for (const auto& [id, attempt] : attempts) {
      told_.push_back(std::make_unique<host::v1::TaskRun>(attempt.report));
      node->runs[id] = told_.back().get();
    }
  }

  // Nodes break down, are made anew, stopped; hosts go away; users cancel and delete.
  void Trouble() {
    NodeSeen& node = world_.seen.nodes[static_cast<size_t>(Below(3))];
    switch (Below(40)) {
      case 0:
        node.lost = !node.lost;
        node.ready = false;
        node.runs.clear();
        break;
      case 1:
        ++node.incarnation;
        attempts_[node.index].clear();
        node.runs.clear();
        break;
      case 2:
        for (auto& [id, attempt] : attempts_[node.index]) {
          if (attempt.report.state() == host::v1::TASK_RUNNING) {
            attempt.report.set_state(host::v1::TASK_LOST);
          }
        }
        node.ready = false;
        break;
      case 3:
        if (Chance(10)) node.wanted = false;
        break;
      case 4:
        if (Chance(20)) world_.job.set_cancel(true);
        break;
      case 5:
        if (Chance(5)) world_.seen.deleting = true;
        break;
      default:
        if (!node.lost && node.wanted) node.ready = true;
    }
  }

  void OneStep() {
    if (world_.seen.deleting && Chance(50)) world_.seen = ClusterSeen();
    if (world_.seen.exists) {
      Trouble();
      AdvanceHosts();
    }
    AdvanceMaster();
    const int64_t next = world_.now_ms + 1000 + Below(20) * 1000;
    world_.now_ms = due_ms_.has_value() && Chance(50) ? std::max(world_.now_ms, *due_ms_) : next;
  }

  void CheckOutcome() {
    const Job& job = world_.job;
    ASSERT_NE(job.outcome(), NONE);
    EXPECT_EQ(job.exit_code() == 0, job.outcome() == SUCCEEDED) << job.ShortDebugString();
    EXPECT_EQ(job.problem().empty(), job.outcome() == SUCCEEDED);
    for (const jobs::v1::Task& task : job.tasks()) {
      EXPECT_NE(task.phase(), TASK_WAITING);
      EXPECT_NE(task.phase(), TASK_RUNNING);
      bool all = true;
      for (const jobs::v1::Run& run : task.runs()) {
        EXPECT_NE(run.phase(), RUN_WAITING);
        EXPECT_NE(run.phase(), RUN_RUNNING);
        all &= run.phase() == RUN_SUCCEEDED;
      }
      if (task.phase() == TASK_SUCCEEDED) {
        EXPECT_TRUE(all && !task.runs().empty());
      }
      if (job.outcome() == SUCCEEDED && !task.allow_failure()) {
        EXPECT_EQ(task.phase(), TASK_SUCCEEDED);
      }
    }
    if (job.created() && job.keep() == NEVER) {
      EXPECT_TRUE(!world_.seen.exists);
    }
  }

  std::mt19937 random_;
  World world_;
  std::optional<int64_t> due_ms_;
  std::map<uint32_t, std::map<std::string, Attempt>> attempts_;  // By node and id.
  std::set<std::string> begun_;
  std::vector<std::unique_ptr<host::v1::TaskRun>> told_;
};

TEST(RandomJobsTest, EveryJobEndsAndEveryAttemptBeginsOnce) {
  for (uint32_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomJob(seed).Run();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace strata::vcluster
